package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/operate"
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

// Preflights: an allowed origin is answered 204 and told what it may do, a foreign one 403 and
// nothing.
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

// An answer to an allowed page carries its origin, also when it is an error; one to a foreign page
// never does, and its mail is not sent. An empty list allows nobody.
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
	wantRefusal(t, resp, text, 403, "This page's origin …", operate.CodeOrigin)
	if !strings.Contains(text, "ALLOWED_HOSTS") {
		t.Error(text)
	}
}

// What fetch libraries and tracing scripts add is allowed to a page that may call, and to no other;
// a slash at the end changes nothing, neither for the preflight nor for the request.
func TestPreflightsOfRealPages(t *testing.T) {
	base := start(t, new(memory), config(t))
	const asked = "authorization,baggage,cache-control,content-type,idempotency-key,pragma,sentry-trace,traceparent,tracestate," +
		"x-api-key,x-csrf-token,x-requested-with,x-something-new"
	for path, method := range map[string]string{
		"/send": "POST", "/send/": "POST", "/send//": "POST", "/api/v1/email/send/": "POST", "/api/v1/email/status/x/": "GET",
		"/api/health": "GET", "/api/health/": "GET",
	} {
		resp, _ := ask(t, "OPTIONS", base+path, "", "Origin: https://example.org", "Access-Control-Request-Method: "+method,
			"Access-Control-Request-Headers: "+asked)
		h := resp.Header
		if resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "https://example.org" {
			t.Errorf("%s = %d %v", path, resp.StatusCode, h)
		}
		for name := range strings.SplitSeq(asked, ",") {
			if !strings.Contains(", "+strings.ToLower(h.Get("Access-Control-Allow-Headers"))+",", " "+name+",") {
				t.Errorf("%s does not allow %s: %v", path, name, h)
			}
		}
		resp, _ = ask(t, "OPTIONS", base+path, "", "Origin: https://evil.example", "Access-Control-Request-Method: "+method,
			"Access-Control-Request-Headers: "+asked)
		if h := resp.Header; resp.StatusCode != 403 || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("%s for a foreign page = %d %v", path, resp.StatusCode, h)
		}
	}
	for _, path := range []string{"/send/", "/api/v1/email/send/", "/send///"} {
		resp, text := ask(t, "POST", base+path, `{"to":"owner@example.com","subject":"s","body":"b"}`,
			"Origin: https://example.org")
		if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "https://example.org" {
			t.Errorf("%s = %d %v %s", path, resp.StatusCode, resp.Header, text)
		}
	}
	if resp, _ := ask(t, "GET", base+"/health/", ""); resp.StatusCode != 200 {
		t.Errorf("/health/ = %d", resp.StatusCode)
	}
	if resp, text := ask(t, "POST", base+"/api/v1/email/send/", "{}"); resp.StatusCode != 400 || !strings.HasPrefix(text, `{"error":true`) {
		t.Errorf("an error of the email API = %d %s", resp.StatusCode, text)
	}
}

// The log tells of a refused page once a minute, with the line that would allow it, and of a flood
// of made-up ones only so many.
func TestRefusedPagesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(logged)
		s := New(new(memory), config(t), slog.New(slog.NewTextHandler(log, nil)))
		refuse := func(origin string) {
			serveOne(s, "OPTIONS", "/send", "", "Origin: "+origin, "Access-Control-Request-Method: POST")
		}
		for range 3 {
			refuse("https://Shop.example:8443")
			serveOne(s, "POST", "/send", "{}", "Origin: https://shop.example:8443")
			refuse("null")
		}
		text := log.String()
		if strings.Count(text, "\n") != 2 || !strings.Contains(text, "ALLOWED_HOSTS=example.org,shop.example") || !strings.Contains(text, "origin=null") {
			t.Errorf("the log says %s", text)
		}
		time.Sleep(foreignEvery)
		refuse("https://shop.example:8443")
		if got := strings.Count(log.String(), "\n"); got != 3 {
			t.Errorf("a minute later there are %d lines", got)
		}
		for i := range 3 * foreignKept {
			refuse(fmt.Sprintf("https://x%d.example", i))
		}
		if got := strings.Count(log.String(), "\n"); got > 3+foreignKept || len(s.foreign.told) > foreignKept {
			t.Errorf("a flood makes %d lines", got)
		}
	})
}
