package queuetest

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dinkymail/queue"
)

// modelled is what a store should know.
type modelled struct {
	messages map[queue.ID]queue.Message
	bodies   map[queue.ID]string
	claims   map[queue.ID][]modelledClaim
	over     []queue.Claim
	notes    map[string]string
}

// Any sequence of calls, with the store closed and opened between, gives what a few maps would
// give.
func model(t *testing.T, open Open) { Model(t, open, nil) }

// Harm does something to a closed store that it must survive without loss. It may choose what with
// pick, which gives a number below n.
type Harm = func(t *testing.T, dir string, pick func(n int) int)

// Model compares the store with a few maps, as Suite does, and lets harm come to it now and then
// while it is closed.
func Model(t *testing.T, open Open, harm Harm) {
	rapid.Check(t, func(rt *rapid.T) { calls(t, rt, open, harm) })
}

// Fuzz runs the sequence of calls that input stands for, and compares with what a few maps would
// give. It is for a fuzz target.
func Fuzz(t *testing.T, open Open, harm Harm, input []byte) {
	rapid.MakeFuzz(func(rt *rapid.T) { calls(t, rt, open, harm) })(t, input)
}

func calls(t *testing.T, rt *rapid.T, open Open, harm Harm) {
	dir := t.TempDir()
	s, close := open(t, dir)
	defer func() { close() }()
	m := &modelled{messages: map[queue.ID]queue.Message{}, bodies: map[queue.ID]string{}, claims: map[queue.ID][]modelledClaim{},
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
		"claimOne": func(rt *rapid.T) { m.claimOne(rt, s, pick(rt)) },
		"begin":    func(rt *rapid.T) { m.begin(rt, s, m.pickClaim(rt)) },
		"settle":   func(rt *rapid.T) { m.settle(rt, s, m.pickClaim(rt)) },
		"rest":     func(rt *rapid.T) { m.rest(s, m.pickClaim(rt)) },
		"renew":    func(rt *rapid.T) { renew(rt, s, m.pickClaim(rt)) },
		"release": func(rt *rapid.T) {
			c := m.pickClaim(rt)
			s.Release(c)
			m.end(c.ID, func(is modelledClaim) bool { return is.Claim == c })
		},
		"over": func(rt *rapid.T) {
			if len(m.over) == 0 {
				rt.Skip("no claim is over")
			}
			expectOver(rt, s, rapid.SampledFrom(m.over).Draw(rt, "over"))
		},
		"expire": func(rt *rapid.T) { m.expire(rt, s) },
		"note":   func(rt *rapid.T) { m.note(rt, s) },
		"reopen": func(rt *rapid.T) {
			close()
			if harm != nil && rapid.Bool().Draw(rt, "harm") {
				harm(t, dir, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") })
			}
			s, close = open(t, dir)
			m.claims, m.over = map[queue.ID][]modelledClaim{}, nil
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
	m.end(id, func(modelledClaim) bool { return true })
}

func (m *modelled) put(rt *rapid.T, s queue.Store) {
	msg := Message("bob")
	msg.Captured = rapid.IntRange(0, 4).Draw(rt, "captured") == 0
	msg.Origin.User = rapid.SampledFrom([]string{"ada", "bob", "cyd"}).Draw(rt, "user")
	msg.Legs = nil
	for range rapid.IntRange(0, 3).Draw(rt, "legs") {
		due := time.Duration(rapid.SampledFrom([]int{-2, -1, 0, 1}).Draw(rt, "due")) * time.Hour
		msg.Legs = append(msg.Legs, queue.Leg{Lane: modelLane(rt), Next: msg.Accepted.Add(due)})
	}
	text := string(make([]byte, rapid.SampledFrom([]int{0, 5, 5000, 300 << 10}).Draw(rt, "size")))
	m.messages[msg.ID], m.bodies[msg.ID] = put(rt, s, msg, text), text
}

func modelLane(rt *rapid.T) string {
	return rapid.SampledFrom([]string{Lane, "other"}).Draw(rt, "lane")
}

func (m *modelled) update(rt *rapid.T, s queue.Store, id queue.ID) {
	m.changed(update(rt, s, id, m.change(rt)))
	m.end(id, func(is modelledClaim) bool { return !is.begun })
}

// change is a change of a record, after which all of its legs or one are due at another time, on
// another lane, or it is finished.
func (m *modelled) change(rt *rapid.T) func(msg *queue.Message) {
	delay := time.Duration(rapid.IntRange(-2, 2).Draw(rt, "delay")) * time.Hour
	done, lane, one := rapid.Bool().Draw(rt, "finish"), modelLane(rt), rapid.IntRange(0, 4).Draw(rt, "one")
	return func(msg *queue.Message) {
		if !msg.Finished.IsZero() {
			return
		}
		for i := range msg.Legs {
			if one >= len(msg.Legs) || i == one {
				msg.Legs[i] = queue.Leg{Lane: lane, Next: time.Now().Add(delay), Tries: msg.Legs[i].Tries + 1}
			}
		}
		if done {
			finish(msg)
		}
	}
}

// changed takes in a record that was changed.
func (m *modelled) changed(msg queue.Message) {
	m.messages[msg.ID] = msg
	if !msg.Finished.IsZero() && !msg.Captured {
		delete(m.bodies, msg.ID)
	}
}

// withhold holds or removes a message, or takes that back.
func (m *modelled) withhold(rt *rapid.T, s queue.Store, id queue.ID) {
	held := rapid.SampledFrom([]string{"", "wait"}).Draw(rt, "held")
	gone := rapid.Bool().Draw(rt, "removed")
	m.changed(update(rt, s, id, func(msg *queue.Message) {
		msg.Held, msg.Removed = held, time.Time{}
		if gone {
			msg.Removed = time.Now()
		}
	}))
	m.end(id, func(is modelledClaim) bool { return !is.begun })
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
			if msg.Held != "" || msg.NextAttempt().IsZero() {
				want.Held++
			}
			if want.Oldest.IsZero() || msg.Accepted.Before(want.Oldest) {
				want.Oldest = msg.Accepted
			}
		}
	}
	expect(rt, "stats", counted(rt, s.Stats()), want)
	m.compareClaims(rt, s)
	expect(rt, "notes", maps.Equal(s.Notes(), m.notes), true)
	if got := list(rt, s, queue.Filter{}, "", 1000); !slices.Equal(got, m.sortedIDs()) {
		rt.Fatalf("list: got %v, want %v", got, m.sortedIDs())
	}
}

// counted is what a store counts, but for the bytes of records, of which only it is known that what
// waits has some.
func counted(t failer, st queue.Stats) queue.Stats {
	t.Helper()
	if (st.Records > 0) != (st.Waiting > 0) || st.Records < 0 {
		t.Fatalf("%d messages wait, with records of %d bytes", st.Waiting, st.Records)
	}
	st.Records = 0
	return st
}
