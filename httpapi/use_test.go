package httpapi

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"dinkymail/account"
)

// New settings are those of the next request over the same connection. What a visitor has used up
// stays used up.
func TestUse(t *testing.T) {
	q := new(memory)
	cfg := config(t)
	cfg.FormRate = Rate{2, time.Hour}
	s := New(q, cfg, slog.New(slog.DiscardHandler))
	base := serveUntilEnd(t, s)
	post := func(origin, key string) int {
		t.Helper()
		body := `{"subject":"x","body":"x"}`
		if key != "" {
			body = `{"to":"a@example.net","subject":"x","body":"x"}`
		}
		r, err := http.NewRequest(http.MethodPost, base+"/send", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	expect := func(step string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: status %d, want %d", step, got, want)
		}
	}
	const old, fresh = "https://example.org", "https://shop.example.net"
	expect("before, the old page", post(old, ""), 200)
	expect("before, the new page", post(fresh, ""), 403)
	expect("before, the key", post("", "new-secret"), 401)

	cfg.AllowedHosts = []string{"shop.example.net"}
	cfg.Accounts = accounts(account.Key{Name: "new", Secret: "new-secret", From: []string{"*"}})
	s.Use(cfg)
	expect("after, the old page", post(old, ""), 403)
	expect("after, the new page", post(fresh, ""), 200)
	expect("after, one too many", post(fresh, ""), 429)
	expect("after, the key", post("", "new-secret"), 200)
	expect("after, an old key", post("", "shop-secret"), 401)

	cfg.FormRate = Rate{9, time.Hour}
	cfg.MaxBody = 100
	s.Use(cfg)
	expect("a larger rate", post(fresh, ""), 200)
	if left := s.bodies.left.Load(); left != s.latest.Load().cfg.MaxBuffered {
		t.Errorf("room for %d bytes of bodies, want %d", left, s.latest.Load().cfg.MaxBuffered)
	}
	if got := q.count(); got != 4 {
		t.Errorf("%d mails, want 4", got)
	}
}
