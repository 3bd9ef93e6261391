package httpapi

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dinkymail/operate"
)

var someProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}

// forwardCases are headers as proxies and strangers write them, with the client to whom the request
// belongs; empty: not known.
var forwardCases = []struct {
	headers []string
	client  string
	sure    bool
}{
	{[]string{"X-Forwarded-For: 203.0.113.1:1000"}, "203.0.113.1", true},
	{[]string{"X-Forwarded-For: [2001:db8::1]:4711"}, "2001:db8::1", true},
	{[]string{"X-Forwarded-For: [2001:db8::1]"}, "2001:db8::1", true},
	{[]string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1", true},
	{[]string{`X-Forwarded-For: "[2001:db8::1]:4711"`}, "2001:db8::1", true},
	{[]string{"X-Forwarded-For: ::ffff:203.0.113.1"}, "203.0.113.1", true},
	{[]string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1", true},
	{[]string{"X-Forwarded-For: 192.0.2.66, 203.0.113.1:1000, 10.0.0.2:80"}, "203.0.113.1", true},
	{[]string{"X-Forwarded-For: 192.0.2.66", "X-Forwarded-For: 203.0.113.1"}, "203.0.113.1", true},
	{[]string{"X-Forwarded-For: 10.0.0.7, 10.0.0.3"}, "10.0.0.3", true}, // a client in the proxies' own network
	{[]string{"X-Forwarded-For: 203.0.113.1, unknown"}, "", false},
	{[]string{"X-Forwarded-For: 203.0.113.1, what, 10.0.0.2"}, "", false},
	{[]string{"X-Forwarded-For: "}, "", false},
	{[]string{"X-Real-Ip: 203.0.113.1"}, "203.0.113.1", true},
	{[]string{"X-Real-Ip: 203.0.113.1:9"}, "203.0.113.1", true},
	{[]string{"X-Real-Ip: what"}, "", false},
	{[]string{"Forwarded: for=203.0.113.1"}, "203.0.113.1", true},
	{[]string{`Forwarded: FOR="[2001:db8::1]:4711";proto=https;by=10.0.0.1`}, "2001:db8::1", true},
	{[]string{`Forwarded: for=192.0.2.66, proto=http; for="203.0.113.1:_port" ; host="a,b;c"`}, "203.0.113.1", true},
	{[]string{"Forwarded: for=192.0.2.66", "Forwarded: for=203.0.113.1"}, "203.0.113.1", true},
	{[]string{"Forwarded: for=203.0.113.1, for=10.0.0.2"}, "203.0.113.1", true},
	{[]string{"Forwarded: for=192.0.2.66, for=unknown"}, "", false},
	{[]string{"Forwarded: for=192.0.2.66, for=_hidden"}, "", false},
	{[]string{"Forwarded: for=192.0.2.66, proto=https"}, "", false},
	{[]string{`Forwarded: for="192.0.2.66`, "Forwarded: for=203.0.113.1"}, "", false},
	{[]string{`Forwarded: for="192.0.2.66, for="[2001:db8::1]:4711"`}, "", false},
	{[]string{`Forwarded: for=192.0.2.66;x="`, `Forwarded: for="[2001:db8::1]:4711"`}, "", false},
	{[]string{"Forwarded: 203.0.113.1"}, "", false},
	{[]string{"Via: 1.1 proxy"}, "", false},
	{[]string{"X-Forwarded-For: 203.0.113.1", "X-Real-Ip: 203.0.113.1"}, "203.0.113.1", true},
	{[]string{"X-Forwarded-For: 203.0.113.1, 10.0.0.2", "X-Real-Ip: 10.0.0.2"}, "203.0.113.1", true},
	{[]string{"X-Forwarded-For: 203.0.113.1", "X-Real-Ip: 192.0.2.66"}, "203.0.113.1", false},
	{[]string{"X-Forwarded-For: 203.0.113.1", "Forwarded: for=192.0.2.66"}, "203.0.113.1", false},
	{[]string{"X-Forwarded-For: unknown", "X-Real-Ip: 203.0.113.1"}, "203.0.113.1", false},
}

// Each header names its client, and a visitor is limited by the client that the proxy wrote down,
// whatever the visitor himself writes before it or beside it.
func TestForwardOf(t *testing.T) {
	cfg := outside(t)
	cfg.TrustedProxies, cfg.FormRate = someProxies, Rate{N: 1, Per: time.Minute}
	for _, c := range forwardCases {
		h := http.Header{}
		for _, line := range c.headers {
			name, value, _ := strings.Cut(line, ": ")
			h.Add(name, value)
		}
		want := forward{sure: c.sure}
		if c.client != "" {
			want.client = netip.MustParseAddr(c.client)
		}
		if got := forwardOf(h, someProxies); got.client != want.client || got.sure != want.sure {
			t.Errorf("%q: %v, want %v", c.headers, got, want)
		}
		s := New(new(memory), cfg, discard)
		headers := append([]string{"Peer: 10.0.0.1:9"}, c.headers...)
		for i, want := range []int{200, 429} {
			if status, _, text := post(s, `"to":"owner@example.com"`, headers...); status != want {
				t.Errorf("%q: mail %d = %d, want %d: %s", c.headers, i+1, status, want, text)
			}
		}
		nobody := 200
		if !c.sure {
			nobody = 429 // they share the proxy's limit
		}
		if status, _, _ := post(s, `"to":"owner@example.com"`, "Peer: 10.0.0.1:9", "Via: 1.1 x"); status != nobody {
			t.Errorf("%q: then a mail of nobody known = %d, want %d", c.headers, status, nobody)
		}
		if status, _, _ := post(s, `"to":"owner@example.com"`, "Peer: 10.0.0.1:9", "X-Forwarded-For: 198.51.100.99:5"); status != 200 {
			t.Errorf("%q: another client's mail = %d, want 200", c.headers, status)
		}
	}
}

// What a visitor makes up does not win him another limit, through a proxy that appends, one that
// only sets X-Real-IP, and one that sets Forwarded.
func TestMadeUpClientsDoNotCount(t *testing.T) {
	cfg := outside(t)
	cfg.TrustedProxies, cfg.FormRate = someProxies, Rate{N: 3, Per: time.Minute}
	base := start(t, new(memory), cfg)
	keep := func(r *httputil.ProxyRequest, name string) {
		r.Out.Header[name] = append([]string(nil), r.In.Header[name]...)
	}
	for name, rewrite := range map[string]func(r *httputil.ProxyRequest){
		"X-Forwarded-For": func(r *httputil.ProxyRequest) {
			keep(r, "X-Forwarded-For")
			r.SetXForwarded()
			keep(r, "Forwarded")
		},
		"X-Real-IP": func(r *httputil.ProxyRequest) {
			keep(r, "X-Forwarded-For")
			keep(r, "Forwarded")
			r.Out.Header.Set("X-Real-IP", "192.0.2.1")
		},
		"Forwarded": func(r *httputil.ProxyRequest) {
			keep(r, "X-Forwarded-For")
			r.Out.Header["Forwarded"] = append(r.In.Header["Forwarded"], `for="192.0.2.1:5"`)
		},
	} {
		front, sent := proxied(t, base, rewrite), 0
		for i := range 12 {
			fake := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String()
			headers := []string{"X-Client: 192.0.2.1"}
			switch i % 3 {
			case 0:
				headers = append(headers, "X-Forwarded-For: "+fake)
			case 1:
				headers = append(headers, "Forwarded: for="+fake)
			case 2:
				headers = append(headers, "X-Forwarded-For: "+fake, "X-Forwarded-For: "+fake, "Forwarded: for="+fake)
			}
			if resp, _ := ask(t, "POST", front+"/send", `{"to":"owner@example.com","subject":"s","body":"b"}`, headers...); resp.StatusCode == 200 {
				sent++
			}
		}
		if sent > 2*cfg.FormRate.N { // his own limit, and the proxy's for what contradicts itself
			t.Errorf("a visitor behind a proxy with %s sent %d mails", name, sent)
		}
	}
}

// A proxy that is not trusted is named once, with the value to set; a crowd of strangers who
// pretend to be one fills no log.
func TestUntrustedProxyIsNamed(t *testing.T) {
	log := new(logged)
	cfg := outside(t)
	cfg.TrustedProxies = someProxies
	s := New(new(memory), cfg, slog.New(slog.NewTextHandler(log, nil)))
	for range 5 {
		serveOne(s, "GET", "/health", "", "Peer: 172.18.0.3:99", "X-Real-Ip: 203.0.113.1")
		serveOne(s, "GET", "/health", "", "Peer: 10.0.0.3:99", "X-Forwarded-For: 203.0.113.1")
		serveOne(s, "GET", "/health", "", "Peer: 192.0.2.3:99")
	}
	if text := log.String(); strings.Count(text, "\n") != 1 ||
		!strings.Contains(text, "TRUSTED_PROXIES=10.0.0.0/8,127.0.0.1/32,172.18.0.3") || !strings.Contains(text, "level=WARN") {
		t.Errorf("the log says %s", text)
	}
	for i := range 100 {
		serveOne(s, "GET", "/health", "", "Peer: "+netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}).String()+":99", "Forwarded: for=1.1.1.1")
	}
	serveOne(s, "GET", "/health", "", "Peer: 172.18.0.4:99", "Forwarded: for=1.1.1.1")
	if text := log.String(); strings.Count(text, "\n") != 2+proxiesPublic || !strings.Contains(text, "172.18.0.4") {
		t.Errorf("after a flood the log says %s", text)
	}
}

// What a browser sent is no program's request, whatever proxy it came through, in whatever version
// of HTTP; only marks tell it from one when the proxy says nothing of itself.
func TestBrowsersAreNoPrograms(t *testing.T) {
	base := start(t, new(memory), config(t))
	const foreign = `{"to":"anyone@example.net","subject":"s","body":"b"}`
	for mark, want := range map[string]int{
		"Origin: http://127.0.0.1": 403, "Referer: https://shop.example/contact": 403, "Cookie: a=b": 403, "Sec-Fetch-Site: same-origin": 403,
		"Sec-Fetch-Mode: navigate": 403, "Sec-Fetch-Dest: empty": 403, "Sec-Fetch-User: ?1": 403, "Sec-Fetch-Site: none": 403,
		"sec-fetch-mode: cors": 403, "Sec-Ch-Ua: x": 403, "X-Anything: else": 200, "Via: 1.1 x": 403, "X-Forwarded-Port: 443": 403,
		"Cookie: ": 403, "Sec-Fetch-Mode: cors\r\nUser-Agent: node": 200, "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: none\r\nUser-Agent: node": 403,
	} {
		for _, version := range []string{"1.1", "1.0"} {
			c := dial(t, base)
			io.WriteString(c, "POST /send HTTP/"+version+"\r\nHost: localhost\r\nConnection: close\r\n"+mark+"\r\nContent-Length: 52\r\n\r\n"+foreign)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("HTTP/%s with %q = %d, want %d: %s", version, mark, resp.StatusCode, want, text)
			}
		}
	}
	c := dial(t, base)
	io.WriteString(c, "POST /send HTTP/1.0\r\nContent-Length: 52\r\n\r\n"+foreign)
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 403 {
		t.Errorf("without a Host = %v, %v", resp, err)
	}
	front := proxied(t, base, func(r *httputil.ProxyRequest) { r.Out.Header.Del("X-Client") }) // it says nothing
	if resp, text := ask(t, "POST", front+"/send", foreign, "Cookie: session=1", "Referer: https://shop.example/"); resp.StatusCode != 403 {
		t.Errorf("a browser behind a silent proxy = %d %s", resp.StatusCode, text)
	}
	for _, path := range []string{"/metrics", "/api/v1/email/status/00000000000000a0"} {
		if resp, text := ask(t, "GET", front+path, "", "Sec-Fetch-Site: none"); resp.StatusCode != 403 && resp.StatusCode != 401 {
			t.Errorf("%s for a browser behind a silent proxy = %d %s", path, resp.StatusCode, text)
		}
	}
}

// With LOCAL_HTTP=no a program needs a key over TCP, and its own mail and /captured are not for
// whoever is here.
func TestKeysOnly(t *testing.T) {
	cfg := config(t)
	cfg.KeysOnly, cfg.Development = true, true
	s := New(new(memory), cfg, discard)
	for _, headers := range [][]string{nil, {"Host: mail.example.org"}, {"Peer: [::1]:5", "Host: [::1]"}} {
		status, code, text := post(s, `"to":"anyone@example.net"`, headers...)
		if status != 403 || code != string(operate.CodeRecipient) || !strings.Contains(text, "LOCAL_HTTP") {
			t.Errorf("%v: %d %s", headers, status, text)
		}
	}
	if status, _, text := post(s, `"to":"anyone@example.net"`, "X-API-KEY: own-secret"); status != 200 {
		t.Errorf("with a key: %d %s", status, text)
	}
	if status, _, text := post(s, `"to":"owner@example.com"`); status != 200 {
		t.Errorf("as a visitor: %d %s", status, text)
	}
	for path, want := range map[string]int{"/metrics": 403, "/captured": 403, "/health": 200, "/api/v1/email/status/00000000000000a0": 401} {
		if w := serveOne(s, "GET", path, ""); w.Code != want {
			t.Errorf("%s = %d, want %d", path, w.Code, want)
		}
	}
}

// Whatever stands in the fields, the client is one that is written there, and what a stranger
// writes to the left of what the proxy appends to one of them changes neither that client nor that
// it is sure.
func FuzzForwarded(f *testing.F) {
	for _, c := range forwardCases {
		var three [3]string
		for _, line := range c.headers {
			name, value, _ := strings.Cut(line, ": ")
			for i, n := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
				if name == n {
					three[i] = value
				}
			}
		}
		f.Add(three[0], three[1], three[2])
	}
	f.Add(`for="`, `for="\"`, `","`)
	client := netip.MustParseAddr("203.0.113.1")
	f.Fuzz(func(t *testing.T, xff, fwd, real string) {
		h := http.Header{}
		for name, value := range map[string]string{"X-Forwarded-For": xff, "Forwarded": fwd, "X-Real-Ip": real} {
			if value != "" {
				h.Set(name, value)
			}
		}
		got := forwardOf(h, someProxies)
		if got.sure && !got.client.IsValid() {
			t.Fatalf("%v: sure of nobody", h)
		}
		for _, one := range []struct{ name, appended string }{
			{"X-Forwarded-For", "203.0.113.1"}, {"X-Forwarded-For", "203.0.113.1:99"}, {"Forwarded", "for=203.0.113.1"},
			{"Forwarded", `for="203.0.113.1:99";proto=https`},
		} {
			h := h.Clone()
			h.Add(one.name, one.appended)
			if got := forwardOf(h, someProxies); got.sure && got.client != client {
				t.Fatalf("%v: sure of %v", h, got.client)
			}
			if got := forwardOf(http.Header{"X-Forwarded-For": {xff, "203.0.113.1"}}, someProxies); got.client != client || !got.sure {
				t.Fatalf("%q, 203.0.113.1: %v", xff, got)
			}
		}
	})
}
