package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/operate"
)

// post is POST /send of one mail with these further fields and headers.
func post(s *Server, json string, headers ...string) (status int, code, text string) {
	w := serveOne(s, "POST", "/send", `{"subject":"s","body":"b",`+json+`}`, headers...)
	text = w.Body.String()
	_, rest, _ := strings.Cut(text, `"code":"`)
	code, _, _ = strings.Cut(rest, `"`)
	return w.Code, code, text
}

// Who may send what: an application what its key allows, a program on this machine from our domain
// to anyone, a visitor to us.
func TestWhoMaySendWhat(t *testing.T) {
	const stranger, own, foreign = "Peer: 192.0.2.7:99", `"to":"owner@example.com"`, `"to":"anyone@example.net"`
	for _, c := range []struct {
		name, json string
		headers    []string
		status     int
		code       operate.Code
	}{
		{"program to anyone", foreign, nil, 200, ""},
		{"program from our domain", foreign + `,"from":"me@example.org"`, nil, 200, ""},
		{"program from elsewhere", foreign + `,"from":"me@example.net"`, nil, 403, operate.CodeSender},
		{"program from a subdomain", foreign + `,"from":"me@sub.example.org"`, nil, 403, operate.CodeSender},
		{"program by name", foreign, []string{"Host: mail.example.org:20001"}, 200, ""},
		{"program by ipv6", foreign, []string{"Peer: [::1]:5", "Host: [::1]:20001"}, 200, ""},
		{"program by mapped address", foreign, []string{"Peer: [::ffff:127.0.0.1]:5"}, 200, ""},
		{"program by the name of compose", foreign, []string{"Host: mail-api:20001"}, 200, ""},
		{"stranger to anyone", foreign, []string{stranger}, 403, operate.CodeRecipient},
		{"stranger to us", own, []string{stranger}, 200, ""},
		{"stranger to our domain", `"to":"sales@example.org"`, []string{stranger}, 200, ""},
		{"stranger to us in capitals", `"to":"OWNER@EXAMPLE.COM"`, []string{stranger}, 200, ""},
		{"stranger to us and others", `"to":"owner@example.com, anyone@example.net"`, []string{stranger}, 403,
			operate.CodeRecipient},
		{"stranger with foreign cc", own + `,"cc":"anyone@example.net"`, []string{stranger}, 403, operate.CodeRecipient},
		{"stranger with foreign bcc", own + `,"bcc":["anyone@example.net"]`, []string{stranger}, 403, operate.CodeRecipient},
		{"stranger to a trick", `"to":"\"owner@example.com\"@example.net"`, []string{stranger}, 403, operate.CodeRecipient},
		{"stranger to a group", `"to":"us: owner@example.com, anyone@example.net;"`, []string{stranger}, 403,
			operate.CodeRecipient},
		{"stranger with headers", own + `,"headers":{"X-A":"1"}`, []string{stranger}, 403, operate.CodeField},
		{"stranger with send_at", own + `,"send_at":"2030-01-01T00:00:00Z"`, []string{stranger}, 403, operate.CodeField},
		{"stranger to many", `"to":"` + strings.Repeat("a@example.org,", 10) + `b@example.org"`, []string{stranger}, 400,
			operate.CodeManyRecipients},
		{"a name that leads here", foreign, []string{"Host: evil.example.net"}, 403, operate.CodeRecipient},
		{"a name that begins like us", foreign, []string{"Host: localhost.evil.example.net"}, 403, operate.CodeRecipient},
		{"no host", foreign, []string{"Host: "}, 403, operate.CodeRecipient},
		{"another address as host", foreign, []string{"Host: 192.0.2.1"}, 403, operate.CodeRecipient},
		{"our own page", foreign, []string{"Origin: https://example.org"}, 403, operate.CodeRecipient},
		{"our own page to us", own, []string{"Origin: https://example.org"}, 200, ""},
		{"another page", own, []string{"Origin: https://evil.example.net"}, 403, operate.CodeOrigin},
		{"a page that hides", own, []string{"Origin: null"}, 403, operate.CodeOrigin},
		{"an empty origin", own, []string{"Origin: "}, 403, operate.CodeOrigin},
		{"two origins", own, []string{"Origin: https://example.org", "Origin: https://evil.example.net"}, 403, operate.CodeOrigin},
		{"an image on a page", foreign, []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403,
			operate.CodeRecipient},
		{"through a proxy here", foreign, []string{"X-Forwarded-For: 127.0.0.1"}, 403, operate.CodeRecipient},
		{"through a modern proxy here", foreign, []string{"Forwarded: for=127.0.0.1"}, 403, operate.CodeRecipient},
		{"through a shy proxy here", foreign, []string{"X-Real-Ip: 127.0.0.1"}, 403, operate.CodeRecipient},
		{"key", foreign + `,"from":"billing@example.org"`, []string{stranger, "X-API-KEY: shop-secret"}, 200, ""},
		{"key as bearer", foreign + `,"from":"a@shop.example.org"`, []string{stranger,
			"Authorization: bearer shop-secret"}, 200, ""},
		{"key from elsewhere", foreign + `,"from":"boss@example.org"`, []string{stranger, "X-API-KEY: shop-secret"}, 403,
			operate.CodeSender},
		{"key without from", foreign, []string{stranger, "X-API-KEY: shop-secret"}, 403, operate.CodeSender},
		{"key without a list", foreign, []string{stranger, "X-API-KEY: own-secret"}, 200, ""},
		{"key without a list from elsewhere", foreign + `,"from":"a@example.net"`, []string{stranger,
			"X-API-KEY: own-secret"}, 403, operate.CodeSender},
		{"key for all", foreign + `,"from":"a@example.net"`, []string{stranger, "X-API-KEY: any-secret"}, 200, ""},
		{"key through a proxy", foreign, []string{"X-Forwarded-For: 192.0.2.9", "X-API-KEY: own-secret"}, 200, ""},
		{"key on our page", foreign, []string{"Origin: https://example.org", "X-API-KEY: own-secret"}, 200, ""},
		{"key on another page", foreign, []string{"Origin: https://evil.example.net", "X-API-KEY: own-secret"}, 403,
			operate.CodeOrigin},
		{"wrong key", own, []string{"X-API-KEY: guess"}, 401, operate.CodeKey},
		{"wrong bearer", own, []string{"Authorization: Bearer guess"}, 401, operate.CodeKey},
		{"empty key", own, []string{"X-API-KEY: "}, 401, operate.CodeKey},
		{"empty bearer", own, []string{"Authorization: Bearer"}, 401, operate.CodeKey},
		{"two keys", own, []string{"X-API-KEY: own-secret", "Authorization: Bearer any-secret"}, 401, operate.CodeKey},
		{"one key twice", foreign, []string{"X-API-KEY: own-secret", "Authorization: Bearer own-secret"}, 200, ""},
		{"a password for the proxy", foreign, []string{"Authorization: Basic YTpi"}, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := new(memory)
			cfg := config(t)
			status, code, text := post(New(q, cfg, discard), c.json, c.headers...)
			if status != c.status || code != string(c.code) {
				t.Errorf("answer = %d %s, want %d %s: %s", status, code, c.status, c.code, text)
			}
			if (q.count() == 1) != (c.status == 200) {
				t.Errorf("%d mails were sent", q.count())
			}
		})
	}
}

// Without any setting nobody may send anything.
func TestZeroConfigTrustsNobody(t *testing.T) {
	for _, h := range [][]string{nil, {"Origin: http://localhost"}, {"X-API-KEY: "}, {"Origin: http://a.example"}} {
		if status, _, text := post(New(new(memory), Config{}, discard), `"to":"a@example.net","from":"a@example.net"`,
			h...); status < 400 {
			t.Errorf("%v: answer = %d %s", h, status, text)
		}
	}
}

// Form mail comes from the appliance, and an answer to it goes to the visitor.
func TestVisitorMailIsFromUs(t *testing.T) {
	for _, c := range []struct{ json, replyTo string }{
		{`"from":"Ada <ada@example.net>"`, `"Ada" <ada@example.net>`},
		{`"from":"ada@example.net","reply_to":"other@example.net"`, "<other@example.net>"},
		{`"from":"noreply@example.org"`, ""},
		{`"to":"owner@example.com"`, ""},
	} {
		q := new(memory)
		json := c.json
		if !strings.Contains(json, `"to"`) {
			json += `,"to":"owner@example.com"`
		}
		if status, _, text := post(New(q, outside(t), discard), json); status != 200 {
			t.Fatal(text)
		}
		m, body := q.last(t)
		h := header(t, body)
		from, _ := h.AddressList("From")
		if m.Origin.Door != "form" || len(from) != 1 || from[0].Address != "noreply@example.org" || m.Envelope.From.String() != "noreply@example.org" {
			t.Errorf("From = %v, envelope %v, door %s", from, m.Envelope.From, m.Origin.Door)
		}
		got := ""
		if list, err := h.AddressList("Reply-To"); err == nil {
			got = list[0].String()
		}
		if got != c.replyTo {
			t.Errorf("Reply-To = %s, want %s", got, c.replyTo)
		}
	}
}

// A visitor may write FormRate mails in its time, each client for itself, an IPv6 network as one;
// others have no such limit.
func TestVisitorsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := outside(t)
		cfg.FormRate = Rate{N: 10, Per: time.Minute}
		s := New(new(memory), cfg, discard)
		send := func(headers ...string) int {
			status, _, _ := post(s, `"to":"owner@example.com","from":"me@example.org"`, headers...)
			return status
		}
		for range 30 {
			send("Origin: https://evil.example")
			post(s, `"to":"anyone@example.net"`)
			serveOne(s, "POST", "/send", `{"to":"owner@example.com","body":"b"}`)
			serveOne(s, "POST", "/send", "")
			serveOne(s, "POST", "/send", "{")
			serveOne(s, "POST", "/send", plainMail, "X-API-KEY: guess")
		}
		for i := range 10 { // what was refused has not counted
			if got := send(); got != 200 {
				t.Fatalf("mail %d: %d", i, got)
			}
		}
		w := serveOne(s, "POST", "/send", plainMail)
		if w.Code != 429 || w.Header().Get("Retry-After") != "60" || !strings.Contains(w.Body.String(), "FORM_RATE_LIMIT") {
			t.Errorf("answer = %d %v %s", w.Code, w.Header(), w.Body)
		}
		if got := send("Peer: 127.0.0.2:1"); got != 200 {
			t.Errorf("another client = %d", got)
		}
		if got := send("X-API-KEY: own-secret"); got != 200 {
			t.Errorf("with a key = %d", got)
		}
		for i := range 10 {
			send("Peer: [2001:db8::" + string(rune('1'+i%9)) + "]:1")
		}
		if got := send("Peer: [2001:db8::ffff]:1"); got != 429 {
			t.Errorf("the same IPv6 network = %d", got)
		}
		if got := send("Peer: [2001:db8:0:1::1]:1"); got != 200 {
			t.Errorf("another IPv6 network = %d", got)
		}
		if got := send("X-Forwarded-For: 198.51.100.9"); got != 429 {
			t.Errorf("with a made-up X-Forwarded-For = %d", got)
		}
		<-time.After(2 * time.Minute)
		if got := send(); got != 200 {
			t.Errorf("later = %d", got)
		}
	})
}

// X-Forwarded-For names the client only when a trusted proxy is the peer, and then the rightmost
// address that is no proxy.
func TestForwardedFor(t *testing.T) {
	cfg := config(t)
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	cfg.FormRate = Rate{N: 1, Per: time.Minute}
	for _, c := range []struct {
		name, client string
		headers      []string
	}{
		{"proxy", "198.51.100.1", []string{"Peer: 10.0.0.1:1", "X-Forwarded-For: 198.51.100.1"}},
		{"made up before", "198.51.100.1", []string{"Peer: 10.0.0.1:1", "X-Forwarded-For: 127.0.0.1, 198.51.100.1"}},
		{"two proxies", "198.51.100.1", []string{"Peer: 10.0.0.1:1", "X-Forwarded-For: 1.1.1.1, 198.51.100.1, 10.0.0.2"}},
		{"two lines", "198.51.100.1", []string{"Peer: 10.0.0.1:1", "X-Forwarded-For: 1.1.1.1",
			"X-Forwarded-For: 198.51.100.1"}},
		{"rubbish", "10.0.0.1", []string{"Peer: 10.0.0.1:1", "X-Forwarded-For: 1.1.1.1, what"}},
		{"no proxy", "203.0.113.5", []string{"Peer: 203.0.113.5:1", "X-Forwarded-For: 198.51.100.1"}},
		{"proxy here", "198.51.100.1", []string{"Peer: 127.0.0.1:1", "X-Forwarded-For: 198.51.100.1"}},
		{"ipv6", "2001:db8::1", []string{"Peer: 10.0.0.1:1", "X-Forwarded-For: 2001:db8::1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := new(memory)
			s := New(q, cfg, discard)
			if status, _, text := post(s, `"to":"owner@example.com"`, c.headers...); status != 200 {
				t.Fatal(text)
			}
			m, _ := q.last(t)
			if got := m.Origin.Client; got != c.client && got != c.client+":1" {
				t.Errorf("client = %s, want %s", got, c.client)
			}
			if status, _, _ := post(s, `"to":"anyone@example.net"`, c.headers...); status != 429 {
				t.Errorf("second = %d, want 429", status)
			}
		})
	}
	// What came through a proxy is a visitor even when the address it names is trusted.
	status, code, _ := post(New(new(memory), cfg, discard), `"to":"anyone@example.net"`, "Peer: 127.0.0.1:1",
		"X-Forwarded-For: 127.0.0.2")
	if status != 403 || code != string(operate.CodeRecipient) {
		t.Errorf("trusted address behind a proxy = %d %s", status, code)
	}
}

// FORM_RECIPIENTS replaces the default; entries that make no sense match nothing.
func TestFormRecipients(t *testing.T) {
	cfg := outside(t)
	cfg.FormRecipients = []string{"sales@example.com", "@forms.example.net", "rubbish", ""}
	s := New(new(memory), cfg, discard)
	for to, want := range map[string]int{
		"sales@example.com": 200, "x@forms.example.net": 200, "owner@example.com": 403, "a@example.org": 403,
		"x@sub.forms.example.net": 403,
	} {
		if status, _, text := post(s, `"to":"`+to+`"`); status != want {
			t.Errorf("%s: %d, want %d: %s", to, status, want, text)
		}
	}
}

// A name that leads here is not ours, an address on which the request came in is: no page elsewhere
// can have it as its own.
func TestOurHost(t *testing.T) {
	c := newCallers(config(t))
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.:20001": true, "app.localhost": true, "127.0.0.9": true, "[::1]:1": true,
		"192.0.2.10:20001": true,
		"mail.example.org": true, "mail-api": true, "192.0.2.11": false, "example.org": false, "xlocalhost": false,
		"":                              false,
		"mail.example.org.evil.example": false, "localhost@evil.example": false, "[::1": false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		here := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 10), Port: 20001}
		if got := c.ourHost(r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, here))); got != want {
			t.Errorf("%q is ours = %v, want %v", host, got, want)
		}
	}
}

// No spelling of a recipient carries a visitor's mail past us to a domain that stands in its local
// part: other programs read such addresses in ways of their own. An address that is listed itself
// may look as it likes.
func TestVisitorRecipientsArePlain(t *testing.T) {
	cfg := outside(t)
	cfg.FormRecipients = []string{"@example.org", "@bücher.example", "o'brien@example.org", `"odd name"@example.org`}
	cfg.DefaultTo = mailbox(t, "o'wner@example.org")
	q := new(memory)
	s := New(q, cfg, discard)
	for _, to := range []string{
		"victim%third.test@example.org", "third.test!victim@example.org", `\"victim@third.test\"@example.org`,
		"VICTIM%THIRD.TEST@EXAMPLE.ORG", "a%b%third.test@Example.Org.", `\"third.test!victim\"@example.org`,
		`\"victim%third.test\"@example.org`, `\"@third.test:victim\"@example.org`, `\"vic\\\\tim\"@example.org`, "|cmd@example.org", "/etc/x@example.org",
		"~root@example.org", "victim\u200b@example.org", "victim\uff05third.test@example.org", "victim\uff20third.test@example.org",
		"o\u2019brien@example.org", "j\u00f6rg@example.org", "\u212aevin@example.org", `\"a b\"@example.org`, `\"a,b\"@example.org`,
		"victim%third.test@bücher.example", "victim%third.test@xn--bcher-kva.example", "<victim%third.test@example.org>",
		"Us <victim%third.test@example.org>", "us: victim%third.test@example.org;", "a#b@example.org", "a{b}@example.org", "a&b@example.org",
	} {
		for _, fields := range []string{`"to":"` + to + `"`, `"to":["ok@example.org","` + to + `"]`,
			`"to":"ok@example.org","cc":"` + to + `"`, `"to":"ok@example.org","bcc":["` + to + `"]`} {
			if status, code, text := post(s, fields); status < 400 || status > 403 || code != string(operate.CodeRecipient) && code != string(operate.CodeAddress) {
				t.Errorf("%s: %d %s: %s", fields, status, code, text)
			}
		}
	}
	if q.count() != 0 {
		t.Fatalf("%d mails were sent", q.count())
	}
	for _, to := range []string{"a.b+tag=x_y-z@example.org", "info@xn--bcher-kva.example", "info@bücher.example", "O'Brien@example.org",
		"o'wner@example.org", `\"odd name\"@example.org`, "INFO@EXAMPLE.ORG"} {
		if status, _, text := post(s, `"to":"`+to+`"`); status != 200 {
			t.Errorf("%s: %d %s", to, status, text)
		}
	}
}

// A domain in a key's list, or our own for programs, covers no sender that another program reads as
// one of another domain.
func TestSendersOfADomainAreOfThatDomain(t *testing.T) {
	for from, want := range map[string]int{
		"boss%third.test@example.org": 403, "third.test!boss@example.org": 403, `\"boss@third.test\"@example.org`: 403,
		`\"@third.test:boss\"@example.org`: 403, "o'brien@example.org": 200, "bounce+ada=example.net@example.org": 200, "j\u00f6rg@example.org": 200,
	} {
		for _, headers := range [][]string{nil, {"X-API-KEY: own-secret", "Peer: 192.0.2.7:99"}} {
			if status, _, text := post(New(new(memory), config(t), discard), `"to":"a@example.net","from":"`+from+`"`, headers...); status != want {
				t.Errorf("%s %v: %d, want %d: %s", from, headers, status, want, text)
			}
		}
	}
	if status, _, text := post(New(new(memory), config(t), discard), `"to":"a@example.net","from":"a%b@example.org"`, "X-API-KEY: any-secret"); status != 200 {
		t.Errorf("a key for all: %d %s", status, text)
	}
}
