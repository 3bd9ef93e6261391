package httpapi

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// hop is a next hop that takes everything.
type hop struct {
	mu   sync.Mutex
	seen []string
}

func (*hop) Ready() error { return nil }

func (h *hop) Deliver(_ context.Context, d queue.Delivery) []queue.Result {
	body, _ := io.ReadAll(d.Body)
	h.mu.Lock()
	h.seen = append(h.seen, string(body))
	h.mu.Unlock()
	results := make([]queue.Result, len(d.Envelope.To))
	for i := range results {
		results[i] = queue.Result{Outcome: queue.Delivered, Code: 250, Remote: "next.example:25", Text: "taken"}
	}
	return results
}

// whole starts the API over a real queue on a real disk.
func whole(t *testing.T, next queue.Deliverer, cfg Config, qcfg queue.Config) string {
	t.Helper()
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	q := queue.New(store, queue.One(next), qcfg, discard)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return start(t, q, cfg)
}

// What /send accepts is delivered, and its status follows it from queued to delivered under the id
// of the answer.
func TestFromSendToDelivered(t *testing.T) {
	next := new(hop)
	base := whole(t, next, config(t), queue.Config{Hostname: "mail.example.org", Domain: "example.org"})
	c := NewClient(base, "")
	defer c.Close()
	sent, err := c.Send(t.Context(), SendRequest{To: []string{"a@example.net", "b@example.net"}, Subject: "Grüße",
		Body: "words", Tags: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	for {
		st, err := c.Status(t.Context(), sent.MessageID)
		if err != nil {
			t.Fatal(err)
		}
		if st.Status != queue.StateDelivered {
			continue // the test's own deadline ends this
		}
		if st.Details.Subject != "Grüße" || st.Details.To != "a@example.net, b@example.net" ||
			st.MessageID != sent.MessageID || len(st.Tags) != 1 ||
			len(st.Recipients) != 2 || st.Recipients[1].Outcome != "delivered" || st.Attempts.Count != 1 ||
			st.Attempts.Last == nil {
			t.Errorf("status = %+v", st)
		}
		break
	}
	next.mu.Lock()
	defer next.mu.Unlock()
	if len(next.seen) != 1 || !strings.HasPrefix(next.seen[0], "Received: ") || !strings.Contains(next.seen[0],
		sent.MessageID) {
		t.Errorf("the next hop has %q", next.seen)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Errorf("health = %+v, %v", h, err)
	}
}

// In development mode what is sent is captured, shown and never handed on.
func TestFromSendToCaptured(t *testing.T) {
	next := new(hop)
	cfg := config(t)
	cfg.Development = true
	base := whole(t, next, cfg, queue.Config{Hostname: "mail.example.org", Domain: "example.org", Capture: true})
	resp, text := ask(t, "POST", base+"/send", plainMail)
	if resp.StatusCode != 200 {
		t.Fatal(text)
	}
	id := fields(t, text)["id"].(string)
	if _, text := ask(t, "GET", base+"/captured", ""); !strings.Contains(text, id) || !strings.Contains(text, "Hello") {
		t.Errorf("list = %s", text)
	}
	if _, text := ask(t, "GET", base+"/captured/"+id, "", "Accept: text/html"); !strings.Contains(text, "How are you?") {
		t.Errorf("page = %s", text)
	}
	if _, text := ask(t, "GET", base+"/captured/"+id+"/raw", ""); !strings.HasPrefix(text, "Received: ") ||
		!strings.Contains(text, "How are you?") {
		t.Errorf("raw = %s", text)
	}
	if _, text := ask(t, "GET", base+"/api/v1/email/status/"+id, ""); fields(t, text)["status"] != "captured" {
		t.Errorf("status = %s", text)
	}
	if len(next.seen) != 0 {
		t.Error("captured mail was handed on")
	}
}

// The queue's limits reach the caller as statuses.
func TestQueueLimitsOverHTTP(t *testing.T) {
	base := whole(t, new(hop), config(t), queue.Config{Domain: "example.org", MaxMessageBytes: 4000, MaxRecipients: 2,
		Capture: true})
	for _, c := range []struct {
		json   string
		status int
		code   operate.Code
	}{
		{`"to":"a@example.net","body":"` + strings.Repeat("long ", 2000) + `"`, 413, operate.CodeTooLarge},
		{`"to":"a@example.net,b@example.net,c@example.net","body":"b"`, 400, operate.CodeManyRecipients},
		{`"to":"a@example.net,b@example.net","body":"b"`, 200, ""},
	} {
		resp, text := ask(t, "POST", base+"/send", `{"subject":"s",`+c.json+`}`)
		if code, _ := fields(t, text)["code"].(string); resp.StatusCode != c.status || code != string(c.code) {
			t.Errorf("answer = %d %s, want %d %s", resp.StatusCode, text, c.status, c.code)
		}
	}
}
