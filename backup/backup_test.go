package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(t.TempDir(), boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// source gives a store the face of a queue.
type source struct{ *boltstore.Store }

func (s source) List(_ context.Context, f queue.Filter, after queue.ID, limit int) ([]queue.Message, error) {
	return s.Store.List(f, after, limit)
}

func put(t testing.TB, s queue.Store, body string, change func(*queue.Message)) queue.ID {
	t.Helper()
	id := queue.NewID()
	_, err := s.Put(strings.NewReader(body), func(int64) (queue.Message, error) {
		m := queue.Message{ID: id, Accepted: time.Now(), Legs: []queue.Leg{{Lane: queue.Upstream, Next: time.Now()}}, Results: make([]queue.Result, 1),
			Envelope: message.Envelope{From: message.Address{Local: "ada", Domain: "example.org"},
				To: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "example.net"}, Notify: message.NotifyDelay,
					Original: "rfc822;x@y"}}}}
		return m, nil
	})
	if err == nil && change != nil {
		_, err = s.Update(id, change)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func backedUp(t testing.TB, s *boltstore.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(t.Context(), source{s}, Origin{Host: "mail.example.com", Version: "1.2.3"}, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// same compares all of two stores.
func same(t *testing.T, a, b *boltstore.Store) {
	t.Helper()
	was, err := a.List(queue.Filter{}, "", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	is, err := b.List(queue.Filter{}, "", 1<<20)
	if err != nil || len(is) != len(was) {
		t.Fatalf("%d messages instead of %d, %v", len(is), len(was), err)
	}
	for i := range was {
		if !reflect.DeepEqual(was[i], is[i]) {
			t.Errorf("was %#v\n is %#v", was[i], is[i])
		}
		if x, y := mail(t, a, was[i].ID), mail(t, b, was[i].ID); x != y {
			t.Errorf("mail of %s: was %d bytes, is %d", was[i].ID, len(x), len(y))
		}
	}
}

func mail(t *testing.T, s *boltstore.Store, id queue.ID) string {
	t.Helper()
	body, err := s.Body(id)
	if errors.Is(err, queue.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// filled is a store with one message of each kind.
func filled(t testing.TB) *boltstore.Store {
	s := open(t)
	put(t, s, "waiting\r\n", nil)
	put(t, s, strings.Repeat("large\r\n", 300_000), func(m *queue.Message) { m.Legs[0].Tries = 3 })
	put(t, s, "", nil)
	put(t, s, "held\r\n", func(m *queue.Message) { m.Held = "by me" })
	put(t, s, "captured\r\n", func(m *queue.Message) { m.Captured, m.Legs = true, nil })
	put(t, s, "removed\r\n", func(m *queue.Message) { m.Removed = time.Now() })
	put(t, s, "finished\r\n", func(m *queue.Message) {
		m.Results[0] = queue.Result{Outcome: queue.Delivered, Code: 250, Text: "ok"}
		m.Finished, m.Legs[0].Next = time.Now(), time.Time{}
		m.History = []queue.Attempt{{At: time.Now(), Took: time.Second, Answers: []queue.Answer{{Result: m.Results[0], To: []int{0}}}}}
	})
	return s
}

// A restored queue is the queue: every record, every mail, whatever state it is in.
func TestRestoredQueueIsTheQueue(t *testing.T) {
	s := filled(t)
	text := backedUp(t, s)
	sum, err := Verify(bytes.NewReader(text))
	if err != nil || sum.Messages != 7 || sum.Waiting != 4 || sum.Host != "mail.example.com" || sum.Version != "1.2.3" {
		t.Errorf("verify: %+v, %v", sum, err)
	}
	to := open(t)
	if _, err := Restore(t.Context(), bytes.NewReader(text), to, Options{}); err != nil {
		t.Fatal(err)
	}
	same(t, s, to)
}

// With Hold nothing that waited goes out by itself, and the rest is as it was.
func TestRestoredMailIsHeld(t *testing.T) {
	s := filled(t)
	to := open(t)
	if _, err := Restore(t.Context(), bytes.NewReader(backedUp(t, s)), to, Options{Hold: true}); err != nil {
		t.Fatal(err)
	}
	if due, err := to.Claim(queue.Upstream, 100); err != nil || len(due) > 0 {
		t.Errorf("%d messages are due, %v", len(due), err)
	}
	list, err := to.List(queue.Filter{Waiting: true}, "", 100)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d wait, %v", len(list), err)
	}
	for _, m := range list {
		if m.Held == "" {
			t.Errorf("%s is not held", m.ID)
		}
	}
}

// Mail that was accepted while the clock was ahead is in the backup all the same.
func TestClockWasAhead(t *testing.T) {
	s := open(t)
	put(t, s, "usual\r\n", nil)
	_, err := s.Put(strings.NewReader("ahead\r\n"), func(int64) (queue.Message, error) {
		return queue.Message{ID: "vvvvvvvvvvvvvvvv", Accepted: time.Now().AddDate(20, 0, 0), Legs: []queue.Leg{{Lane: queue.Upstream, Next: time.Now()}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := Verify(bytes.NewReader(backedUp(t, s))); err != nil || sum.Messages != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A backup made under load has every message that was accepted before it began, and restores.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	s := open(t)
	var before []queue.ID
	for range 200 {
		before = append(before, put(t, s, "before\r\n", nil))
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	const most = 1000 // mails of each, so that the backups do not run after ever more where the disk costs nothing
	for range 4 {
		load.Go(func() { // mail comes and is delivered
			for n := 0; n < most && ctx.Err() == nil; n++ {
				put(t, s, "meanwhile\r\n", nil)
				due, err := s.Claim(queue.Upstream, 2)
				if err != nil {
					t.Error(err)
				}
				for _, c := range due {
					if _, err := s.Settle(c, func(m *queue.Message) { m.Finished, m.Legs[0].Next = time.Now(), time.Time{} }); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 5 {
		text := backedUp(t, s)
		to := open(t)
		if _, err := Restore(t.Context(), bytes.NewReader(text), to, Options{}); err != nil {
			t.Fatal(err)
		}
		for _, id := range before {
			if _, err := to.Get(id); err != nil {
				t.Fatalf("%s is not in the backup: %v", id, err)
			}
		}
	}
	stop()
	load.Wait()
}

// A backup that is cut off anywhere, or in which any byte was changed, is never taken for a whole
// one.
func TestDamagedBackupIsRefused(t *testing.T) {
	s := open(t)
	put(t, s, "Subject: one\r\n\r\nHello\r\n", nil)
	put(t, s, "Subject: two\r\n\r\nHello\r\n", nil)
	text := backedUp(t, s)
	whole := bytes.LastIndexByte(text, '}') // what follows is padding
	for n := 0; n < whole; n += 97 {
		if _, err := Verify(bytes.NewReader(text[:n])); !errors.Is(err, ErrIncomplete) {
			t.Fatalf("cut off after %d of %d bytes: %v", n, len(text), err)
		}
	}
	for _, part := range []string{"Hello", `"Tries":0`, `"messages":2`} {
		changed := bytes.Replace(text, []byte(part), bytes.ToUpper([]byte(part[:len(part)-1]+"7")), 1)
		if bytes.Equal(changed, text) {
			t.Fatalf("%q is not in the backup", part)
		}
		if _, err := Verify(bytes.NewReader(changed)); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%q changed: %v", part, err)
		}
	}
	if _, err := Verify(strings.NewReader("no tar at all")); !errors.Is(err, ErrIncomplete) {
		t.Errorf("no backup at all: %v", err)
	}
}

// Restoring into a queue that has one of the messages already is an error.
func TestRestoreWantsAnEmptyQueue(t *testing.T) {
	s := filled(t)
	if _, err := Restore(t.Context(), bytes.NewReader(backedUp(t, s)), s, Options{}); !errors.Is(err, queue.ErrExists) {
		t.Errorf("got %v", err)
	}
}

// Whatever a file holds, reading it ends with a summary or an error.
func FuzzVerify(f *testing.F) {
	s, err := boltstore.Open(f.TempDir(), boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	put(f, s, "Subject: x\r\n\r\nHello\r\n", nil)
	f.Add(backedUp(f, s))
	odd := oddSource{list: []queue.Message{{ID: "0000000000000001", Accepted: time.Now()}}} // without its mail
	var b bytes.Buffer
	err = Write(f.Context(), odd, Origin{Left: func() ([]Left, error) {
		return []Left{{ID: "0000000000000002", Open: func() (io.ReadSeekCloser, error) { return file{bytes.NewReader([]byte("{}\n"))}, nil }}}, nil
	}}, &b)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("no tar"))
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Verify(bytes.NewReader(b)) })
}
