package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The three forms of ALLOWED_HOSTS, and what each does not cover.
func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		list, origin string
		want         bool
	}{
		{"example.com", "https://example.com", true},
		{"example.com", "http://example.com", true},
		{"example.com", "https://example.com:8443", true},
		{"example.com", "HTTPS://EXAMPLE.COM", true},
		{"Example.COM.", "https://example.com", true},
		{"example.com", "https://www.example.com", false},
		{"example.com", "https://notexample.com", false},
		{"example.com", "https://example.com.evil.example", false},
		{"example.com", "https://evil.example#example.com", false},
		{"example.com", "https://example.com@evil.example", false},
		{"example.com", "https://evil.example\\example.com", false},
		{"example.com", "https://example.com/", false},
		{"example.com", "https://example.com:", false},
		{"example.com", "ftp://example.com", false},
		{"example.com", "null", false},
		{"example.com", "", false},
		{"example.com", "example.com", false},
		{"*.example.com", "https://www.example.com", true},
		{"*.example.com", "http://a.b.example.com:81", true},
		{"*.example.com", "https://example.com", false},
		{"*.example.com", "https://evilexample.com", false},
		{"*.example.com", "https://.example.com", false},
		{"https://example.com:8443", "https://example.com:8443", true},
		{"https://example.com:8443", "https://example.com", false},
		{"https://example.com:8443", "http://example.com:8443", false},
		{"https://example.com", "https://example.com:443", true},
		{"https://example.com/", "https://example.com", true},
		{"https://example.com", "http://example.com", false},
		{"a.example, b.example", "https://a.example", false}, // one entry, not two
		{"*", "https://example.com", false},
		{"", "https://example.com", false},
		{"bücher.example", "https://xn--bcher-kva.example", true},
		{"localhost", "http://localhost:3000", true},
		{"[::1]", "http://[::1]:3000", true},
		{"127.0.0.1", "http://127.0.0.1:3000", true},
		{"http://[::1]:3000", "http://[::1]:3000", true},
	} {
		o, _ := ParseOrigins([]string{c.list})
		if got := o.Allow(c.origin); got != c.want {
			t.Errorf("%q allows %q = %v, want %v", c.list, c.origin, got, c.want)
		}
	}
	if _, err := ParseOrigins([]string{"ok.example", "*", "http://", "a b", "https://x/path"}); err == nil ||
		strings.Count(err.Error(), "\n") != 3 || strings.Contains(err.Error(), "ok.example") {
		t.Errorf("ParseOrigins = %v, want four complaints", err)
	}
}

// Preflights: an allowed origin is answered 204 and told what it may do, a foreign one 403 and nothing.
func TestPreflight(t *testing.T) {
	base := start(t, new(memory), config(t))
	for _, path := range []string{"/send", "/api/v1/email/send"} {
		resp, text := ask(t, "OPTIONS", base+path, "", "Origin: https://example.org", "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: content-type,x-api-key")
		h := resp.Header
		if resp.StatusCode != 204 || text != "" || h.Get("Access-Control-Allow-Origin") != "https://example.org" ||
			!varies(h) {
			t.Errorf("%s = %d %v", path, resp.StatusCode, h)
		}
		if !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") ||
			h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s = %v", path, h)
		}
		for _, name := range []string{"Content-Type", "X-API-KEY", "Authorization"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s does not allow the header %s: %v", path, name, h)
			}
		}
		for _, origin := range []string{"https://evil.example", "null", "https://www.example.org"} {
			resp, _ := ask(t, "OPTIONS", base+path, "", "Origin: "+origin, "Access-Control-Request-Method: POST")
			if resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" || !varies(resp.Header) {
				t.Errorf("%s for %s = %d %v", path, origin, resp.StatusCode, resp.Header)
			}
		}
	}
	resp, _ := ask(t, "OPTIONS", base+"/api/v1/email/status/x", "", "Origin: https://example.org",
		"Access-Control-Request-Method: GET")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Methods") != "GET, HEAD, OPTIONS" {
		t.Errorf("status = %d %v", resp.StatusCode, resp.Header)
	}
}

func varies(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Vary"), func(v string) bool { return strings.Contains(v, "Origin") })
}

// An answer to an allowed page carries its origin, also when it is an error; one to a foreign page never does, and its mail is
// not sent. An empty list allows nobody.
func TestCrossOriginSend(t *testing.T) {
	for _, c := range []struct {
		hosts, origin string
		status        int
		allowed       bool
	}{
		{"example.org", "https://example.org", 200, true},
		{"example.org", "https://example.org:8443", 200, true},
		{"example.org", "https://evil.example", 403, false},
		{"", "https://example.org", 403, false},
		{"*", "https://example.org", 403, false},
	} {
		q := new(memory)
		cfg := config(t)
		cfg.AllowedHosts = nil
		if c.hosts != "" {
			cfg.AllowedHosts = []string{c.hosts}
		}
		w := serveOne(New(q, cfg, discard), "POST", "/send", `{"to":"owner@example.com","subject":"s","body":"b"}`,
			"Origin: "+c.origin)
		want := ""
		if c.allowed {
			want = c.origin
		}
		if w.Code != c.status || w.Header().Get("Access-Control-Allow-Origin") != want || !varies(w.Header()) ||
			(q.count() == 1) != c.allowed {
			t.Errorf("%+v = %d %v", c, w.Code, w.Header())
		}
	}
	w := serveOne(New(new(memory), config(t), discard), "POST", "/send", "{}", "Origin: https://example.org")
	if w.Code != 400 || w.Header().Get("Access-Control-Allow-Origin") != "https://example.org" {
		t.Errorf("an error = %d %v", w.Code, w.Header())
	}
}

// Our own page is no foreigner, but only under a name that is ours.
func TestSameOrigin(t *testing.T) {
	cfg := config(t)
	cfg.AllowedHosts = nil
	s := New(new(memory), cfg, discard)
	for host, want := range map[string]int{"localhost:20001": 200, "mail.example.org": 200, "evil.example:20001": 403} {
		status, _, text := post(s, `"to":"owner@example.com"`, "Host: "+host, "Origin: http://"+host)
		if status != want {
			t.Errorf("%s: %d, want %d: %s", host, status, want, text)
		}
	}
}

// A foreign page is refused before the body is read.
func TestForeignOriginIsRefusedFirst(t *testing.T) {
	base := start(t, new(memory), config(t))
	resp, text := ask(t, "POST", base+"/send", "not JSON", "Origin: https://evil.example")
	wantRefusal(t, resp, text, 403, "This page's origin …", codeOrigin)
	if !strings.Contains(text, "ALLOWED_HOSTS") {
		t.Error(text)
	}
}
