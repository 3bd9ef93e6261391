package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/gate"
)

// proxied puts a streaming reverse proxy in front of base. rewrite may be nil: then it says
// X-Forwarded-For.
func proxied(t *testing.T, base string, rewrite func(*httputil.ProxyRequest)) string {
	t.Helper()
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			// The test's clients all come from loopback: X-Client names the address that each
			// pretends to have.
			if client := r.In.Header.Get("X-Client"); client != "" {
				r.In.RemoteAddr = net.JoinHostPort(client, "4711")
			}
			if rewrite != nil {
				rewrite(r)
				return
			}
			r.SetXForwarded()
		},
	})
	t.Cleanup(func() { front.Close(); transport.CloseIdleConnections() })
	return front.URL
}

// unfinished sends the header of a request and never its body.
func unfinished(t *testing.T, base, method, path, client string) net.Conn {
	t.Helper()
	c := dial(t, base)
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Client: %s\r\nContent-Length: 100\r\n\r\n", method, path, client)
	return c
}

func behindProxy(t *testing.T) Config {
	cfg := config(t)
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	cfg.MaxConnections, cfg.MaxConnectionsPerClient = 40, 10
	return cfg
}

// Requests whose announced body never comes do not shut others out, although there are more of them
// than connections: each is answered at once, and its connection ends soon.
func TestBodiesThatNeverComeShutNobodyOut(t *testing.T) {
	t.Run("named", func(t *testing.T) { neverCome(t, behindProxy(t), nil) })
	t.Run("not named", func(t *testing.T) { neverCome(t, config(t), nil) })
	t.Run("silent", func(t *testing.T) { neverCome(t, config(t), func(r *httputil.ProxyRequest) {}) })
}

func neverCome(t *testing.T, cfg Config, rewrite func(*httputil.ProxyRequest)) {
	cfg.MaxConnections = 100
	base := start(t, new(memory), cfg)
	front := proxied(t, base, rewrite)
	begin := time.Now()
	for i := range 150 {
		unfinished(t, front, "GET", "/health", fmt.Sprintf("192.0.2.%d", i%20))
	}
	for ask429(t, front, "198.51.100.1") != 200 {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("another client is not served")
		}
	}
	if resp, _ := ask(t, "GET", base+"/health", ""); resp.StatusCode != 200 {
		t.Errorf("a program = %d", resp.StatusCode)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("that took %v", took)
	}
}

// One client behind a proxy can have MaxConnectionsPerClient requests in flight, others are served
// meanwhile; strangers together leave places for programs on this machine, although the proxy runs
// there, too.
func TestProxiedRequestsCountByClient(t *testing.T) {
	cfg := behindProxy(t)
	unnamed := cfg
	unnamed.TrustedProxies = nil // whom nobody named is in a trusted network all the same
	t.Run("named", func(t *testing.T) { countByClient(t, cfg) })
	t.Run("not named", func(t *testing.T) { countByClient(t, unnamed) })
}

func countByClient(t *testing.T, cfg Config) {
	s := New(new(memory), cfg, discard)
	base := serveUntilEnd(t, s)
	front := proxied(t, base, nil)
	for range 10 {
		unfinished(t, front, "POST", "/send", "192.0.2.1")
	}
	// inFlight waits for so many requests, and begins more of them as long as a place may have come
	// free late.
	inFlight := func(want int, more func(i int)) {
		t.Helper()
		begin := time.Now()
		for i := 0; ; i++ {
			n := s.crowd.Len()
			if n == want {
				return
			}
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("%d requests are in flight, want %d", n, want)
			}
			if more != nil && i%100 == 0 {
				more(i)
			}
			runtime.Gosched()
		}
	}
	inFlight(10, nil)
	if got := ask429(t, front, "192.0.2.1"); got != 429 {
		t.Errorf("the eleventh request of a client = %d", got)
	}
	if got := ask429(t, front, "192.0.2.2"); got != 200 {
		t.Errorf("another client = %d", got)
	}
	inFlight(36, func(i int) { unfinished(t, front, "POST", "/send", fmt.Sprintf("2001:db8:%x::1", i)) })
	if got := ask429(t, front, "192.0.2.3"); got != 503 {
		t.Errorf("one stranger more = %d", got)
	}
	if _, text := ask(t, "GET", base+"/health", ""); !strings.Contains(text, `"status":"degraded"`) || !strings.Contains(text, "turned away") {
		t.Errorf("health while strangers are turned away: %s", text)
	}
	for range 3 {
		if resp, text := ask(t, "POST", base+"/send", plainMail); resp.StatusCode != 200 {
			t.Errorf("a program while strangers fill all their places = %d %s", resp.StatusCode, text)
		}
	}
}

// ask429 asks for /health as a client behind the proxy; the answer may be a refusal.
func ask429(t *testing.T, front, client string) int {
	t.Helper()
	resp, text := ask(t, "GET", front+"/health", "", "X-Client: "+client)
	switch resp.StatusCode {
	case 200, 429, 502, 503:
	default:
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	return resp.StatusCode
}

// A body that the answer does not need is awaited for a second at most and read up to 256 KiB, by
// every handler; then the connection ends.
func TestBodiesThatAreNotNeeded(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxBody = 300 << 10
	base := start(t, new(memory), cfg)
	all := map[string]net.Conn{}
	for name, head := range map[string]string{
		"404":       "GET /nowhere HTTP/1.1\r\n",
		"405":       "PUT /send HTTP/1.1\r\n",
		"other":     "BREW /send HTTP/1.1\r\n",
		"401":       "POST /send HTTP/1.1\r\nX-API-KEY: guess\r\n",
		"403":       "POST /send HTTP/1.1\r\nOrigin: https://evil.example\r\n",
		"415":       "POST /send HTTP/1.1\r\nContent-Encoding: gzip\r\n",
		"get":       "GET /health HTTP/1.1\r\n",
		"head":      "HEAD /health HTTP/1.1\r\n",
		"metrics":   "GET /metrics HTTP/1.1\r\n",
		"preflight": "OPTIONS /send HTTP/1.1\r\nOrigin: https://example.org\r\nAccess-Control-Request-Method: POST\r\n",
		"all":       "OPTIONS * HTTP/1.1\r\n",
		"http/1.0":  "GET /health HTTP/1.0\r\n",
	} {
		for kind, body := range map[string]string{
			"that never comes":     "Content-Length: 1000\r\n\r\n",
			"that stops half way":  "Content-Length: 1000\r\n\r\n{\"to\":",
			"large and unsent":     "Content-Length: 290000\r\n\r\n",
			"in chunks":            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"promised on a signal": "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
		} {
			if strings.Contains(body, "chunked") && strings.Contains(head, "1.0") {
				continue
			}
			c := dial(t, base)
			io.WriteString(c, head+"Host: localhost\r\n"+body)
			all[name+" "+kind] = c
		}
	}
	for name, c := range all {
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.") {
			t.Errorf("%s: %.100q, %v", name, answer, err)
		}
		if strings.Contains(string(answer), "100 Continue") {
			t.Errorf("%s: a body that nobody needs is asked for: %.100q", name, answer)
		}
	}
}

// A body that comes is read, and the connection serves the next request; one without end is not
// read to its end.
func TestBodiesThatComeAreTaken(t *testing.T) {
	base := start(t, new(memory), config(t))
	c := dial(t, base)
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 || resp.Close {
			t.Fatalf("%v, %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	c = dial(t, base)
	io.WriteString(c, "PUT /send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() {
		for {
			if _, err := io.WriteString(c, "1000\r\n"+strings.Repeat("a", 0x1000)+"\r\n"); err != nil {
				return
			}
		}
	}()
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 405 || !resp.Close {
		t.Errorf("%v, %v", resp, err)
	}
}

// The last places are for programs: behind a proxy that says nothing strangers look like them, but
// with LOCAL_HTTP=no a program shows a key.
func TestProgramsHaveTheLastPlaces(t *testing.T) {
	cfg := config(t)
	for _, c := range []struct {
		keysOnly bool
		headers  []string
		want     bool
	}{
		{false, nil, true}, {false, []string{"Cookie: a=b"}, false}, {false, []string{"X-Real-Ip: 127.0.0.1"}, false},
		{false, []string{"X-API-KEY: own-secret"}, true}, {false, []string{"X-API-KEY: guess"}, false},
		{false, []string{"X-API-KEY: own-secret", "Via: 1.1 x"}, false}, {true, nil, false}, {true, []string{"X-API-KEY: own-secret"}, true},
	} {
		cfg.KeysOnly = c.keysOnly
		r := httptest.NewRequest("GET", "/health", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost"
		for _, h := range c.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		if got := newCallers(cfg).inside(r, gate.ParsePeer(r.RemoteAddr)); got != c.want {
			t.Errorf("keys only %v, %v: %v, want %v", c.keysOnly, c.headers, got, c.want)
		}
	}
}
