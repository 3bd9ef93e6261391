package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

// The client sends what the API reads, and gets back what it says.
func TestClient(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	c := NewClient(base+"/", "")
	defer c.Close()
	h, err := c.Health(t.Context())
	if err != nil || h.Status != "ok" || h.Detail.Version != "1.2.3" {
		t.Errorf("Health = %+v, %v", h, err)
	}
	at := time.Now().Add(time.Hour)
	sent, err := c.Send(t.Context(), SendRequest{To: []string{"a@example.net"}, Cc: []string{"c@example.net"},
		Subject: "s", Body: "words", HTML: "<p>words</p>",
		From: "me@example.org", ReplyTo: []string{"r@example.net"}, Headers: map[string]string{"X-A": "1"}, SendAt: &at,
		Tags:        []string{"t"},
		Attachments: []SendAttachment{{Filename: "f.txt", Content: []byte("file")}}})
	if err != nil {
		t.Fatal(err)
	}
	m, body := q.last(t)
	if string(m.ID) != sent.ID || sent.Status != "queued" || recipients(m) != "a@example.net c@example.net" ||
		!strings.Contains(body, "f.txt") {
		t.Errorf("sent = %+v, mail = %s", sent, body)
	}
	st, err := c.Status(t.Context(), sent.MessageID)
	if err != nil || string(st.ID) != sent.ID {
		t.Errorf("Status = %+v, %v", st, err)
	}
}

// What goes wrong is an *operate.Error with the API's own words, or says who did not answer.
func TestClientErrors(t *testing.T) {
	q := &memory{sick: errDisk, fail: queue.ErrFull}
	base := start(t, q, config(t))
	c := NewClient(base, "wrong")
	defer c.Close()
	_, err := c.Send(t.Context(), SendRequest{})
	if e, ok := errors.AsType[*operate.Error](err); !ok || e.Code != operate.CodeKey || !strings.Contains(e.Error(),
		"API_KEYS") {
		t.Errorf("wrong key = %v", err)
	}
	local := NewClient(base, "")
	defer local.Close()
	h, err := local.Health(t.Context())
	if e, ok := errors.AsType[*operate.Error](err); !ok || e.Code != operate.CodeUnavailable || h.Status != "down" {
		t.Errorf("Health = %+v, %v", h, err)
	}
	if _, err = local.Status(t.Context(), "nothing"); err == nil || !strings.Contains(err.Error(), "no such mail") {
		t.Errorf("Status = %v", err)
	}
	other := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer other.Close()
	stranger := NewClient(other.URL, "")
	defer stranger.Close()
	if _, err = stranger.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer of Dinkymail") {
		t.Errorf("another server = %v", err)
	}
	nobody := NewClient("http://127.0.0.1:1", "")
	if _, err = nobody.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody = %v", err)
	}
	if _, err = NewClient("::", "").Health(t.Context()); err == nil {
		t.Error("no error for a bad address")
	}
}
