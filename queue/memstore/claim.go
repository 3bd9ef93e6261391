package memstore

import (
	"slices"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/turns"
)

// claim is what is known of a claim, besides what its holder has.
type claim struct {
	token uint64
	until time.Time
	begun bool
	over  bool // until is past: others may have it, and as long as nobody does it can be renewed
}

// free reports whether a leg with the claim, which may be nil, can be claimed.
func (c *claim) free() bool { return c == nil || c.over }

// Claim implements queue.Store.
func (s *Store) Claim(lane string, n int) ([]queue.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	s.lapse()
	s.due.Ripen(lane, time.Now().UnixNano())
	var out []queue.Claim
	for len(out) < n {
		next, ok := s.due.Take(lane)
		if !ok {
			break
		}
		out = append(out, s.hold(queue.ID(next.Key.ID()), next.Key.Leg()))
	}
	return out, nil
}

// ClaimOne implements queue.Store.
func (s *Store) ClaimOne(id queue.ID) (queue.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	m, err := s.find(id)
	if err != nil {
		return queue.Claim{}, err
	}
	if whole := m.claims[queue.AllLegs]; !whole.free() && whole.begun {
		return queue.Claim{}, queue.ErrActive
	}
	for leg, other := range m.claims {
		if !other.begun || other.over {
			s.end(m, leg)
		}
	}
	c := s.hold(id, queue.AllLegs)
	s.schedule(m)
	return c, nil
}

// hold makes a claim.
func (s *Store) hold(id queue.ID, leg int) queue.Claim {
	s.tokens++
	m := s.messages[id]
	if leg != queue.AllLegs { // if there is one on all of them, its time is over
		delete(m.claims, queue.AllLegs)
	}
	m.claims[leg] = &claim{token: s.tokens, until: time.Now().Add(queue.ClaimTime)}
	s.claimed[id] = m
	return queue.Claim{ID: id, Leg: leg, Token: s.tokens}
}

// held is what is known of a claim that still holds.
func (s *Store) held(c queue.Claim) (*message, *claim, error) {
	m, err := s.find(c.ID)
	if err != nil {
		return nil, nil, err
	}
	if own := m.claims[c.Leg]; own != nil && own.token == c.Token {
		return m, own, nil
	}
	return nil, nil, queue.ErrLost
}

// Begin implements queue.Store.
func (s *Store) Begin(c queue.Claim) (queue.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	m, own, err := s.held(c)
	if err != nil {
		return queue.Message{}, err
	}
	for leg, other := range m.claims {
		switch {
		case c.Leg != queue.AllLegs || leg == c.Leg:
		case other.free():
			s.end(m, leg)
		default:
			return queue.Message{}, queue.ErrActive
		}
	}
	own.begun = true
	s.extend(m, own)
	return m.record.Clone(), nil
}

// Renew implements queue.Store.
func (s *Store) Renew(c queue.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, own, err := s.held(c)
	if err != nil {
		return queue.ErrLost
	}
	s.extend(m, own)
	return nil
}

// extend lets a claim hold from now.
func (s *Store) extend(m *message, c *claim) {
	c.until = time.Now().Add(queue.ClaimTime)
	if c.over {
		c.over = false
		s.schedule(m)
	}
}

// Rest implements queue.Store.
func (s *Store) Rest(c queue.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, own, err := s.held(c)
	if err != nil {
		return
	}
	if own.begun = false; c.Leg != queue.AllLegs && m.claims[queue.AllLegs] != nil {
		s.end(m, c.Leg)
	}
}

// Release implements queue.Store.
func (s *Store) Release(claims ...queue.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		if m, _, err := s.held(c); err == nil {
			s.end(m, c.Leg)
		}
	}
}

// Begun implements queue.Store.
func (s *Store) Begun(id queue.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.messages[id]; m != nil {
		for _, c := range m.claims {
			if c.begun {
				return true
			}
		}
	}
	return false
}

// NextDue implements queue.Store.
func (s *Store) NextDue(lane string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	due, ok := s.due.Soonest(lane)
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(0, due), true
}

// Lanes implements queue.Store.
func (s *Store) Lanes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	return slices.Collect(s.due.Lanes())
}

// end ends a claim.
func (s *Store) end(m *message, leg int) {
	delete(m.claims, leg)
	if len(m.claims) == 0 {
		delete(s.claimed, m.record.ID)
	}
	s.schedule(m)
}

// revoke ends the claims on a message that nobody has begun.
func (s *Store) revoke(m *message) {
	for leg, c := range m.claims {
		if !c.begun {
			s.end(m, leg)
		}
	}
}

// lapse lets others have the claims whose time is over.
func (s *Store) lapse() {
	now := time.Now()
	for _, m := range s.claimed {
		for _, c := range m.claims {
			if !c.over && !c.until.After(now) {
				c.over = true
				s.schedule(m)
			}
		}
	}
}

// schedule has the legs of a message that wait and that nobody has claimed stand in turns, and no
// others.
func (s *Store) schedule(m *message) {
	r := &m.record
	s.due.Tick(time.Now().UnixNano())
	for leg := range max(len(r.Legs), m.scheduled) {
		key := turns.KeyOf(string(r.ID), leg)
		s.due.Remove(key)
		if leg < len(r.Legs) && !r.Legs[leg].Next.IsZero() && waits(r) && m.claims[leg].free() && m.claims[queue.AllLegs].free() {
			s.due.Add(r.Legs[leg].Lane, turns.Slot{Due: r.Legs[leg].Next.UnixNano(), Key: key, Sender: r.Sender()})
		}
	}
	m.scheduled = len(r.Legs)
}

// waits reports whether legs of a message may be claimed.
func waits(m *queue.Message) bool {
	return m.Finished.IsZero() && m.Removed.IsZero() && !m.Captured && m.Held == ""
}
