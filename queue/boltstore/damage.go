package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dinkymail/queue"
)

func (s *Store) damagedPath(name string) string { return filepath.Join(s.dir, "damaged", name) }

// keepDamaged writes bytes to the directory for what cannot be read. They may be the last of it, so they survive power loss.
func (s *Store) keepDamaged(name string, b []byte) error {
	f, err := os.OpenFile(s.damagedPath(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return s.cfg.disk.syncDir(filepath.Dir(f.Name()))
}

// unreadable sets a record of the index aside, with its body if that can be found, and takes it out of the index.
func (s *Store) unreadable(id queue.ID, at place, raw []byte, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending(id) != nil {
		return // set aside already, or replaced
	}
	s.index.condemn(reason)
	path := s.damagedPath(string(id) + ".record")
	err := s.keepDamaged(string(id)+".record", raw)
	body := string(id) + ".eml"
	if at.body.where == inSegment {
		if b, lost := s.segmentBytes(at.body); lost == nil {
			err = errors.Join(err, s.keepDamaged(body, b))
		}
	} else if _, lost := os.Stat(s.largePath(id)); lost == nil {
		err = errors.Join(err, os.Link(s.largePath(id), s.damagedPath(body)))
	}
	if err != nil {
		s.log.Error("damaged record not set aside", "id", id, "path", path, "err", err)
		return
	}
	if at.idle() {
		rows := s.claims.rows(id)
		at.key, at.more = rows.key, rows.more
	}
	s.fresh[id] = &state{base: at}
	s.count.add(at, -1)
	s.use(at.body, -1)
	s.claims.changed(id, at, place{}, nil, 0)
	s.oldest.changed(id, at, place{})
	s.damaged++
	signal(s.dirty)
	s.log.Error("damaged record set aside", "id", id, "path", path, "err", reason,
		"remedy", "check the disk and restart: it is read back from the journal if that has it; the body, where it was found, is beside "+
			"the record as .eml")
}

// orphan sets a body of the journal aside whose message is not known.
func (s *Store) orphan(r *reader, off int64, h entryHead) error {
	b, err := r.bytes(off+recordHead+int64(h.meta), h.body)
	if err != nil {
		return err
	}
	if err := s.keepDamaged(string(h.id)+".eml", b); err != nil {
		return s.cannotWrite(err)
	}
	s.damaged++
	return nil
}

// countDamaged counts what was set aside and not yet cleared away.
func (s *Store) countDamaged() error {
	names, err := os.ReadDir(filepath.Join(s.dir, "damaged"))
	if err != nil {
		return fmt.Errorf("read what was set aside: %w", err)
	}
	s.recallHarm(names)
	records := make(map[string]bool)
	for _, e := range names { // ID.eml comes before ID.record
		switch name, ext := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), filepath.Ext(e.Name()); ext {
		case ".record", ".eml":
			if !records[name] {
				s.damaged++
			}
			records[name] = true
		}
	}
	return nil
}
