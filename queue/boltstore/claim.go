package boltstore

import (
	"errors"
	"time"

	"dinkymail/queue"
)

// claims is the order in which messages are handed out, and who has been promised to somebody. It is guarded by Store.mu.
type claims struct {
	due    turns
	leases map[queue.ID]*lease
	next   time.Time // no lease ends before
}

// lease is a claim. While it lasts it knows the record, so that settling a message need not read it again.
type lease struct {
	until  time.Time
	sender uint32
	state  state // msg is nil until it was read
	moved  bool  // the body was moved since: the place in state is the newer one
}

// changed follows a change of a message: the claim on it is over.
func (c *claims) changed(id queue.ID, now place) {
	delete(c.leases, id)
	c.due.remove(id)
	if now.kept == waiting && now.key != 0 {
		c.due.add(now.key, id, now.sender)
	}
}

// moved follows a change of nothing but the place of the body.
func (c *claims) moved(id queue.ID, now place) {
	if l := c.leases[id]; l != nil {
		l.state.base, l.state.now, l.moved = now, now, true
	}
}

// known is the record of a message, if somebody has it claimed.
func (c *claims) known(id queue.ID) *state {
	if l := c.leases[id]; l != nil && l.state.msg != nil {
		st := l.state
		return &st
	}
	return nil
}

// release gives one claim back.
func (c *claims) release(id queue.ID) {
	l := c.leases[id]
	if l == nil {
		return
	}
	delete(c.leases, id)
	if l.state.now.kept == waiting && l.state.now.key != 0 {
		c.due.add(l.state.now.key, id, l.sender)
	}
}

// lapse gives back the claims whose time is over.
func (c *claims) lapse(now time.Time) {
	if len(c.leases) == 0 || now.Before(c.next) {
		return
	}
	c.next = time.Time{}
	for id, l := range c.leases {
		if !l.until.After(now) {
			c.release(id)
		} else if c.next.IsZero() || l.until.Before(c.next) {
			c.next = l.until
		}
	}
}

// Claim implements queue.Store.
func (s *Store) Claim(limit int, length time.Duration) ([]queue.Message, error) {
	var out []queue.Message
	for len(out) < limit {
		taken, err := s.takeDue(limit-len(out), length)
		if err != nil || len(taken) == 0 {
			return out, err
		}
		for i, t := range taken {
			m, err := s.readClaimed(t)
			if err != nil {
				s.Release(ids(taken[i:])...)
				return out, err
			}
			if m != nil {
				out = append(out, *m)
			}
		}
	}
	return out, nil
}

// taken is a message that was just claimed.
type taken struct {
	id    queue.ID
	lease *lease
}

func ids(t []taken) []queue.ID {
	out := make([]queue.ID, len(t))
	for i := range t {
		out[i] = t[i].id
	}
	return out
}

// takeDue claims what is due, the senders taking turns.
func (s *Store) takeDue(limit int, length time.Duration) ([]taken, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	c := &s.claims
	c.lapse(now)
	c.due.ripen(nanos(now))
	until := now.Add(length)
	var out []taken
	for len(out) < limit {
		next, ok := c.due.take()
		if !ok {
			break
		}
		id := next.id.id()
		l := &lease{until: until, sender: next.sender, state: state{now: place{kept: waiting, key: next.key}}}
		if st := s.pending(id); st != nil && st.msg != nil {
			l.state = *st
		}
		if len(c.leases) == 0 || until.Before(c.next) {
			c.next = until
		}
		c.leases[id] = l
		out = append(out, taken{id, l})
	}
	return out, nil
}

// readClaimed reads the record of a claimed message. It gives nil when the claim is over already, or the record unreadable.
func (s *Store) readClaimed(t taken) (*queue.Message, error) {
	s.mu.Lock()
	msg := t.lease.state.msg
	s.mu.Unlock()
	if msg == nil {
		st, err := s.find(t.id)
		if err != nil {
			return nil, s.lost(t, err)
		}
		s.mu.Lock()
		if msg = st.msg; t.lease.moved {
			st.base, st.now = t.lease.state.base, t.lease.state.now
		}
		t.lease.state, t.lease.sender = st, msg.Sender()
		s.mu.Unlock()
	}
	s.mu.Lock()
	ours := s.claims.leases[t.id] == t.lease
	s.mu.Unlock()
	if !ours {
		return nil, nil
	}
	return clone(msg), nil
}

// lost ends the claim on a message that cannot be read. It is no error when the message is gone or was set aside.
func (s *Store) lost(t taken, err error) error {
	if !errors.Is(err, queue.ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims.leases[t.id] == t.lease {
		delete(s.claims.leases, t.id)
		s.forgetKey(waiting, t.lease.state.now.key, t.id)
	}
	return nil
}

// forgetKey deletes the place in the order of time of a message that is not there. It is called with mu held.
func (s *Store) forgetKey(k kept, key int64, id queue.ID) {
	if s.pending(id) == nil {
		s.fresh[id] = &state{base: place{kept: k, key: key}}
		signal(s.dirty)
	}
}

// Release implements queue.Store.
func (s *Store) Release(ids ...queue.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.claims.release(id)
	}
}

// NextDue implements queue.Store.
func (s *Store) NextDue() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.lapse(time.Now())
	key, ok := s.claims.due.soonest()
	return moment(key), ok
}
