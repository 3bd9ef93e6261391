package queuetest

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"dinkymail/queue"
)

// Update keeps what change did, but never another ID, and gives back what is kept.
func updateChanges(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	id := putAt(t, s, time.Now())
	later := time.Now().Add(time.Hour)
	got := update(t, s, id, func(m *queue.Message) {
		m.ID, m.Legs[0].Tries, m.Legs[0].Next, m.Tags = "other", 7, later, nil
		m.Metadata["new"] = "yes"
	})
	for range 2 {
		if got.ID != id || got.Tries() != 7 || !got.NextAttempt().Equal(later) || len(got.Tags) != 0 || got.Metadata["new"] != "yes" {
			t.Fatalf("got %+v", got)
		}
		expect(t, "body", body(t, s, id), "body of "+string(id))
		s, close = reopen(t, open, dir, close)
		got = get(t, s, id)
	}
	close()
}

// Two who change one message at a time both see what the other did.
func updatesDoNotOverwrite(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	id := putAt(t, s, time.Now().Add(time.Hour))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 10 {
				_, err := s.Update(id, func(m *queue.Message) { m.Legs[0].Tries++; m.Metadata[fmt.Sprint(g, i)] = "x" })
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	all.Wait()
	m := get(t, s, id)
	if m.Tries() != 81 || len(m.Metadata) != 81 {
		t.Fatalf("tries %d, %d metadata: a change was lost", m.Tries(), len(m.Metadata))
	}
}

// A finished message has a record and no body, and is never claimed.
func finishedLosesBody(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	small := putAt(t, s, time.Now())
	m := Message("bob")
	large := put(t, s, m, string(make([]byte, 1<<20))).ID
	for _, id := range []queue.ID{small, large} {
		update(t, s, id, finish)
	}
	for range 2 {
		for _, id := range []queue.ID{small, large} {
			_, err := s.Body(id)
			expectError(t, "Body", err, queue.ErrNotFound)
			expect(t, "state", get(t, s, id).Results[0].Outcome, queue.Delivered)
		}
		expect(t, "claimed", claimed(t, s, 10), []queue.ID{})
		st := s.Stats()
		expect(t, "stats", st, queue.Stats{Finished: 2})
		s, close = reopen(t, open, dir, close)
	}
	close()
}

// Captured mail keeps its body, is counted apart, is never claimed, and keeps its body even if it
// is called finished.
func capturedKeepsBody(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	m := Message("bob")
	m.Captured, m.Legs = true, nil
	put(t, s, m, "captured")
	update(t, s, m.ID, func(m *queue.Message) { m.Finished = time.Now() })
	for range 2 {
		expect(t, "body", body(t, s, m.ID), "captured")
		expect(t, "claimed", claimed(t, s, 10), []queue.ID{})
		expect(t, "stats", s.Stats(), queue.Stats{Captured: 1})
		expect(t, "captured", list(t, s, queue.Filter{Captured: true}, "", 10), []queue.ID{m.ID})
		expect(t, "waiting", list(t, s, queue.Filter{Waiting: true}, "", 10), []queue.ID{})
		expect(t, "finished", list(t, s, queue.Filter{Finished: true}, "", 10), []queue.ID{})
		s, close = reopen(t, open, dir, close)
	}
	close()
}

// A removed message is nowhere, and stays so; claims on it are over, begun or not.
func removeLeavesNoTrace(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	first, second := putAt(t, s, time.Now()), putAt(t, s, time.Now())
	expect(t, "claimed", claimed(t, s, 1), []queue.ID{first})
	s, close = reopen(t, open, dir, close)
	claims := claim(t, s, Lane, 2)
	begin(t, s, claims[0])
	for _, id := range []queue.ID{first, second} {
		if err := s.Remove(id); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range claims {
		expectOver(t, s, c)
	}
	s.Release(claims...)
	for range 2 {
		for _, id := range []queue.ID{first, second} {
			_, err := s.Get(id)
			expectError(t, "Get", err, queue.ErrNotFound)
			expectError(t, "Remove", s.Remove(id), queue.ErrNotFound)
		}
		expect(t, "claimed", claimed(t, s, 10), []queue.ID{})
		expectNothingDue(t, s)
		expect(t, "stats", s.Stats(), queue.Stats{})
		s, close = reopen(t, open, dir, close)
	}
	close()
}

// Expire takes finished mail by when it finished, captured mail by when it was accepted and removed
// mail by when it was removed, whatever it was before; never waiting mail, held or not, and no more
// than it was told to.
func expireForgets(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	now := time.Now()
	accepted := now.Add(-time.Hour)
	var done []queue.ID
	for i := range 6 {
		m := Message("bob")
		m.Accepted = accepted
		put(t, s, m, "x")
		update(t, s, m.ID, func(m *queue.Message) { finish(m); m.Finished = now.Add(time.Duration(i-10) * time.Minute) })
		done = append(done, m.ID)
	}
	old := Message("eve")
	old.Captured, old.Accepted, old.Legs = true, accepted, nil
	put(t, s, old, string(make([]byte, 1<<20)))
	young := old
	young.ID, young.Accepted = queue.NewID(), now
	put(t, s, young, "x")
	waiting := Message("bob")
	waiting.Accepted = accepted
	put(t, s, waiting, "x")
	held := waiting
	held.ID, held.Held = queue.NewID(), "wait"
	put(t, s, held, "x")
	for _, was := range []queue.ID{done[2], old.ID, waiting.ID, held.ID} {
		m := get(t, s, was)
		m.ID, m.Removed = queue.NewID(), now.Add(-5*time.Minute-1)
		put(t, s, m, string(make([]byte, 1<<20)))
	}
	trash := waiting
	trash.ID, trash.Removed = queue.NewID(), now.Add(-5*time.Minute)
	put(t, s, trash, "x")
	for i, want := range []struct{ limit, n int }{{0, 0}, {1, 1}, {2, 2}, {10, 5}, {10, 0}} {
		n, err := s.Expire(now.Add(-7*time.Minute), now.Add(-5*time.Minute), want.limit)
		if err != nil || n != want.n {
			t.Fatalf("step %d: removed %d, %v, want %d", i, n, err, want.n)
		}
		if i == 1 {
			s, close = reopen(t, open, dir, close)
		}
	}
	defer func() { close() }()
	expect(t, "left", list(t, s, queue.Filter{}, "", 100), []queue.ID{done[3], done[4], done[5], young.ID, waiting.ID, held.ID, trash.ID})
	_, err := s.Get(old.ID)
	expectError(t, "expired", err, queue.ErrNotFound)
}

// Stats follows every change, and says when the oldest waiting message was accepted.
func statsCount(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	base := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	var kept []queue.ID
	for i := range 4 {
		m := Message("bob")
		m.Accepted = base.Add(time.Duration(i) * time.Minute)
		kept = append(kept, put(t, s, m, "12345").ID)
	}
	oldest := func(i int, want queue.Stats) {
		t.Helper()
		want.Oldest = base.Add(time.Duration(i) * time.Minute)
		got := s.Stats()
		if !got.Oldest.Equal(want.Oldest) {
			t.Fatalf("oldest %v, want %v", got.Oldest, want.Oldest)
		}
		got.Oldest = want.Oldest
		expect(t, "stats", counted(t, got), want)
	}
	oldest(0, queue.Stats{Waiting: 4, Bytes: 20})
	update(t, s, kept[0], finish)
	oldest(1, queue.Stats{Waiting: 3, Bytes: 15, Finished: 1})
	s, close = reopen(t, open, dir, close)
	oldest(1, queue.Stats{Waiting: 3, Bytes: 15, Finished: 1})
	update(t, s, kept[1], func(m *queue.Message) { m.Legs[0].Tries++ })
	oldest(1, queue.Stats{Waiting: 3, Bytes: 15, Finished: 1})
	if err := s.Remove(kept[1]); err != nil {
		t.Fatal(err)
	}
	oldest(2, queue.Stats{Waiting: 2, Bytes: 10, Finished: 1})
	update(t, s, kept[2], finish)
	oldest(3, queue.Stats{Waiting: 1, Bytes: 5, Finished: 2})
	update(t, s, kept[3], finish)
	expect(t, "stats", s.Stats(), queue.Stats{Finished: 3})
	if err := s.Check(); err != nil {
		t.Fatalf("Check: %v", err)
	}
	close()
}

// A store that is shut says so, and never hangs.
func closedSaysSo(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	m := Message("bob")
	put(t, s, m, "x")
	taken := claim(t, s, Lane, 1)
	close()
	_, err := s.Put(nothing{}, func(int64) (queue.Message, error) { return Message("bob"), nil })
	expectError(t, "Put", err, queue.ErrClosed)
	_, err = s.Get(m.ID)
	expectError(t, "Get", err, queue.ErrClosed)
	_, err = s.Update(m.ID, func(*queue.Message) {})
	expectError(t, "Update", err, queue.ErrClosed)
	_, err = s.Claim(Lane, 1)
	expectError(t, "Claim", err, queue.ErrClosed)
	_, err = s.ClaimOne(m.ID)
	expectError(t, "ClaimOne", err, queue.ErrClosed)
	_, err = s.Begin(taken[0])
	expectError(t, "Begin", err, queue.ErrClosed)
	_, err = s.Settle(taken[0], finish)
	expectError(t, "Settle", err, queue.ErrClosed)
	_, err = s.List(queue.Filter{}, "", 1)
	expectError(t, "List", err, queue.ErrClosed)
	_, err = s.Expire(time.Now(), time.Now(), 1)
	expectError(t, "Expire", err, queue.ErrClosed)
	expectError(t, "Remove", s.Remove(m.ID), queue.ErrClosed)
	expectError(t, "Check", s.Check(), queue.ErrClosed)
	s.Stats()
	s.Rest(taken[0])
	s.Release(taken...)
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
