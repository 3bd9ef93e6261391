package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dinkymail/queue"
)

func (s *Store) damagedPath(name string) string { return filepath.Join(s.dir, "damaged", name) }

// keepDamaged writes bytes to the directory for what cannot be read.
func (s *Store) keepDamaged(name string, b []byte) error {
	return os.WriteFile(s.damagedPath(name), b, 0o600)
}

// unreadable sets a record of the index aside, with its body if that can be found, and takes it out of the index.
func (s *Store) unreadable(id queue.ID, at place, raw []byte, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending(id) != nil {
		return // set aside already, or replaced
	}
	path := s.damagedPath(string(id) + ".record")
	err := s.keepDamaged(string(id)+".record", raw)
	body := string(id) + ".eml"
	if at.body.where == inSegment {
		if b, lost := s.segmentBytes(at.body); lost == nil {
			err = errors.Join(err, s.keepDamaged(body, b))
		}
	} else if _, lost := os.Stat(s.largePath(id)); lost == nil {
		err = errors.Join(err, os.Rename(s.largePath(id), s.damagedPath(body)))
	}
	if err != nil {
		s.log.Error("damaged record not set aside", "id", id, "path", path, "err", err)
		return
	}
	if l := s.claims.leases[id]; at.key == 0 && l != nil {
		at.key = l.state.now.key
	}
	s.fresh[id] = &state{base: at}
	s.count.add(at, -1)
	s.use(at.body, -1)
	s.claims.changed(id, place{})
	s.oldest.changed(id, at, place{})
	s.damaged++
	signal(s.dirty)
	s.log.Error("damaged record set aside", "id", id, "path", path, "err", reason,
		"remedy", "check the disk; the body, where it was found, is beside the record as .eml and can be sent again")
}

// countDamaged counts what was set aside and not yet cleared away.
func (s *Store) countDamaged() error {
	names, err := os.ReadDir(filepath.Join(s.dir, "damaged"))
	if err != nil {
		return fmt.Errorf("read what was set aside: %w", err)
	}
	s.recallHarm(names)
	for _, e := range names {
		if filepath.Ext(e.Name()) == ".record" {
			s.damaged++
		}
	}
	return nil
}
