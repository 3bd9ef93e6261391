package boltstore

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"dinkymail/queue"
)

// Claim implements queue.Store. It reads no record.
func (s *Store) Claim(lane string, n int) ([]queue.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	return s.claims.take(lane, n, time.Now()), nil
}

// ClaimOne implements queue.Store.
func (s *Store) ClaimOne(id queue.ID) (queue.Claim, error) {
	s.lockID(id) // or the record might be another by the time of the claim
	defer s.unlockID(id)
	st, err := s.find(id)
	if err != nil {
		return queue.Claim{}, gone(id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims.takeAll(id, st, time.Now())
}

// Begin implements queue.Store. What it cannot read is set aside, and not there.
func (s *Store) Begin(c queue.Claim) (queue.Message, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.Message{}, queue.ErrClosed
	}
	msg, err := s.claims.begin(c, time.Now())
	s.mu.Unlock()
	if err == nil && msg == nil {
		msg, err = s.readClaimed(c)
	}
	if err != nil {
		return queue.Message{}, err
	}
	return *clone(msg), nil
}

// readClaimed reads the record of a message that was just begun.
func (s *Store) readClaimed(c queue.Claim) (*queue.Message, error) {
	st, err := s.find(c.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		return s.claims.learn(c, st)
	}
	err = gone(c.ID, err)
	if !errors.Is(err, queue.ErrNotFound) {
		s.claims.rest(c)
		return nil, err
	}
	if _, g := s.claims.grant(c); g != nil {
		rows := s.claims.rows(c.ID)
		s.claims.changed(c.ID, rows, place{}, nil, 0)
		s.forgetRows(c.ID, rows)
	}
	return nil, err
}

// gone makes of a record that was set aside one that is not there.
func gone(id queue.ID, err error) error {
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", queue.ErrNotFound, err)
	}
	return fmt.Errorf("claim %s: %w", id, err)
}

// forgetRows deletes the place in the order of time of a message that is not there. It is called
// with mu held.
func (s *Store) forgetRows(id queue.ID, at place) {
	if s.pending(id) == nil {
		s.fresh[id] = &state{base: at}
		signal(s.dirty)
	}
}

// Renew implements queue.Store.
func (s *Store) Renew(c queue.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, _, err := s.claims.renew(c, time.Now()); err != nil {
		return fmt.Errorf("renew %s: %w", c.ID, err)
	}
	return nil
}

// Rest implements queue.Store.
func (s *Store) Rest(c queue.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.rest(c)
}

// Settle implements queue.Store. Where the record cannot be written the claim goes on.
func (s *Store) Settle(c queue.Claim, change func(*queue.Message)) (queue.Message, error) {
	s.lockID(c.ID)
	defer s.unlockID(c.ID)
	s.mu.Lock()
	err := s.claims.pin(c, time.Now())
	s.mu.Unlock()
	if err != nil {
		return queue.Message{}, err
	}
	m, err := s.modify(c.ID, c.Token, change)
	if err != nil {
		_ = s.Renew(c) // lost only with the message
	}
	return m, err
}

// Release implements queue.Store.
func (s *Store) Release(claims ...queue.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		s.claims.end(c)
	}
}

// Begun implements queue.Store.
func (s *Store) Begun(id queue.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.lapse(time.Now())
	h := s.claims.held[id]
	return h != nil && h.working()
}

// NextDue implements queue.Store.
func (s *Store) NextDue(lane string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.lapse(time.Now())
	due, ok := s.claims.due.Soonest(lane)
	return moment(due), ok
}

// Lanes implements queue.Store.
func (s *Store) Lanes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims.lapse(time.Now())
	return slices.Collect(s.claims.due.Lanes())
}
