package boltstore

import (
	"bytes"
	"errors"

	"github.com/fxamacker/cbor/v2"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// loadCheckpoint fills an empty index from the newest checkpoint. It syncs once: what is there
// before is begun anew after a crash.
func (s *Store) loadCheckpoint() error {
	defer func() { s.anew.partial = false }()
	if s.held.Number == 0 {
		return nil
	}
	s.index.db.NoSync = true
	loaded := checkpointEnd{}
	err := s.journal.ReadCheckpoint(s.held, s.scan(journal.CheckpointExt, func(r *journal.Reader, off int64, h journal.Head, meta []byte) error {
		if s.loadRecord(h, meta, &loaded) != nil {
			return s.setAside(r, journal.CheckpointExt, off, off+h.Size())
		}
		return nil
	}))
	if err == nil && len(s.fresh) > 0 {
		err = s.flushOnce()
	}
	s.index.db.NoSync = false
	return errors.Join(err, s.index.db.Sync())
}

// loadRecord applies one record of a checkpoint.
func (s *Store) loadRecord(h journal.Head, b []byte, loaded *checkpointEnd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch h.Kind {
	case kindNote:
		loaded.Notes++
		return s.totals.note(b)
	case kindRecord:
		loaded.Records++
		body, record, err := parsePlaced(h, b)
		if err != nil {
			return err
		}
		m, err := decode(record)
		if err != nil {
			return err
		}
		c := newChange(kindRecord, queue.ID(h.ID), place{}, placeOf(m, body))
		c.msg, c.Meta = m, bytes.Clone(record)
		c.now.record = int64(len(record))
		s.applyOne(c)
	case kindEnd:
		var end checkpointEnd
		if err := cbor.Unmarshal(b, &end); err != nil {
			return err
		}
		s.anew.ended = true
		s.anew.damaged = max(s.anew.damaged, end.Records-loaded.Records, end.Notes-loaded.Notes)
	}
	return nil
}
