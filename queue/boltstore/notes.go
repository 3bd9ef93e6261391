package boltstore

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// SetNote implements queue.Store. Notes are in the index alone: the note is written with its next transaction, which is begun
// at once.
func (s *Store) SetNote(name, text string) error {
	if err := s.Broken(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	old := s.notes[name]
	mine := s.note(name, text)
	for s.saved < mine {
		flushed := s.flushed
		signal(s.dirty)
		signal(s.urgent)
		s.mu.Unlock()
		select {
		case <-flushed:
		case <-time.After(s.cfg.FlushDelay): // a disk that failed meanwhile ends no flush
		case <-s.quit:
			s.mu.Lock()
			return queue.ErrClosed
		}
		s.mu.Lock()
		if err := cmp.Or(s.Broken(), s.stuck); s.saved < mine && err != nil {
			s.note(name, old)
			return fmt.Errorf("keep a note: %w", err)
		}
	}
	return nil
}

// note changes a note in memory, and returns the number of the change.
func (s *Store) note(name, text string) int {
	if text == "" {
		delete(s.notes, name)
	} else {
		s.notes[name] = text
	}
	s.noted++
	return s.noted
}

// Notes implements queue.Store.
func (s *Store) Notes() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.notes)
}

// fillNotes makes the notes in the index those given, if any are.
func fillNotes(tx *bolt.Tx, all map[string]string) error {
	if all == nil {
		return nil
	}
	if err := tx.DeleteBucket(notes); err != nil {
		return err
	}
	b, err := tx.CreateBucket(notes)
	if err != nil {
		return err
	}
	for name, text := range all {
		if err := b.Put([]byte(name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}
