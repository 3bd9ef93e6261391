package queuetest

import (
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// What is removed is in the trash with its body, counted there alone and never claimed, whatever it
// was before; taken out again it is what it was.
func trashKeepsAll(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	waiting := putAt(t, s, time.Now())
	large := Message("bob")
	put(t, s, large, string(make([]byte, 1<<20)))
	held, done, captured := Message("bob"), Message("bob"), Message("bob")
	held.Held, captured.Captured = "wait", true
	for _, m := range []queue.Message{held, done, captured} {
		put(t, s, m, "12345")
	}
	update(t, s, done.ID, finish)
	all := []queue.ID{waiting, large.ID, held.ID, done.ID, captured.ID}
	before := s.Stats()
	expect(t, "before", []int{before.Waiting, before.Finished, before.Captured, before.Removed}, []int{3, 1, 1, 0})
	for _, id := range all {
		update(t, s, id, func(m *queue.Message) { m.Removed = time.Now() })
	}
	for range 2 {
		expect(t, "stats", s.Stats(), queue.Stats{Removed: 5, Trash: before.Bytes + 5})
		expect(t, "removed", list(t, s, queue.Filter{Removed: true}, "", 10), all)
		expect(t, "all", list(t, s, queue.Filter{}, "", 10), all)
		expect(t, "others", list(t, s, queue.Filter{Waiting: true, Finished: true, Captured: true}, "", 10), []queue.ID{})
		expect(t, "claimed", claimed(t, s, 10), []queue.ID{})
		expectNothingDue(t, s)
		expect(t, "body", body(t, s, captured.ID), "12345")
		expect(t, "body", len(body(t, s, large.ID)), 1<<20)
		_, err := s.Body(done.ID)
		expectError(t, "Body of a finished message", err, queue.ErrNotFound)
		s, close = reopen(t, open, dir, close)
	}
	for _, id := range all {
		update(t, s, id, func(m *queue.Message) { m.Removed = time.Time{} })
	}
	for range 2 {
		expect(t, "restored", s.Stats(), before)
		expect(t, "waiting", list(t, s, queue.Filter{Waiting: true}, "", 10), all[:3])
		s, close = reopen(t, open, dir, close)
	}
	expect(t, "claimed", claimed(t, s, 10), all[:2])
	close()
}

// What is held waits, but is never due; released it comes when its record says.
func heldIsNotClaimed(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, close := open(t, dir)
		id := putAt(t, s, time.Now())
		update(t, s, id, func(m *queue.Message) { m.Held = "wait" })
		born := Message("eve")
		born.Held = "wait"
		put(t, s, born, "x")
		taken := putAt(t, s, time.Now())
		claims := claim(t, s, Lane, 10)
		expect(t, "claimed", idsOf(claims), []queue.ID{taken})
		update(t, s, taken, func(m *queue.Message) { m.Held = "wait" })
		expectOver(t, s, claims[0])
		for range 2 {
			expect(t, "waiting", s.Stats().Waiting, 3)
			expect(t, "claimed", claimed(t, s, 10), []queue.ID{})
			expectNothingDue(t, s)
			update(t, s, id, func(m *queue.Message) { m.Legs[0].Next = time.Now().Add(time.Hour) })
			s, close = reopen(t, open, dir, close)
		}
		update(t, s, id, func(m *queue.Message) { m.Held = "" })
		expect(t, "released", claimed(t, s, 10), []queue.ID{})
		pass(time.Hour)
		expect(t, "an hour later", claimed(t, s, 10), []queue.ID{id})
		close()
	})
}

// Notes are there after closing and opening, until they are deleted.
func notesAreKept(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	expect(t, "none", len(s.Notes()), 0)
	for _, n := range [][2]string{{"a", "1"}, {"b", "\x00\xff long"}, {"a", "2"}, {"c", "3"}, {"c", ""}, {"d", ""}} {
		if err := s.SetNote(n[0], n[1]); err != nil {
			t.Fatalf("SetNote: %v", err)
		}
	}
	for range 2 {
		expect(t, "notes", s.Notes(), map[string]string{"a": "2", "b": "\x00\xff long"})
		s.Notes()["a"] = "a copy"
		s, close = reopen(t, open, dir, close)
	}
	close()
	expectError(t, "SetNote", s.SetNote("a", "x"), queue.ErrClosed)
}
