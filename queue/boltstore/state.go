package boltstore

import (
	"errors"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// apply makes a batch visible that is on the disk up to end. It is called in the order of the
// journal.
func (s *Store) apply(batch []*change, end journal.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = time.Now()
	s.claims.due.Tick(nanos(s.written))
	for _, c := range batch {
		switch c.Kind {
		case kindProbe:
		case kindNote:
			_ = s.totals.note(c.Meta) // it was encoded by SetNote
		case kindPut, kindMove:
			c.now.body = location{where: inSegment, seg: c.At.Segment, off: c.At.Offset, n: int64(len(c.Body)), crc: c.Sum}
			s.applyOne(c)
		default:
			s.applyOne(c)
		}
	}
	s.pos = end
	if len(s.fresh) > 0 || len(batch) == 0 { // once the index is in a new segment, those before may go
		signal(s.dirty)
	}
	if len(s.fresh) >= s.cfg.FlushRecords {
		signal(s.urgent)
	}
}

func (s *Store) applyOne(c *change) {
	s.lag.take(c)
	s.totals.move(c.was, c.now)
	if c.now.body.where == nowhere && c.now.kept != waiting {
		s.unharmed(c.id())
	}
	if c.Kind == kindMove {
		s.claims.moved(c.id(), c.now.body)
		return
	}
	s.claims.changed(c.id(), c.was, c.now, c.msg, c.claim)
	s.oldest.changed(c.id(), c.was, c.now)
}

// find is the message as it is now, wherever that is known. The state is not to be changed.
func (s *Store) find(id queue.ID) (state, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return state{}, queue.ErrClosed
	}
	st := s.pending(id)
	if st == nil || st.now.kept != none && st.msg == nil {
		if known := s.claims.known(id); known != nil {
			s.mu.Unlock()
			return *known, nil
		}
	}
	s.mu.Unlock()
	switch {
	case st == nil:
		return s.index.get(id)
	case st.now.kept == none:
		return state{}, queue.ErrNotFound
	case st.msg == nil: // moved: the index has the record, we have the place
		old, err := s.index.get(id)
		old.now.body = st.now.body
		return old, err
	}
	return *st, nil
}

// locate is where a message is now, without reading its record.
func (s *Store) locate(id queue.ID) (place, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return place{}, queue.ErrClosed
	}
	st, known := s.pending(id), s.claims.known(id)
	s.mu.Unlock()
	switch {
	case st != nil && st.now.kept == none:
		return place{}, queue.ErrNotFound
	case st != nil:
		return st.now, nil
	case known != nil:
		return known.now, nil
	}
	return s.index.place(id)
}

// reserveID locks an ID that must be new: queue.ErrExists when it is not.
func (s *Store) reserveID(id queue.ID) error {
	s.lockID(id)
	s.mu.Lock()
	closed, st, surelyNew := s.closed, s.pending(id), id > s.maxID
	s.mu.Unlock()
	var err error
	switch {
	case closed:
		err = queue.ErrClosed
	case st != nil && st.now.kept != none:
		err = queue.ErrExists
	case st == nil && !surelyNew:
		if _, err = s.index.place(id); err == nil || errors.Is(err, ErrDamaged) {
			err = queue.ErrExists
		} else if errors.Is(err, queue.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		s.unlockID(id)
	}
	return err
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
