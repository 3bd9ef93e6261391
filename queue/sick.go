package queue

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// sickness is what stops delivery for the disk's sake: results that could not be written yet, or a store that said ErrBroken.
type sickness struct {
	on atomic.Bool // delivery stops; read by every attempt

	mu     sync.Mutex // guards what follows
	stuck  int        // results that wait to be written again
	reason error      // of the latest that got stuck
	broken error      // the store is broken until a restart
}

// stick notes a result that could not be written, and reports whether it is the first.
func (s *sickness) stick(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck++
	s.reason = err
	s.on.Store(true)
	return s.stuck == 1
}

// unstick notes that a stuck result is written, or given up, and reports whether it was the last.
func (s *sickness) unstick() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck--
	if s.stuck == 0 {
		s.reason = nil
	}
	s.on.Store(s.stuck > 0 || s.broken != nil)
	return s.stuck == 0
}

// forGood notes a store that will not work again before a restart.
func (s *sickness) forGood(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
	s.on.Store(true)
}

// err is why nothing is delivered, or nil.
func (s *sickness) err() error {
	if !s.on.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		return s.broken
	case s.stuck > 0:
		return fmt.Errorf("delivery stands still: %d results cannot be written to the queue's disk: %w", s.stuck, s.reason)
	default:
		return nil
	}
}
