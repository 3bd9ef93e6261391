package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// Mail to very many recipients who are all deferred, each in words of its own, for as long as it
// lives, takes a bounded part of the disk, which counts towards QUEUE_MAX_BYTES and is shown.
func TestDeferredMassMailStaysSmall(t *testing.T) {
	const recipients, most = 1000, 40 << 20
	h := &hop{each: func(d queue.Delivery, n int) []queue.Result {
		d.Dialogue(strings.Repeat("S: 450 4.2.1 busy\n", 1000))
		all := make([]queue.Result, len(d.Envelope.To))
		for i, to := range d.Envelope.To {
			all[i] = queue.Result{Code: 450, Status: "4.2.1", Remote: "mx.example.net:25", Stage: "rcpt",
				Text: fmt.Sprintf("<%s>: attempt %d %s", to, n, strings.Repeat("mailbox is busy, ", 30))}
		}
		return all
	}}
	var to []string
	for i := range recipients {
		to = append(to, fmt.Sprintf("recipient%d@example.net", i))
	}
	dir := t.TempDir()
	bubbleIn(t, dir, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, to...))
		pass(4 * 24 * time.Hour)
		m := g.record(id)
		first, newest := m.History[0], m.History[len(m.History)-1]
		if m.Tries() < 90 || len(m.History) < 8 || newest.At.Sub(first.At) < 3*24*time.Hour || newest.Dialogue == "" {
			t.Errorf("%d attempts, %d of them in the history, from %v to %v", m.Tries(), len(m.History), first.At, newest.At)
		}
		if st := g.Status().Store; st.Records < recipients*500 || st.Records > 2<<20 {
			t.Errorf("records of %d bytes", st.Records)
		}
	})
	if n := sizeOf(t, dir); n > most {
		t.Errorf("the queue takes %d bytes", n)
	}
}

func sizeOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Base(path) == "reserve" {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is noted of waiting mail counts towards the limit of the queue as its text does.
func TestRecordsFillTheQueue(t *testing.T) {
	cfg := settings()
	cfg.MaxBytes, cfg.MaxMessageBytes = 200<<10, 10<<10
	s, _ := openStore(t, t.TempDir())
	q := queue.New(s, queue.One(&hop{}), cfg, quiet())
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("recipient%d@example.net", i))
	}
	taken := 0
	for ; taken < 20; taken++ {
		if _, err := q.Submit(context.Background(), letter(t, to...)); errors.Is(err, queue.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); taken == 0 || taken == 20 || st.Bytes > 10_000 || st.Records > 2*cfg.MaxBytes {
		t.Errorf("%d were taken, of %d bytes, with records of %d", taken, st.Bytes, st.Records)
	}
}

// What no record could hold is refused as too large, with a reason, before anything is kept.
func TestTooLargeARecordIsRefused(t *testing.T) {
	cfg := settings()
	cfg.MaxRecipients = 100_000
	s, _ := openStore(t, t.TempDir())
	q := queue.New(s, queue.One(&hop{}), cfg, quiet())
	in := letter(t)
	for i := range 20_000 {
		in.Envelope.To = append(in.Envelope.To, message.Recipient{Address: address(t, fmt.Sprintf("r%d@example.net", i)),
			Original: "rfc822;" + strings.Repeat("x", 1000)})
	}
	if _, err := q.Submit(context.Background(), in); !errors.Is(err, queue.ErrTooLarge) || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("got %v", err)
	}
	if st := s.Stats(); st.Waiting != 0 {
		t.Errorf("%d are kept", st.Waiting)
	}
}
