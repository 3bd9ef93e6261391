package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// What is accepted is on disk under its ID, with the trace field and the facts, before Submit
// returns; Run is not needed.
func TestSubmitStores(t *testing.T) {
	s, _ := openStore(t, t.TempDir())
	q := queue.New(s, queue.One(&hop{}), settings(), quiet())
	in := letter(t, "bob@example.net")
	in.ID, in.Tags, in.Metadata = queue.NewID(), []string{"x"}, map[string]string{"k": "v"}
	id, err := q.Submit(context.Background(), in)
	if err != nil || id != in.ID {
		t.Fatal(id, err)
	}
	m, err := q.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	if st, why := q.State(&m); st != queue.StateQueued || why != "" || m.Facts.Subject != "hello" || m.Tags[0] != "x" ||
		m.Metadata["k"] != "v" || m.Origin.Client != "127.0.0.1:4242" || m.NextAttempt().IsZero() {
		t.Errorf("%s %q %+v", st, why, m)
	}
	body, err := q.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Received: from there", "by mail.example.org", string(id) + "@example.org", "\r\n\r\nHello, Bob.\r\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in:\n%s", want, b)
		}
	}
	if int64(len(b)) != m.Size {
		t.Errorf("size %d, body has %d bytes", m.Size, len(b))
	}
	list, err := q.List(context.Background(), queue.Filter{Waiting: true}, "", 10)
	if err != nil || len(list) != 1 || list[0].ID != id || q.Check() != nil {
		t.Errorf("list %v, %v", list, err)
	}
}

// Each limit is answered with its own error, and nothing is kept.
func TestLimits(t *testing.T) {
	lost := errors.New("connection lost")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	size := int64(len(text)) // what is kept is larger by the Received field, up to about 300 bytes
	for _, c := range []struct {
		name   string
		ctx    context.Context
		cfg    func(*queue.Config)
		mail   func(*queue.Submission)
		before int // messages waiting
		want   error
	}{
		{name: "no recipient", mail: func(s *queue.Submission) { s.Envelope.To = nil }, want: queue.ErrNoRecipients},
		{name: "too many recipients", cfg: func(c *queue.Config) { c.MaxRecipients = 1 }, want: queue.ErrTooManyRecipients},
		{name: "as large as may be", cfg: func(c *queue.Config) { c.MaxMessageBytes = size }},
		{name: "too large by one", cfg: func(c *queue.Config) { c.MaxMessageBytes = size - 1 }, want: queue.ErrTooLarge},
		{name: "full by number", cfg: func(c *queue.Config) { c.MaxMessages = 2 }, before: 2, want: queue.ErrFull},
		{name: "not full", cfg: func(c *queue.Config) { c.MaxMessages = 3 }, before: 2},
		{name: "full by bytes", cfg: func(c *queue.Config) { c.MaxBytes = 500 }, before: 1, want: queue.ErrFull},
		{name: "no room for this one", cfg: func(c *queue.Config) { c.MaxBytes = size }, want: queue.ErrFull},
		{name: "context ended", ctx: ended, want: context.Canceled},
		{name: "body breaks off", want: lost, mail: func(s *queue.Submission) {
			s.Body = io.MultiReader(strings.NewReader(text), iotest.ErrReader(fmt.Errorf("read: %w", lost)))
		}},
		{name: "bare line feed", want: message.ErrMalformed, mail: func(s *queue.Submission) {
			s.Body = strings.NewReader("Subject: x\r\n\r\na\nb\r\n")
		}},
		{name: "in circles", want: message.ErrLoop, mail: func(s *queue.Submission) {
			s.Body = strings.NewReader(strings.Repeat("Received: by x; y\r\n", 60) + text)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings()
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			s, _ := openStore(t, t.TempDir())
			q := queue.New(s, queue.One(&hop{}), cfg, quiet())
			for range c.before {
				if _, err := q.Submit(context.Background(), letter(t, "bob@example.net")); err != nil {
					t.Fatal(err)
				}
			}
			in := letter(t, "a@example.net", "b@example.net")
			if c.mail != nil {
				c.mail(&in)
			}
			ctx := c.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			id, err := q.Submit(ctx, in)
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			want := c.before
			if c.want == nil {
				want++
			}
			if got := s.Stats().Waiting; got != want || (id == "") != (c.want != nil) {
				t.Errorf("%d messages kept, want %d; id %q", got, want, id)
			}
		})
	}
}

// In development mode mail is captured: it never leaves, not even when the same queue later runs in
// production, and what waited before stays.
func TestCapturedNeverLeaves(t *testing.T) {
	dir := t.TempDir()
	begin := func(capture bool, h *hop, test func(t *testing.T, g *rig)) {
		cfg := settings()
		cfg.Capture, cfg.MaxCaptured = capture, 3
		bubbleIn(t, dir, h, cfg, test)
	}
	var waiting, captured queue.ID
	begin(false, &hop{answer: always(later)}, func(t *testing.T, g *rig) {
		waiting = g.send(letter(t, "bob@example.net"))
	})
	h := &hop{}
	begin(true, h, func(t *testing.T, g *rig) {
		g.wantState(waiting, queue.StateDeferred, "development mode")
		captured = g.send(letter(t, "bob@example.net"))
		pass(10 * 24 * time.Hour)
		g.wantState(waiting, queue.StateDeferred, "development mode")
		g.wantState(captured, queue.StateCaptured, "")
		if m := g.record(captured); !m.Captured || !m.NextAttempt().IsZero() || !m.Finished.IsZero() {
			t.Errorf("record: %+v", m)
		}
		if b, err := g.Body(captured); err != nil {
			t.Error(err)
		} else {
			b.Close()
		}
		g.wantLog(1, "msg=captured", string(captured))
		g.Wake()
		pass(time.Minute)
	})
	begin(false, h, func(t *testing.T, g *rig) {
		pass(24 * time.Hour)
		g.wantState(captured, queue.StateCaptured, "")
		g.wantState(waiting, queue.StateDelivered, "")
	})
	if tries := h.seen(); len(tries) != 1 || tries[0].id != waiting {
		t.Errorf("attempts: %+v", tries)
	}
}

// The newest MaxCaptured captured messages are kept, until their retention is over.
func TestCapturedMakesRoom(t *testing.T) {
	cfg := settings()
	cfg.Capture, cfg.MaxCaptured = true, 3
	bubble(t, nil, cfg, func(t *testing.T, g *rig) { // no next hop is ever asked
		var ids []queue.ID
		for range 5 {
			ids = append(ids, g.send(letter(t, "bob@example.net")))
		}
		for i, id := range ids {
			if _, err := g.Get(id); errors.Is(err, queue.ErrNotFound) != (i < 2) {
				t.Errorf("message %d: %v", i, err)
			}
		}
		pass(30*24*time.Hour + 2*time.Hour)
		if n := g.Status().Store.Captured; n != 0 {
			t.Errorf("%d captured messages left", n)
		}
	})
}

// Records of finished mail go when their retention is over, not before.
func TestRetention(t *testing.T) {
	bubble(t, &hop{}, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		if _, err := g.Body(id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("body of a finished message: %v", err)
		}
		pass(30*24*time.Hour - time.Hour)
		g.wantState(id, queue.StateDelivered, "")
		pass(2*time.Hour + time.Minute)
		if _, err := g.Get(id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("record: %v", err)
		}
	})
}

// A store that is broken for good is reported as such, and nothing is delivered any more.
func TestBrokenStore(t *testing.T) {
	h := &hop{answer: always(later)}
	sickBubble(t, h, settings(), func(t *testing.T, g *rig, s *sick) {
		id := g.send(letter(t, "bob@example.net"))
		s.set(fmt.Errorf("commit: %w", queue.ErrBroken), nil)
		_, err := g.Submit(context.Background(), letter(t, "bob@example.net"))
		if !errors.Is(err, queue.ErrBroken) || !errors.Is(g.Check(), queue.ErrBroken) || !errors.Is(g.Status().Broken, queue.ErrBroken) {
			t.Errorf("submit: %v, check: %v, status: %v", err, g.Check(), g.Status().Broken)
		}
		pass(time.Hour)
		g.wantState(id, queue.StateDeferred, "restart")
		if n := len(h.seen()); n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// IDs are valid, and their order is the order in which they were made, whatever the clock does.
func TestIDsSort(t *testing.T) {
	last := queue.ID("")
	for range 10_000 {
		id := queue.NewID()
		if !id.Valid() || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
	for _, bad := range []queue.ID{"", "0123456789abcde", "0123456789abcdefg", "0123456789ABCDEF", "0123456789abcdew", "../../../../../x"} {
		if bad.Valid() {
			t.Errorf("%q is valid", bad)
		}
	}
}
