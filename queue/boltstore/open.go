package boltstore

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"

	"dinkymail/queue"
)

// Open opens the store in dir, making it if need be, and reads back what the journal has and the index has not. It returns
// ErrInUse when another process has it open. Its errors name the path and what to do.
func Open(dir string, cfg Config, log *slog.Logger) (*Store, error) {
	s := &Store{
		dir: dir, cfg: cfg.withDefaults(), log: log,
		quit: make(chan struct{}), dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1), sparse: make(chan struct{}, 1),
		flushed: make(chan struct{}), busy: make(map[queue.ID]chan struct{}),
	}
	s.index = index{s: s, path: s.indexPath()}
	s.files = files{s: s, open: make(map[uint32]*shared)}
	s.reserve = reserve{s: s}
	s.journal = journal{s: s, kick: make(chan struct{}, 1), lazy: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		zeros: make([]byte, min(zerosAhead, s.cfg.SegmentBytes))}
	s.forget()
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	if s.bare {
		signal(s.sparse)
	}
	s.serving.Store(true)
	go s.journal.run()
	s.running.Go(s.runIndex)
	s.running.Go(s.runCompact)
	return s, nil
}

// forget makes the store know nothing of what is in its directory.
func (s *Store) forget() {
	s.fresh, s.flush, s.flushing, s.indexed = make(map[queue.ID]*state), nil, snapshot{}, snapshot{}
	s.live, s.index.live = make(map[uint32]int64), make(map[uint32]int64)
	s.count, s.pos, s.notes, s.maxID, s.damaged = counters{}, position{}, nil, "", 0
	s.harm = make(map[queue.ID]bool)
	s.claims, s.oldest = newClaims(), oldest{}
}

// open does everything but start goroutines.
func (s *Store) open() error {
	if err := s.makeDirs(); err != nil {
		return s.cannotWrite(err)
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	err := s.read()
	if errors.Is(err, ErrDamaged) && s.anew == nil {
		if err := s.setIndexAside(err); err != nil {
			return s.cannotWrite(err)
		}
		err = s.read()
	}
	if err != nil {
		return err
	}
	if err := s.reserve.make(); noSpace(err) {
		s.reserve.release()
	} else if err != nil {
		return s.cannotWrite(err)
	}
	if err := s.cfg.disk.syncDir(s.dir); err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// read reads the index and what the journal has beyond it. It returns ErrDamaged when the index is not what was written.
func (s *Store) read() error {
	if err := s.countDamaged(); err != nil {
		return err
	}
	if err := s.openIndex(); err != nil {
		return err
	}
	if err := s.replay(); err != nil {
		return err
	}
	if err := s.sweepLarge(); err != nil {
		return s.cannotWrite(err)
	}
	s.forgetHarm()
	if err := s.madeAnew(); err != nil {
		return err
	}
	return s.carry()
}

// carry lets the journal carry all there is, where it does not yet: an earlier version kept no checkpoint, or something was missing.
func (s *Store) carry() error {
	if !s.bare {
		return nil
	}
	err := s.flushOnce()
	if err == nil {
		err = s.writeCheckpoint(false)
	}
	switch {
	case err == nil, noSpace(err), errors.Is(err, queue.ErrNoSpace): // it is tried again
		return nil
	case errors.Is(err, ErrDamaged):
		return err
	}
	return s.cannotWrite(err)
}

// abandon lets go of what a failed Open has taken.
func (s *Store) abandon() error {
	err := s.index.close()
	s.files.close()
	if s.journal.active != nil {
		err = errors.Join(err, s.journal.active.Close())
	}
	if s.lock != nil { // to close it alone would leave it locked for as long as a child that is just being started has it, too
		err = errors.Join(err, syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
	}
	return err
}

// Close writes what is under way, brings the index up to date and lets the directory go. Everything later gives
// queue.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.journal.close()
	s.running.Wait()
	err := errors.Join(s.lastFlush(), s.index.settle(), s.sumUp())
	s.journal.seal()
	s.journal.active = nil
	return errors.Join(err, s.abandon())
}

// lastFlush brings the index up to date. When that cannot be done nothing is lost: the next Open does it.
func (s *Store) lastFlush() error {
	for {
		s.mu.Lock()
		n := len(s.fresh) + len(s.flush)
		s.mu.Unlock()
		if n == 0 || s.Broken() != nil {
			return nil
		}
		if err := s.flushOnce(); err != nil {
			return fmt.Errorf("close the queue: %w", err)
		}
	}
}
