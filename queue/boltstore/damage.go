package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// damage is what could not be read, and was set aside or is named in the directory damaged. It is
// guarded by Store.mu.
type damage struct {
	home    *directory
	damaged int               // set aside, and not yet cleared away
	harm    map[queue.ID]bool // messages whose body was found damaged
}

func newDamage(home *directory) damage { return damage{home: home, harm: make(map[queue.ID]bool)} }

func (d *directory) damagedPath(name string) string { return filepath.Join(d.dir, "damaged", name) }

// keepDamaged writes bytes to the directory for what cannot be read. They may be the last of it, so
// they survive power loss.
func (d *directory) keepDamaged(name string, b []byte) error {
	f, err := os.OpenFile(d.damagedPath(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return d.disk.SyncDir(filepath.Dir(f.Name()))
}

// unreadable sets a record of the index aside, with its body if that can be found, and takes it out
// of the index.
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
	} else if _, lost := os.Stat(s.bodies.path(id)); lost == nil {
		err = errors.Join(err, os.Link(s.bodies.path(id), s.damagedPath(body)))
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
	s.totals.move(at, place{})
	s.claims.changed(id, at, place{}, nil, 0)
	s.oldest.changed(id, at, place{})
	s.damaged++
	signal(s.dirty)
	s.log.Error("damaged record set aside", "id", id, "path", path, "err", reason,
		"remedy", "check the disk and restart: it is read back from the journal if that has it; the body, where it was found, is beside "+
			"the record as .eml")
}

// orphan sets a body of the journal aside whose message is not known.
func (s *Store) orphan(r *journal.Reader, off int64, h journal.Head) error {
	b, err := r.Bytes(h.BodyAt(off), h.Body)
	if err != nil {
		return err
	}
	if err := s.keepDamaged(h.ID+".eml", b); err != nil {
		return s.cannotWrite(err)
	}
	s.damaged++
	return nil
}

// recall counts what was set aside before, and learns which bodies could not be read.
func (d *damage) recall() error {
	names, err := os.ReadDir(d.home.path("damaged"))
	if err != nil {
		return fmt.Errorf("read what was set aside: %w", err)
	}
	records := make(map[string]bool)
	for _, e := range names { // a message may have both ID.eml and ID.record
		switch name, ext := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), filepath.Ext(e.Name()); {
		case ext == ".record", ext == ".eml":
			records[name] = true
		case ext == harmExt && queue.ID(name).Valid():
			d.harm[queue.ID(name)] = true
		}
	}
	d.damaged = len(records)
	return nil
}
