package boltstore

import (
	"errors"
	"fmt"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// runIndex brings the index up to date until Close, and once more then.
func (s *Store) runIndex() {
	timer := time.NewTimer(s.cfg.FlushDelay)
	defer timer.Stop()
	for {
		select {
		case <-s.dirty:
		case <-s.quit:
			return
		}
		timer.Reset(s.cfg.FlushDelay)
		select {
		case <-s.urgent:
		case <-timer.C:
		case <-s.quit:
			return
		}
		if err := s.flushOnce(); err != nil {
			signal(s.dirty) // again in a while
		}
	}
}

// flushOnce brings the index to what the journal has. What fails is kept and tried again by the
// next call.
func (s *Store) flushOnce() error {
	if err := s.Broken(); err != nil {
		return err
	}
	s.bodies.warm.drop()
	sn := s.beginFlush()
	err := s.index.write(sn)
	if err != nil {
		err = s.flushFailed(err)
	}
	s.endFlush(err)
	if err == nil {
		signal(s.sparse)
	}
	return err
}

func (s *Store) beginFlush() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flushing.states == nil {
		s.lag.begin(s.totals.snapshot(s.journal.Salt, s.anew.loading()))
		for id, st := range s.flushing.states {
			if st.now.kept != none && id > s.maxID {
				s.maxID = id
			}
		}
	}
	sn := s.flushing
	return &sn
}

func (s *Store) endFlush(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.oldest.flushed(s.flushing.states, s.fresh)
	}
	s.lag.end(err)
	if len(s.fresh) > 0 {
		signal(s.dirty)
	}
}

// flushFailed decides what a failed transaction means. A full disk passes: nothing is lost, since
// the journal has it all, and bbolt is opened anew from what it last committed, for its own idea of
// the file is not to be trusted after a failed commit. Everything else is a sick disk.
func (s *Store) flushFailed(err error) error {
	if errors.Is(err, ErrDamaged) {
		s.index.condemn(err)
	}
	if !journal.NoSpace(err) {
		return s.journal.Fault.Set(err)
	}
	s.journal.Reserve.Release()
	if again := s.index.open(); again != nil {
		return s.journal.Fault.Set(fmt.Errorf("%w; and open it anew: %w", err, again))
	}
	return queue.ErrNoSpace
}

// room waits until the index has caught up, if it lags too far behind. It returns queue.ErrNoSpace
// when the index cannot grow. Only the journal's goroutine calls it.
func (s *Store) room() error {
	for {
		s.mu.Lock()
		over, stuck, flushed := len(s.fresh) >= 2*s.cfg.FlushRecords, s.stuck, s.flushed
		s.mu.Unlock()
		switch {
		case !over:
			return nil
		case s.Broken() != nil:
			return s.Broken()
		case stuck != nil:
			return stuck
		}
		signal(s.urgent)
		select {
		case <-flushed:
		case <-s.quit: // nothing will come any more: Close flushes what there is
			return nil
		}
	}
}
