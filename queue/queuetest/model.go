package queuetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dinkymail/queue"
)

// Pages have everything that passes the filter, once, in order, in both directions.
func listPages(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	var all, waiting, finished, captured []queue.ID
	for i := range 60 {
		if i == 40 { // some in what was read back, some new
			s, close = reopen(t, open, dir, close)
		}
		m := Message("bob")
		m.Captured = i%5 == 0
		all = append(all, put(t, s, m, "x").ID)
		switch {
		case m.Captured:
			captured = append(captured, m.ID)
		case i%3 == 0:
			update(t, s, m.ID, finish)
			finished = append(finished, m.ID)
		default:
			waiting = append(waiting, m.ID)
		}
	}
	defer func() { close() }()
	for _, c := range []struct {
		filter queue.Filter
		want   []queue.ID
	}{
		{queue.Filter{}, all}, {queue.Filter{Waiting: true}, waiting}, {queue.Filter{Finished: true}, finished},
		{queue.Filter{Captured: true}, captured}, {queue.Filter{Waiting: true, Finished: true, Captured: true}, all},
	} {
		expect(t, "none", list(t, s, c.filter, "", 0), []queue.ID{})
		for _, limit := range []int{1, 7, 100} {
			for _, newest := range []bool{false, true} {
				c.filter.Newest = newest
				want := slices.Clone(c.want)
				if newest {
					slices.Reverse(want)
				}
				expect(t, "pages", pages(t, s, c.filter, limit), want)
			}
		}
	}
	// An upper bound that is no message, above and below all of them.
	expect(t, "above", list(t, s, queue.Filter{Newest: true}, queue.NewID(), 1), all[59:])
	expect(t, "below", list(t, s, queue.Filter{Newest: true}, all[0], 1), []queue.ID{})
}

func pages(t *testing.T, s queue.Store, f queue.Filter, limit int) []queue.ID {
	t.Helper()
	out, after := []queue.ID{}, queue.ID("")
	for {
		page := list(t, s, f, after, limit)
		if len(page) == 0 {
			return out
		}
		if len(page) > limit {
			t.Fatalf("a page of %d, limit %d", len(page), limit)
		}
		out = append(out, page...)
		after = page[len(page)-1]
	}
}

// Many at once accept, claim, defer, finish and list. At the end everything that was accepted is finished, once.
func hammer(t *testing.T, open Open) {
	dir := t.TempDir()
	s, shut := open(t, dir)
	const submitters, each = 6, 50
	var accepting, working sync.WaitGroup
	accepted := make(chan struct{})
	for range submitters {
		accepting.Go(func() {
			for i := range each {
				m := Message("bob")
				m.Tries = 0
				put(t, s, m, string(make([]byte, i*100)))
			}
		})
	}
	var mu sync.Mutex
	finished := map[queue.ID]bool{}
	for range 4 {
		working.Go(func() {
			for {
				done := false
				select {
				case <-accepted:
					done = true
				default:
				}
				ms, err := s.Claim(5, time.Minute)
				if err != nil {
					t.Errorf("Claim: %v", err)
					return
				}
				if len(ms) == 0 && done {
					return
				}
				for _, m := range ms {
					work(t, s, m, &mu, finished)
				}
			}
		})
	}
	accepting.Wait()
	close(accepted)
	working.Wait()
	for range 2 {
		st := s.Stats()
		expect(t, "stats", st, queue.Stats{Finished: submitters * each})
		expect(t, "listed", pages(t, s, queue.Filter{}, 64), sorted(finished))
		s, shut = reopen(t, open, dir, shut)
	}
	shut()
}

// work does to a claimed message what a queue does: every other one is deferred once.
func work(t *testing.T, s queue.Store, m queue.Message, mu *sync.Mutex, finished map[queue.ID]bool) {
	if n := len(body(t, s, m.ID)); int64(n) != m.Size {
		t.Errorf("%s: body of %d bytes, size %d", m.ID, n, m.Size)
	}
	if m.Tries == 0 && m.ID[15]%2 == 0 {
		update(t, s, m.ID, func(m *queue.Message) { m.Tries++ })
		return
	}
	mu.Lock()
	if finished[m.ID] {
		t.Errorf("%s claimed after it was finished", m.ID)
	}
	finished[m.ID] = true
	mu.Unlock()
	update(t, s, m.ID, finish)
}

// modelled is what a store should know.
type modelled struct {
	messages map[queue.ID]queue.Message
	bodies   map[queue.ID]string
	claimed  map[queue.ID]bool
	notes    map[string]string
}

// Any sequence of calls, with the store closed and opened between, gives what a few maps would give.
func model(t *testing.T, open Open) { Model(t, open, nil) }

// Harm does something to a closed store that it must survive without loss. It may choose what with pick, which gives a number
// below n.
type Harm = func(t *testing.T, dir string, pick func(n int) int)

// Model compares the store with a few maps, as Suite does, and lets harm come to it now and then while it is closed.
func Model(t *testing.T, open Open, harm Harm) {
	rapid.Check(t, func(rt *rapid.T) { calls(t, rt, open, harm) })
}

// Fuzz runs the sequence of calls that input stands for, and compares with what a few maps would give. It is for a fuzz target.
func Fuzz(t *testing.T, open Open, harm Harm, input []byte) {
	rapid.MakeFuzz(func(rt *rapid.T) { calls(t, rt, open, harm) })(t, input)
}

func calls(t *testing.T, rt *rapid.T, open Open, harm Harm) {
	dir := t.TempDir()
	s, close := open(t, dir)
	defer func() { close() }()
	m := &modelled{messages: map[queue.ID]queue.Message{}, bodies: map[queue.ID]string{}, claimed: map[queue.ID]bool{},
		notes: map[string]string{}}
	pick := func(rt *rapid.T) queue.ID {
		if len(m.messages) == 0 {
			rt.Skip("no message")
		}
		return rapid.SampledFrom(m.sortedIDs()).Draw(rt, "id")
	}
	rt.Repeat(map[string]func(*rapid.T){
		"put":    func(rt *rapid.T) { m.put(rt, s) },
		"update": func(rt *rapid.T) { m.update(rt, s, pick(rt)) },
		"remove": func(rt *rapid.T) {
			id := pick(rt)
			if err := s.Remove(id); err != nil {
				rt.Fatalf("Remove: %v", err)
			}
			m.forget(id)
		},
		"withhold": func(rt *rapid.T) { m.withhold(rt, s, pick(rt)) },
		"claim":    func(rt *rapid.T) { m.claim(rt, s) },
		"release": func(rt *rapid.T) {
			id := pick(rt)
			s.Release(id)
			delete(m.claimed, id)
		},
		"expire": func(rt *rapid.T) { m.expire(rt, s) },
		"note":   func(rt *rapid.T) { m.note(rt, s) },
		"reopen": func(rt *rapid.T) {
			close()
			if harm != nil && rapid.Bool().Draw(rt, "harm") {
				harm(t, dir, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") })
			}
			s, close = open(t, dir)
			m.claimed = map[queue.ID]bool{}
		},
		"": func(rt *rapid.T) { m.compare(rt, s) },
	})
}

func (m *modelled) sortedIDs() []queue.ID {
	var ids []queue.ID
	for id := range m.messages {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (m *modelled) forget(id queue.ID) {
	delete(m.messages, id)
	delete(m.bodies, id)
	delete(m.claimed, id)
}

func (m *modelled) put(rt *rapid.T, s queue.Store) {
	msg := Message("bob")
	msg.Captured = rapid.IntRange(0, 4).Draw(rt, "captured") == 0
	msg.Origin.User = rapid.SampledFrom([]string{"ada", "bob", "cyd"}).Draw(rt, "user")
	msg.NextAttempt = msg.NextAttempt.Add(time.Duration(rapid.SampledFrom([]int{-2, -1, 0, 1}).Draw(rt, "due")) * time.Hour)
	text := string(make([]byte, rapid.SampledFrom([]int{0, 5, 5000, 300 << 10}).Draw(rt, "size")))
	m.messages[msg.ID], m.bodies[msg.ID] = put(rt, s, msg, text), text
}

func (m *modelled) update(rt *rapid.T, s queue.Store, id queue.ID) {
	delay := time.Duration(rapid.IntRange(-2, 2).Draw(rt, "delay")) * time.Hour
	done := rapid.Bool().Draw(rt, "finish")
	m.messages[id] = update(rt, s, id, func(msg *queue.Message) {
		if msg.Tries++; msg.Finished.IsZero() {
			msg.NextAttempt = time.Now().Add(delay)
		}
		if done && msg.Finished.IsZero() {
			finish(msg)
		}
	})
	delete(m.claimed, id)
	if now := m.messages[id]; !now.Finished.IsZero() && !now.Captured {
		delete(m.bodies, id)
	}
}

// withhold holds or removes a message, or takes that back.
func (m *modelled) withhold(rt *rapid.T, s queue.Store, id queue.ID) {
	held := rapid.SampledFrom([]string{"", "wait"}).Draw(rt, "held")
	gone := rapid.Bool().Draw(rt, "removed")
	m.messages[id] = update(rt, s, id, func(msg *queue.Message) {
		msg.Held, msg.Removed = held, time.Time{}
		if gone {
			msg.Removed = time.Now()
		}
	})
	delete(m.claimed, id)
}

// note sets or deletes a note.
func (m *modelled) note(rt *rapid.T, s queue.Store) {
	name, text := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "text")
	if err := s.SetNote(name, text); err != nil {
		rt.Fatalf("SetNote: %v", err)
	}
	if m.notes[name] = text; text == "" {
		delete(m.notes, name)
	}
}

// claim compares what is claimed with what is due: as many as may be, and each sender's soonest first.
func (m *modelled) claim(rt *rapid.T, s queue.Store) {
	limit := rapid.IntRange(1, 4).Draw(rt, "limit")
	due, n := map[string][]queue.Message{}, 0
	for id, msg := range m.messages {
		if msg.State() != queue.StateRemoved && msg.Held == "" && !msg.Captured && msg.Finished.IsZero() && !m.claimed[id] &&
			!msg.NextAttempt.After(time.Now()) {
			due[msg.Origin.User] = append(due[msg.Origin.User], msg)
			n++
		}
	}
	for _, of := range due {
		slices.SortFunc(of, func(a, b queue.Message) int {
			if c := a.NextAttempt.Compare(b.NextAttempt); c != 0 {
				return c
			}
			return strings.Compare(string(a.ID), string(b.ID))
		})
	}
	got := claim(rt, s, limit)
	expect(rt, "claimed", len(got), min(limit, n))
	for _, id := range got {
		user := m.messages[id].Origin.User
		if len(due[user]) == 0 || due[user][0].ID != id {
			rt.Fatalf("claimed %s of %s, want one of %v", id, user, ids(due[user]))
		}
		due[user] = due[user][1:]
		m.claimed[id] = true
	}
}

func (m *modelled) expire(rt *rapid.T, s queue.Store) {
	t := time.Now().Add(time.Duration(rapid.SampledFrom([]int{-1, 1}).Draw(rt, "before")) * time.Minute)
	n, err := s.Expire(t, t, 1000)
	if err != nil {
		rt.Fatalf("Expire: %v", err)
	}
	want := 0
	for id, msg := range m.messages {
		at := msg.Finished
		if msg.Captured {
			at = msg.Accepted
		}
		if !msg.Removed.IsZero() {
			at = msg.Removed
		}
		if !at.IsZero() && at.Before(t) {
			want++
			m.forget(id)
		}
	}
	expect(rt, "expired", n, want)
}

// compare looks at everything there is to see.
func (m *modelled) compare(rt *rapid.T, s queue.Store) {
	var want queue.Stats
	for id, msg := range m.messages {
		if got := get(rt, s, id); !same(got, msg) {
			rt.Fatalf("message:\n got %+v\nwant %+v", got, msg)
		}
		if text, ok := m.bodies[id]; ok {
			expect(rt, "body", body(rt, s, id) == text, true)
		} else if _, err := s.Body(id); !errors.Is(err, queue.ErrNotFound) {
			rt.Fatalf("Body of a finished message: %v", err)
		}
		switch {
		case !msg.Removed.IsZero():
			want.Removed++
			want.Trash += int64(len(m.bodies[id]))
		case msg.Captured:
			want.Captured++
		case !msg.Finished.IsZero():
			want.Finished++
		default:
			want.Waiting++
			want.Bytes += msg.Size
			if msg.Held != "" || msg.NextAttempt.IsZero() {
				want.Held++
			}
			if want.Oldest.IsZero() || msg.Accepted.Before(want.Oldest) {
				want.Oldest = msg.Accepted
			}
		}
	}
	expect(rt, "stats", counted(rt, s.Stats()), want)
	expect(rt, "notes", maps.Equal(s.Notes(), m.notes), true)
	if got := list(rt, s, queue.Filter{}, "", 1000); !slices.Equal(got, m.sortedIDs()) {
		rt.Fatalf("list: got %v, want %v", got, m.sortedIDs())
	}
}

// counted is what a store counts, but for the bytes of records, of which only it is known that what waits has some.
func counted(t failer, st queue.Stats) queue.Stats {
	t.Helper()
	if (st.Records > 0) != (st.Waiting > 0) || st.Records < 0 {
		t.Fatalf("%d messages wait, with records of %d bytes", st.Waiting, st.Records)
	}
	st.Records = 0
	return st
}
