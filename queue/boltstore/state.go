package boltstore

import (
	"errors"
	"time"

	"dinkymail/queue"
)

// apply makes a batch visible that is on the disk up to end of segment seg. It is called in the order of the journal.
func (s *Store) apply(batch []*change, seg uint32, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = time.Now()
	s.claims.due.Tick(nanos(s.written))
	for _, c := range batch {
		switch c.kind {
		case kindProbe:
		case kindNote:
			_ = s.applyNote(c.meta) // it was encoded by newNote
		default:
			s.applyOne(c)
		}
	}
	s.pos = position{seg: seg, off: end}
	if len(s.fresh) > 0 {
		signal(s.dirty)
	}
	if len(s.fresh) >= s.cfg.FlushRecords {
		signal(s.urgent)
	}
}

func (s *Store) applyOne(c *change) {
	st := &state{base: c.was, now: c.now, msg: c.msg, meta: c.meta}
	if old := s.fresh[c.id]; old != nil {
		st.base = old.base
		if c.kind == kindMove {
			st.msg, st.meta = old.msg, old.meta
		}
	} else if old := s.flush[c.id]; old != nil {
		st.base = old.now
		if c.kind == kindMove {
			st.msg, st.meta = old.msg, nil
		}
	}
	if st.base.kept == none && st.now.kept == none {
		delete(s.fresh, c.id)
	} else {
		s.fresh[c.id] = st
	}
	s.count.add(c.was, -1)
	s.count.add(c.now, 1)
	s.use(c.was.body, -1)
	s.use(c.now.body, 1)
	if c.now.body.where == nowhere && c.now.kept != waiting {
		s.unharmed(c.id)
	}
	if c.kind == kindMove {
		s.claims.moved(c.id, c.now.body)
		return
	}
	s.claims.changed(c.id, c.was, c.now, c.msg, c.claim)
	s.oldest.changed(c.id, c.was, c.now)
}

// use counts bytes of a segment as needed, or not any more. The head counts too, so that an empty body is not nothing.
func (s *Store) use(l location, n int64) {
	if l.where != inSegment {
		return
	}
	s.live[l.seg] += n * (l.n + recordHead)
	if s.live[l.seg] == 0 {
		delete(s.live, l.seg)
	}
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

// pending is what the index does not know yet of a message; nil when it knows all. It is called with mu held.
func (s *Store) pending(id queue.ID) *state {
	if st := s.fresh[id]; st != nil {
		return st
	}
	return s.flush[id]
}

// lockID waits until nobody else changes the message, and keeps others from it until unlockID.
func (s *Store) lockID(id queue.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		wait, taken := s.busy[id]
		if !taken {
			s.busy[id] = nil
			return
		}
		if wait == nil {
			wait = make(chan struct{})
			s.busy[id] = wait
		}
		s.mu.Unlock()
		<-wait
		s.mu.Lock()
	}
}

func (s *Store) unlockID(id queue.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.busy[id]; wait != nil {
		close(wait)
	}
	delete(s.busy, id)
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
