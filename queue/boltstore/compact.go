package boltstore

import (
	"errors"
	"maps"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// tidy deletes the segments of which nothing is needed, after writing a checkpoint if many wait for
// one.
func (s *Store) tidy() {
	if s.index.condemned.Load() || s.Broken() != nil {
		return
	}
	s.mu.Lock()
	has := s.indexed
	s.mu.Unlock()
	dead, err := s.dead(&has)
	if err != nil {
		s.log.Warn("segments not looked through", "path", s.dir, "err", err)
		return
	}
	if s.checkpointDue(&has, dead) {
		if err := s.writeCheckpoint(s.journal.Reserve.Tight()); err != nil && !errors.Is(err, queue.ErrClosed) {
			s.failed = time.Now()
			s.log.Warn("checkpoint not written: segments stay for longer", "path", s.dir, "err", err)
		}
	}
	s.dropSegments(dead)
}

// dead are the segments with no body that is needed, of those that the index is beyond, and how
// large they are.
func (s *Store) dead(has *snapshot) (map[uint32]int64, error) {
	sizes, err := s.journal.Sizes()
	maps.DeleteFunc(sizes, func(n uint32, _ int64) bool { return n >= has.to.Seg || has.live[n] != 0 })
	return sizes, err
}

// checkpointDue reports whether the segments that only wait for a checkpoint are worth one. On a
// full disk any is.
func (s *Store) checkpointDue(has *snapshot, dead map[uint32]int64) bool {
	if time.Since(s.failed) < checkpointPause {
		return false
	}
	waiting := int64(0)
	for n, size := range dead {
		if n >= s.held.Number {
			waiting += size
		}
	}
	if s.journal.Reserve.Tight() {
		return waiting > 0
	}
	return s.bare && has.to.Seg > 0 || waiting >= max(s.cfg.SegmentBytes, s.held.Size)
}

// dropSegments deletes those of the dead segments whose records are in the checkpoint.
func (s *Store) dropSegments(dead map[uint32]int64) {
	for n := range dead {
		if n >= s.held.Number {
			continue
		}
		if err := s.journal.Remove(n); err != nil {
			s.log.Warn("segment not deleted", "path", s.journal.Path(n), "err", err)
		}
	}
}

// runCompact looks after mostly dead segments whenever a flush is over, until Close.
func (s *Store) runCompact() {
	done := make(map[uint32]bool) // what is left in these cannot be moved
	for {
		select {
		case <-s.quit:
			return
		case <-s.sparse:
		}
		s.tidy()
		n, ok := s.sparsest(done)
		if !ok {
			continue
		}
		err := s.compact(n)
		done[n] = err == nil
		if err != nil && !errors.Is(err, queue.ErrClosed) && !errors.Is(err, queue.ErrNoSpace) {
			s.log.Warn("segment not compacted", "path", s.journal.Path(n), "err", err)
		}
	}
}

// mostlyDead is the share of a segment below which what lives in it is moved.
const mostlyDead = 0.25

// sparsest finds the closed segment of which the smallest share is needed, if that is little.
func (s *Store) sparsest(done map[uint32]bool) (uint32, bool) {
	s.mu.Lock()
	live, at := maps.Clone(s.live), s.pos.Segment
	if s.flushing.states != nil {
		at = min(at, s.flushing.to.Seg)
	}
	s.mu.Unlock()
	sizes, _ := s.journal.Sizes() // what is not there is not moved
	best, share := uint32(0), mostlyDead
	for n, bytes := range live {
		if is := float64(bytes) / float64(sizes[n]); n < at && !done[n] && is < share {
			best, share = n, is
		}
	}
	return best, best != 0
}

// compact writes what lives in a segment to the end of the journal. The segment is deleted after
// the next flush.
func (s *Store) compact(n uint32) error {
	b := batch{s: s}
	err := s.journal.Scan(n, &journal.Scan{Record: func(_ *journal.Reader, off int64, h journal.Head, _ []byte) error {
		if !format.Kinds[h.Kind].Inline {
			return nil
		}
		return s.move(&b, queue.ID(h.ID), location{where: inSegment, seg: n, off: h.BodyAt(off), n: h.Body, crc: h.Sum})
	}})
	return errors.Join(err, b.flush())
}

// move takes one body along, if its message still needs it. A damaged one stays where it is, and
// whoever asks for it is told.
func (s *Store) move(b *batch, id queue.ID, from location) error {
	at, ok, err := b.hold(id)
	if !ok {
		return err
	}
	c := newChange(kindMove, id, at, at)
	if at.body == from {
		c.Sum = from.crc
		if c.Body, err = s.segmentBytes(from); err == nil {
			return b.add(c)
		}
	}
	defer s.unlockID(id)
	if errors.Is(err, ErrDamaged) {
		s.harmed(id, err)
		return nil
	}
	return err
}
