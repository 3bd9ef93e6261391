package boltstore

import (
	"errors"
	"maps"
	"os"
	"time"

	"dinkymail/queue"
)

// sealed begins to count a new segment.
func (s *Store) sealed(n uint32, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pos = position{seg: n, off: off}
	signal(s.dirty) // once the index is here, the segments before may go
}

// tidy deletes the segments of which nothing is needed, after writing a checkpoint if many wait for one.
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
		if err := s.writeCheckpoint(s.reserve.tight.Load()); err != nil && !errors.Is(err, queue.ErrClosed) {
			s.held.failed = time.Now()
			s.log.Warn("checkpoint not written: segments stay for longer", "path", s.dir, "err", err)
		}
	}
	s.dropSegments(dead)
}

// dead are the segments with no body that is needed, of those that the index is beyond, and how large they are.
func (s *Store) dead(has *snapshot) (map[uint32]int64, error) {
	numbers, err := s.segmentNumbers()
	if err != nil {
		return nil, err
	}
	dead := make(map[uint32]int64)
	for _, n := range numbers {
		if n >= has.to.Seg || has.live[n] != 0 {
			continue
		}
		st, err := os.Stat(s.segmentPath(n))
		if err != nil {
			return nil, err
		}
		dead[n] = st.Size()
	}
	return dead, nil
}

// checkpointDue reports whether the segments that only wait for a checkpoint are worth one. On a full disk any is.
func (s *Store) checkpointDue(has *snapshot, dead map[uint32]int64) bool {
	if time.Since(s.held.failed) < checkpointPause {
		return false
	}
	waiting := int64(0)
	for n, size := range dead {
		if n >= s.held.number {
			waiting += size
		}
	}
	if s.reserve.tight.Load() {
		return waiting > 0
	}
	return s.bare && has.to.Seg > 0 || waiting >= max(s.cfg.SegmentBytes, s.held.size)
}

// dropSegments deletes those of the dead segments whose records are in the checkpoint.
func (s *Store) dropSegments(dead map[uint32]int64) {
	for n := range dead {
		if n >= s.held.number {
			continue
		}
		s.files.mu.Lock()
		s.files.forget(n)
		s.files.mu.Unlock()
		if err := os.Remove(s.segmentPath(n)); err != nil {
			s.log.Warn("segment not deleted", "path", s.segmentPath(n), "err", err)
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
			s.log.Warn("segment not compacted", "path", s.segmentPath(n), "err", err)
		}
	}
}

// mostlyDead is the share of a segment below which what lives in it is moved.
const mostlyDead = 0.25

// sparsest finds the closed segment of which the smallest share is needed, if that is little.
func (s *Store) sparsest(done map[uint32]bool) (uint32, bool) {
	s.mu.Lock()
	live, at := maps.Clone(s.live), s.pos.seg
	if s.flush != nil {
		at = min(at, s.flushing.to.Seg)
	}
	s.mu.Unlock()
	best, share := uint32(0), mostlyDead
	for n, bytes := range live {
		st, err := os.Stat(s.segmentPath(n))
		if n >= at || done[n] || err != nil {
			continue
		}
		if is := float64(bytes) / float64(st.Size()); is < share {
			best, share = n, is
		}
	}
	return best, best != 0
}

// compact writes what lives in a segment to the end of the journal. The segment is deleted after the next flush.
func (s *Store) compact(n uint32) error {
	return s.files.use(n, func(f file) error {
		r, err := newReader(f, n, s.salt)
		if err != nil {
			return err
		}
		m := move{s: s}
		for off, more := int64(segmentHead), true; more; {
			h, _, err := r.head(off)
			switch {
			case errors.Is(err, errNoRecord):
				if off, more, err = r.next(off + alignment); err == nil {
					continue
				}
			case err == nil && h.kind.inline():
				err = m.add(location{where: inSegment, seg: n, off: off + recordHead + int64(h.meta), n: h.body, crc: h.crc}, h.id)
			}
			if err != nil {
				return errors.Join(err, m.flush())
			}
			off += h.size()
		}
		return m.flush()
	})
}

// move gathers bodies that are written together. Their messages are locked until then.
type move struct {
	s       *Store
	changes []*change
	bytes   int
}

// moveBytes is how much is written together.
const moveBytes = 1 << 20

// add takes one body, if its message still needs it.
func (m *move) add(from location, id queue.ID) error {
	if !m.s.tryLockID(id) {
		// Nobody who holds one message may wait for another.
		if err := m.flush(); err != nil {
			return err
		}
		m.s.lockID(id)
	}
	at, err := m.s.locate(id)
	var body []byte
	if err == nil && at.body == from {
		if body, err = m.s.segmentBytes(from); errors.Is(err, ErrDamaged) {
			m.s.harmed(id, err)
		}
	}
	if err != nil || at.body != from {
		m.s.unlockID(id)
		if errors.Is(err, queue.ErrNotFound) || errors.Is(err, ErrDamaged) {
			return nil // a damaged body stays where it is, and whoever asks for it is told
		}
		return err
	}
	m.changes = append(m.changes, &change{kind: kindMove, id: id, was: at, now: at, body: body, crc: from.crc})
	if m.bytes += len(body); m.bytes < moveBytes {
		return nil
	}
	return m.flush()
}

func (m *move) flush() error {
	if len(m.changes) == 0 {
		return nil
	}
	err := m.s.journal.submit(m.changes...)
	for _, c := range m.changes {
		m.s.unlockID(c.id)
	}
	m.changes, m.bytes = nil, 0
	return err
}
