package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"strings"
	"testing"
)

// develop is a server in development mode with one captured mail in it, whose words try to be
// markup.
func develop(t *testing.T) (*Server, *memory, string) {
	q := new(memory)
	cfg := config(t)
	cfg.Development = true
	s := New(q, cfg, discard)
	w := serveOne(s, "POST", "/send",
		`{"to":"a@example.net","subject":"<script>alert(1)</script>","body":"Words <b>","html":"<p>Rich<script>alert(2)</script></p>",
		"attachments":[{"filename":"<i>.txt","content":"YQ=="}]}`)
	if w.Code != 200 {
		t.Fatal(w.Body)
	}
	m, _ := q.last(t)
	return s, q, string(m.ID)
}

// Captured mail is listed and shown as JSON, its raw form byte for byte.
func TestCapturedJSON(t *testing.T) {
	s, q, id := develop(t)
	w := serveOne(s, "GET", "/captured", "")
	list, _ := fields(t, w.Body.String())["messages"].([]any)
	if w.Code != 200 || len(list) != 1 || list[0].(map[string]any)["id"] != id ||
		list[0].(map[string]any)["to"] != "a@example.net" {
		t.Fatalf("list = %d %s", w.Code, w.Body)
	}
	w = serveOne(s, "GET", "/captured/"+id, "")
	f := fields(t, w.Body.String())
	_, body := q.last(t)
	if w.Code != 200 || !strings.Contains(f["text"].(string), "Words <b>") || !strings.Contains(f["html"].(string),
		"<p>Rich") || f["raw"] != body ||
		f["rawTruncated"] != false || len(f["attachments"].([]any)) != 1 || len(f["headers"].([]any)) < 5 {
		t.Errorf("mail = %d %s", w.Code, w.Body)
	}
	w = serveOne(s, "GET", "/captured/"+id+"/raw", "")
	if w.Body.String() != body || w.Header().Get("Content-Type") != "message/rfc822" ||
		!strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
		t.Errorf("raw = %v %s", w.Header(), w.Body)
	}
	for _, path := range []string{"/captured/nothing", "/captured/0000000000000000", "/captured/0000000000000000/raw",
		"/captured/x/html"} {
		if w := serveOne(s, "GET", path, ""); w.Code != 404 {
			t.Errorf("%s = %d", path, w.Code)
		}
	}
}

// A list comes in pages, each leading to the next.
func TestCapturedPages(t *testing.T) {
	s, q, _ := develop(t)
	for range 4 {
		serveOne(s, "POST", "/send", plainMail)
	}
	seen, path := 0, "/captured?limit=2"
	for path != "" {
		f := fields(t, serveOne(s, "GET", path, "").Body.String())
		seen += len(f["messages"].([]any))
		path = ""
		if next, ok := f["next"].(string); ok {
			path = "/captured?limit=2&after=" + next
		}
	}
	if seen != q.count() {
		t.Errorf("seen %d of %d", seen, q.count())
	}
}

// A browser gets pages on which a mail's words stay words, no script may run and nothing is loaded
// from elsewhere.
func TestCapturedPage(t *testing.T) {
	s, _, id := develop(t)
	for _, path := range []string{"/captured", "/captured/" + id} {
		w := serveOne(s, "GET", path, "", "Accept: text/html,*/*;q=0.8", "Sec-Fetch-Site: cross-site",
			"Sec-Fetch-Mode: navigate")
		text, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Fatalf("%s = %d %v", path, w.Code, w.Header())
		}
		if strings.Contains(text, "<script") || strings.Contains(text, "<i>") || strings.Contains(text, "http://") ||
			strings.Contains(text, "https://") {
			t.Errorf("%s has markup of the mail: %s", path, text)
		}
		if !strings.Contains(html.UnescapeString(text), "<script>alert(1)</script>") {
			t.Errorf("%s does not show the subject: %s", path, text)
		}
		_, style, _ := strings.Cut(text, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy,
			"'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
			t.Errorf("policy = %s", policy)
		}
	}
	w := serveOne(s, "GET", "/captured/"+id+"/html", "", "Sec-Fetch-Site: same-origin")
	if policy := w.Header().Get("Content-Security-Policy"); w.Code != 200 || !strings.Contains(w.Body.String(),
		"<p>Rich") ||
		!strings.HasPrefix(policy, "sandbox; default-src 'none'") || strings.Contains(policy, "allow-") {
		t.Errorf("html = %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := serveOne(s, "GET", "/", ""); w.Code != http.StatusFound || w.Header().Get("Location") != "/captured" {
		t.Errorf("/ = %d %v", w.Code, w.Header())
	}
}

// Captured mail is for this machine only, whatever name leads here, and for nobody outside
// development mode.
func TestCapturedIsLocal(t *testing.T) {
	s, q, id := develop(t)
	for _, h := range []string{"Peer: 192.0.2.1:1", "Host: evil.example", "X-Forwarded-For: 127.0.0.1",
		"Origin: https://example.org", "X-API-KEY: own-secret",
		"Sec-Fetch-Site: cross-site"} {
		for _, path := range []string{"/captured", "/captured/" + id, "/captured/" + id + "/raw", "/captured/" + id +
			"/html"} {
			if w := serveOne(s, "GET", path, "", h); w.Code != 403 {
				t.Errorf("%s with %s = %d", path, h, w.Code)
			}
		}
	}
	q.mail[0].Captured = false
	if w := serveOne(s, "GET", "/captured/"+id, ""); w.Code != 404 {
		t.Errorf("mail that was not captured = %d", w.Code)
	}
}
