package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

func putAs(t testing.TB, s *Store, user string, due time.Time) queue.ID {
	t.Helper()
	m := queuetest.Message("bob")
	m.Origin.User, m.NextAttempt = user, due
	if _, err := s.Put(bytes.NewReader([]byte("x")), func(int64) (queue.Message, error) { return m, nil }); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// Whatever is added, removed and taken in whatever order, every message comes out once and each sender's in order; nothing of
// those who have nothing more is kept.
func TestTurnsLoseNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	q := newTurns(0)
	in := map[packed]slot{}
	last := map[uint32]slot{}
	for i := range 50_000 {
		q.ripen(int64(i))
		switch r.IntN(5) {
		case 0, 1, 2:
			s := slot{key: int64(i + r.IntN(200) - 100), id: pack(queue.NewID()), sender: uint32(r.IntN(9))}
			if s.key <= int64(i) && s.before(last[s.sender]) {
				delete(last, s.sender)
			}
			in[s.id] = s
			q.add(s.key, s.id.id(), s.sender)
		case 3:
			for _, s := range in {
				q.remove(s.id.id())
				q.remove(s.id.id())
				delete(in, s.id)
				break
			}
		case 4:
			s, ok := q.take()
			if !ok {
				continue
			}
			before, known := last[s.sender]
			if in[s.id] != s || s.key > int64(i) || known && s.before(before) {
				t.Fatalf("took %+v, after %+v, clock %d", s, before, i)
			}
			last[s.sender] = s
			delete(in, s.id)
		}
	}
	for range len(in) {
		q.ripen(1 << 40)
		s, ok := q.take()
		if !ok || in[s.id] != s {
			t.Fatalf("took %+v %v", s, ok)
		}
		delete(in, s.id)
	}
	if _, ok := q.take(); ok || len(q.at) != 0 || len(q.of) != 0 || len(q.free) != len(q.lines)-1 || len(in) != 0 {
		t.Errorf("%d messages, %d senders, %d of %d lines free, %d not taken", len(q.at), len(q.of), len(q.free), len(q.lines), len(in))
	}
}

// An ID is the same after it was packed, and sorts as it did.
func TestPackedIDs(t *testing.T) {
	before := queue.ID("0000000000000000")
	for _, id := range []queue.ID{"0123456789abcdef", "0123456789abcdeg", "ghijklmnopqrstuv", queue.NewID(), queue.NewID(), "vvvvvvvvvvvvvvvv"} {
		p, q := pack(id), pack(before)
		if p.id() != id || bytes.Compare(p[:], q[:]) != strings.Compare(string(id), string(before)) {
			t.Errorf("%s packed is %s", id, p.id())
		}
		before = id
	}
}

// Lines of many senders at a time are not kept for ever, and half a million waiting messages take little memory.
func TestTurnsTakeLittleMemory(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n = 500_000
	before := heap()
	q := newTurns(n)
	q.ripen(n / 2)
	for i := range n {
		q.add(int64(i), queue.NewID(), uint32(i%100))
	}
	if each := (heap() - before) / n; each > 75 {
		t.Errorf("%d bytes for each message", each)
	}
	for _, ok := q.take(); ok; _, ok = q.take() {
	}
	for i := range 10_000 {
		q.add(1, queue.NewID(), uint32(i+1))
	}
	for _, ok := q.take(); ok; _, ok = q.take() {
	}
	kept := 0
	for _, l := range q.lines {
		if l != nil {
			kept += 1 + cap(l.heap)
		}
	}
	if kept > 2*spareMost*spareMost {
		t.Errorf("%d slots are kept for nobody", kept)
	}
}

// The sender is known again after opening, also of a message whose body was moved meanwhile; a store from before senders took
// turns, with nothing behind the times, opens as it is, and learns the sender with the first attempt.
func TestSendersAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	start := time.Now()
	for range 40 {
		putAs(t, s, "mailing", start)
	}
	form := putAs(t, s, "form", start)
	shut(t, s)
	s = open(t, dir, Config{})
	if got := s.claimSome(t, 4); !got[form] {
		t.Error("the form waits for the mailing")
	}
	shut(t, s)
	if err := forgetSenders(s.index.path); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Config{})
	if got := s.claimSome(t, 40); len(got) != 40 || got[form] {
		t.Error("in an old store the order is that of time")
	}
	for id := range s.claimSome(t, 1) {
		if id != form {
			t.Error("the last is not the form")
		}
		if _, err := s.Update(id, func(m *queue.Message) { m.Tries++ }); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, s)
	s = open(t, dir, Config{})
	defer shut(t, s)
	if got := s.claimSome(t, 2); !got[form] {
		t.Error("the form's sender was not learned")
	}
}

func (s *Store) claimSome(t *testing.T, n int) map[queue.ID]bool {
	t.Helper()
	ms, err := s.Claim(n, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got := map[queue.ID]bool{}
	for i := range ms {
		got[ms[i].ID] = true
	}
	return got
}

// forgetSenders makes an index what it was before senders took turns.
func forgetSenders(path string) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(orderOf[waiting])
		var keys [][]byte
		if err := b.ForEach(func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil }); err != nil {
			return err
		}
		for _, k := range keys {
			if err := b.Put(k, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// BenchmarkTurns is to take one message out and put another in, with so many due of one sender.
func BenchmarkTurns(b *testing.B) {
	for _, n := range []int{1, 500_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := newTurns(n)
			q.ripen(1 << 62)
			for i := range n {
				q.add(int64(i), queue.NewID(), 1)
			}
			b.ReportAllocs()
			for i := n; b.Loop(); i++ {
				s, _ := q.take()
				q.add(int64(i), s.id.id(), 1)
			}
		})
	}
}
