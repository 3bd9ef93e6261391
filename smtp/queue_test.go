package smtp

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// nowhere is a next hop that is never ready.
type nowhere struct{}

func (nowhere) Ready() error                                           { return errTest }
func (nowhere) Deliver(context.Context, queue.Delivery) []queue.Result { return nil }

// "queued as ID" means that the mail is on the disk under that ID, with its envelope and its trace;
// a full queue is 452 and keeps nothing.
func TestQueuedMeansOnDisk(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(dir, boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(store, queue.One(nowhere{}), queue.Config{Hostname: "mail.example.org", Domain: "example.org", MaxMessages: 1}, log)
	ctx, cancel := context.WithCancel(t.Context())
	ln, done := listen(t), make(chan error)
	cfg := Config{Hostname: "mail.example.org", Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	go func() { done <- New(q, cfg, log).Serve(ctx, ln) }()
	p := dial(t, ln.Addr().String())
	var replies []string
	for range 2 {
		p.mail()
		p.say("DATA", "354")
		p.send(sample + ".\r\n")
		replies = append(replies, p.reply())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	id, ok := strings.CutPrefix(replies[0], "250 2.0.0 queued as ")
	if !ok || !strings.HasPrefix(replies[1], "452 4.3.1") {
		t.Fatalf("got %q", replies)
	}
	if store, err = boltstore.Open(dir, boltstore.Config{}, log); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	checkKept(t, store, queue.ID(id))
}

func checkKept(t *testing.T, store queue.Store, id queue.ID) {
	t.Helper()
	m, err := store.Get(id)
	if err != nil || m.Origin.Door != "smtp" || m.Envelope.To[0].String() != "bob@example.net" {
		t.Fatalf("kept %+v, %v", m, err)
	}
	body, err := store.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil || !strings.HasSuffix(string(text), sample[strings.Index(sample, "\r\n\r\n"):]) ||
		!strings.Contains(string(text), "with ESMTP id "+string(id)) {
		t.Errorf("kept %q, %v", text, err)
	}
	if all, err := store.List(queue.Filter{}, "", 10); err != nil || len(all) != 1 {
		t.Errorf("%d mails kept, want 1 (%v)", len(all), err)
	}
}
