package queuetest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"dinkymail/queue"
)

// modelledClaim is a claim that holds.
type modelledClaim struct {
	queue.Claim
	begun bool
}

// modelledLeg is a leg that waits and that nobody has claimed.
type modelledLeg struct {
	id     queue.ID
	leg    int
	sender string
	next   time.Time
}

func (m *modelled) pickClaim(rt *rapid.T) queue.Claim {
	var all []queue.Claim
	for _, id := range m.sortedIDs() {
		for _, c := range m.claims[id] {
			all = append(all, c.Claim)
		}
	}
	if len(all) == 0 {
		rt.Skip("no claim")
	}
	return rapid.SampledFrom(all).Draw(rt, "claim")
}

// has reports whether a message has a claim.
func (m *modelled) has(id queue.ID, which func(modelledClaim) bool) bool {
	return slices.ContainsFunc(m.claims[id], which)
}

func forAll(c modelledClaim) bool { return c.Leg == queue.AllLegs }

func tried(c modelledClaim) bool { return c.begun && !forAll(c) }

// end ends claims on a message.
func (m *modelled) end(id queue.ID, which func(modelledClaim) bool) {
	m.claims[id] = slices.DeleteFunc(m.claims[id], func(c modelledClaim) bool {
		over := which(c)
		if over {
			m.over = append(m.over, c.Claim)
		}
		return over
	})
}

// waiting is the legs on a lane that wait and that nobody has claimed.
func (m *modelled) waiting(lane string) (legs []modelledLeg) {
	for id, msg := range m.messages {
		if !msg.Removed.IsZero() || msg.Held != "" || msg.Captured || !msg.Finished.IsZero() || m.has(id, forAll) {
			continue
		}
		for i, leg := range msg.Legs {
			if leg.Lane == lane && !leg.Next.IsZero() && !m.has(id, func(c modelledClaim) bool { return c.Leg == i }) {
				legs = append(legs, modelledLeg{id, i, msg.Origin.User, leg.Next})
			}
		}
	}
	slices.SortFunc(legs, func(a, b modelledLeg) int {
		return cmp.Or(a.next.Compare(b.next), strings.Compare(string(a.id), string(b.id)), cmp.Compare(a.leg, b.leg))
	})
	return legs
}

// claim compares what is claimed with what is due: as many as may be, and each sender's soonest
// first.
func (m *modelled) claim(rt *rapid.T, s queue.Store) {
	lane, limit := modelLane(rt), rapid.IntRange(1, 4).Draw(rt, "limit")
	due, n := map[string][]modelledLeg{}, 0
	for _, leg := range m.waiting(lane) {
		if !leg.next.After(time.Now()) {
			due[leg.sender] = append(due[leg.sender], leg)
			n++
		}
	}
	got := claim(rt, s, lane, limit)
	expect(rt, "claimed", len(got), min(limit, n))
	for _, c := range got {
		of := due[m.messages[c.ID].Origin.User]
		if len(of) == 0 || of[0].id != c.ID || of[0].leg != c.Leg {
			rt.Fatalf("claimed %+v, want the first of %+v", c, of)
		}
		due[of[0].sender] = of[1:]
		m.claims[c.ID] = append(m.claims[c.ID], modelledClaim{Claim: c})
	}
}

func (m *modelled) claimOne(rt *rapid.T, s queue.Store, id queue.ID) {
	if m.has(id, func(c modelledClaim) bool { return forAll(c) && c.begun }) {
		_, err := s.ClaimOne(id)
		expectError(rt, "ClaimOne", err, queue.ErrActive)
		return
	}
	c := claimOne(rt, s, id)
	m.end(id, func(is modelledClaim) bool { return !is.begun })
	m.claims[id] = append(m.claims[id], modelledClaim{Claim: c})
}

func (m *modelled) begin(rt *rapid.T, s queue.Store, c queue.Claim) {
	if c.Leg == queue.AllLegs && m.has(c.ID, tried) {
		_, err := s.Begin(c)
		expectError(rt, "Begin", err, queue.ErrActive)
		return
	}
	if got := begin(rt, s, c); !same(got, m.messages[c.ID]) {
		rt.Fatalf("begun:\n got %+v\nwant %+v", got, m.messages[c.ID])
	}
	m.mark(c, true)
}

func (m *modelled) mark(c queue.Claim, begun bool) {
	for i, is := range m.claims[c.ID] {
		if is.Claim == c {
			m.claims[c.ID][i].begun = begun
		}
	}
}

func (m *modelled) rest(s queue.Store, c queue.Claim) {
	s.Rest(c)
	m.mark(c, false)
	if c.Leg != queue.AllLegs && m.has(c.ID, forAll) {
		m.end(c.ID, func(is modelledClaim) bool { return is.Claim == c })
	}
}

// settle ends one claim. Whether one that is not begun, on a leg that waits no more, is over, too,
// is for the store to say.
func (m *modelled) settle(rt *rapid.T, s queue.Store, c queue.Claim) {
	msg := settle(rt, s, c, m.change(rt))
	m.changed(msg)
	m.end(c.ID, func(is modelledClaim) bool {
		idle := !forAll(is) && !is.begun && (!msg.Finished.IsZero() || msg.Legs[is.Leg].Next.IsZero())
		if idle {
			s.Release(is.Claim)
		}
		return is.Claim == c || idle
	})
}

// compareClaims looks at what is said of claims.
func (m *modelled) compareClaims(rt *rapid.T, s queue.Store) {
	for id := range m.messages {
		if working := m.has(id, tried); working || !m.has(id, forAll) {
			expect(rt, "begun", s.Begun(id), working)
		}
	}
	names := s.Lanes()
	for _, lane := range []string{Lane, "other"} {
		legs := m.waiting(lane)
		got, ok := s.NextDue(lane)
		expect(rt, "something waits", []bool{ok, slices.Contains(names, lane)}, []bool{len(legs) > 0, len(legs) > 0})
		if ok && !slices.ContainsFunc(legs, func(l modelledLeg) bool {
			return l.next.Equal(got) && (got.Equal(legs[0].next) || !got.After(time.Now()))
		}) {
			rt.Fatalf("next due on %s: %v, want one of %+v", lane, got, legs)
		}
	}
}
