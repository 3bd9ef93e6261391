package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/fxamacker/cbor/v2"
)

// loadCheckpoint fills an empty index from the newest checkpoint. It syncs once: what is there before is begun anew after a crash.
func (s *Store) loadCheckpoint() error {
	defer func() { s.partial = false }()
	if s.held.number == 0 {
		return nil
	}
	f, err := s.cfg.disk.open(s.checkpointPath(s.held.number), os.O_RDONLY)
	if err != nil {
		return err
	}
	s.index.db.NoSync = true
	r, err := newReader(f, s.held.number, s.salt)
	if err == nil {
		err = s.loadRecords(r)
	}
	if err == nil && len(s.fresh) > 0 {
		err = s.flushOnce()
	}
	s.index.db.NoSync = false
	if err := errors.Join(err, f.Close(), s.index.db.Sync()); err != nil {
		return fmt.Errorf("read %s: %w", s.checkpointPath(s.held.number), err)
	}
	return nil
}

func (s *Store) loadRecords(r *reader) error {
	loaded, off := checkpointEnd{}, int64(segmentHead)
	for {
		h, b, err := r.head(off)
		switch {
		case errors.Is(err, errNoRecord):
			next, more, err := r.next(off + alignment)
			if err != nil {
				return err
			}
			if !more {
				next = r.size
			}
			if off < next {
				s.anew.damaged++
				if err := s.setAside(r, checkpointExt, off, next); err != nil {
					return err
				}
			}
			if off = next; !more {
				return nil
			}
			continue
		case err != nil:
			return err
		}
		if err := s.loadRecord(h, b, &loaded); err != nil {
			s.anew.damaged++
			if err := s.setAside(r, checkpointExt, off, off+h.size()); err != nil {
				return err
			}
		}
		off += h.size()
		if len(s.fresh) >= s.cfg.FlushRecords {
			if err := s.flushOnce(); err != nil {
				return err
			}
		}
	}
}

// loadRecord applies one record of a checkpoint.
func (s *Store) loadRecord(h entryHead, b []byte, loaded *checkpointEnd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch h.kind {
	case kindNote:
		loaded.Notes++
		return s.applyNote(b)
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
		now := placeOf(m, body)
		now.record = int64(len(record))
		s.applyOne(&change{kind: kindRecord, id: h.id, now: now, msg: m, meta: bytes.Clone(record)})
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
