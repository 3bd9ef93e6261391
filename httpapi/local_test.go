package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// offline is a client of a queue that nobody runs.
func offline(t *testing.T) *Client {
	t.Helper()
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, discard)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(store, queue.One(new(hop)), queue.Config{Hostname: "mail.example.org", Domain: "example.org"}, discard)
	c := NewLocalClient(New(q, config(t), discard).Control())
	t.Cleanup(func() {
		c.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Within the process everything answers as it does over the socket: verbs, streams and refusals.
func TestLocalClient(t *testing.T) {
	c := offline(t)
	long := strings.Repeat("Many words.\r\n", 100_000)
	sent, err := c.Submit(t.Context(), "ada@example.org", []string{"bob@example.net"}, strings.NewReader("Subject: s\r\n\r\n"+long))
	if err != nil {
		t.Fatal(err)
	}
	id := queue.ID(sent.ID)
	var b bytes.Buffer
	if err := c.Cat(t.Context(), id, "body", &b); err != nil || b.String() != long {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
	if d, err := c.Show(t.Context(), id); err != nil || d.State != queue.StateQueued || d.Origin.Client != "unix" {
		t.Errorf("%+v, %v", d, err)
	}
	if res, err := c.Act(t.Context(), Action{Verb: Remove, Selection: named(id)}); err != nil || res.Done != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.Detail.Version != "1.2.3" {
		t.Errorf("%+v, %v", h, err)
	}
	_, err = c.Show(t.Context(), "0000000000000000")
	wantCode(t, err, 404, codeNotFound)
}

// A stream ends when its reader has enough, and so does a reader that goes away in the middle.
func TestLocalStreams(t *testing.T) {
	c := offline(t)
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	seen := make(chan queue.Event, 1000)
	go func() {
		watching <- c.Watch(ctx, func(e queue.Event) error { seen <- e; return nil })
	}()
	var id queue.ID
	for len(seen) == 0 {
		sent, err := c.Submit(t.Context(), "ada@example.org", []string{"bob@example.net"},
			strings.NewReader("Subject: s\n\n"+strings.Repeat("Many words.\n", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		id = queue.ID(sent.ID)
	}
	if e := <-seen; e.Kind != queue.EventQueued {
		t.Errorf("event = %+v", e)
	}
	cancel()
	if err := <-watching; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v", err)
	}
	enough := errors.New("enough")
	if err := c.Cat(t.Context(), id, "raw", writer(func(p []byte) (int, error) { return 0, enough })); !errors.Is(err, enough) {
		t.Errorf("Cat = %v", err)
	}
	if _, err := c.Stats(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stats after the end = %v", err)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A handler that panics in the middle of its answer is no whole answer.
func TestLocalHandlerPanics(t *testing.T) {
	c := NewLocalClient(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("no such thing")
	}))
	var b bytes.Buffer
	if err := c.Cat(t.Context(), "x", "raw", &b); err == nil || b.String() != "half" {
		t.Errorf("Cat = %q, %v", &b, err)
	}
}

// The kept log is passed on, and what goes wrong with it is an answer as long as nothing of it was sent.
func TestKeptLog(t *testing.T) {
	cfg := config(t)
	cfg.Log = func(_ context.Context, id string, w io.Writer) error {
		if id == "none" {
			return queue.ErrNotFound
		}
		_, err := io.WriteString(w, "level=INFO msg=queued id="+id+"\n")
		if id == "torn" {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	c := NewLocalClient(New(new(memory), cfg, discard).Control())
	var b bytes.Buffer
	if err := c.Log(t.Context(), "x", &b); err != nil || b.String() != "level=INFO msg=queued id=x\n" {
		t.Errorf("Log = %q, %v", &b, err)
	}
	if err := c.Log(t.Context(), "torn", &b); err == nil {
		t.Error("half a log looks whole")
	}
	wantCode(t, c.Log(t.Context(), "none", &b), 404, codeNotFound)
	wantCode(t, c.Log(t.Context(), "", &b), 400, codeFormat, "id")
}
