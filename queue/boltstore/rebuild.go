package boltstore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// anew is what there is to say of an index that is made anew.
type anew struct {
	reason  error // why; nil: there was no index
	begun   time.Time
	gaps    int // segments that are not there and whose records are not in a checkpoint
	damaged int // records of the checkpoint that are lost
	bodies  int // bodies that are not there
	ended   bool
}

// whole reports whether the journal had all it should have, so that what it does not know was never acknowledged, or is settled.
func (a *anew) whole() bool { return a == nil || a.gaps == 0 && a.damaged == 0 && a.ended }

// indexAside is where a damaged index goes. The one before is overwritten: it is of no use once it was made anew.
func (s *Store) indexAside() string { return s.damagedPath("queue.db") }

// setIndexAside moves an index that cannot be used out of the way.
func (s *Store) setIndexAside(reason error) error {
	_ = s.index.close() // nothing that it says matters any more
	if err := s.index.moveAside(); err != nil {
		return err
	}
	s.forget()
	s.anew = &anew{reason: reason}
	return nil
}

// moveAside gives the file a name at which no Open looks for it, also while it is open.
func (x *index) moveAside() error {
	if err := os.Rename(x.path, x.s.indexAside()); err != nil {
		return err
	}
	return errors.Join(x.s.cfg.disk.syncDir(x.s.dir), x.s.cfg.disk.syncDir(filepath.Join(x.s.dir, "damaged")))
}

// condemn sets an open index aside that was found to be damaged, so that the next Open makes it anew from the journal. Until then
// no segment is deleted.
func (x *index) condemn(reason error) {
	if !x.s.serving.Load() || x.condemned.Swap(true) {
		return
	}
	err := x.moveAside()
	x.s.log.Error("index is damaged", "path", x.path, "aside", x.s.indexAside(), "reason", reason, "err", err,
		"remedy", "restart: it is made anew from the journal, which has all mail; check the disk")
}

// createIndex begins an index: an empty one, or where there are segments or a checkpoint one that is made anew from these.
func (s *Store) createIndex() error {
	numbers, err := s.segmentNumbers()
	if err != nil {
		return err
	}
	if err := s.findSalt(numbers); err != nil {
		return err
	}
	orphans, err := s.hasLarge()
	if err != nil {
		return err
	}
	s.partial = len(numbers) > 0 || s.held.number != 0 || orphans || s.anew != nil
	err = s.index.update(func(tx *bolt.Tx) error {
		if err := makeBuckets(tx); err != nil {
			return err
		}
		return putProgress(tx, progress{Schema: schema, Salt: s.salt, Seg: s.pos.seg, Off: s.pos.off, Partial: s.partial})
	})
	if err != nil || !s.partial {
		return err
	}
	if s.anew == nil {
		s.anew = &anew{}
	}
	s.anew.begun, s.anew.ended = time.Now(), s.held.number == 0 && len(numbers) > 0
	s.anew.gaps = gaps(numbers, max(s.held.number, 1))
	return nil
}

// gaps counts the segments that are missing from the first one on that is needed.
func gaps(numbers []uint32, from uint32) int {
	n, first := 0, from
	for _, has := range numbers {
		if has >= from {
			n += int(has - from)
			from = has + 1
		}
	}
	if from == first {
		n++
	}
	return n
}

// findSalt reads the store's salt from the checkpoint or the first segment that has one, and where the journal is to be read from.
func (s *Store) findSalt(numbers []uint32) error {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	s.salt, s.pos = binary.LittleEndian.Uint64(b[:]), position{seg: 1, off: segmentHead}
	look := func(n uint32, f file) error {
		salt, written, ok := saltOf(f, n)
		if written > schema {
			return s.newer(written)
		}
		if ok {
			s.salt = salt
		}
		return nil
	}
	for _, n := range slices.Backward(numbers) {
		s.pos.seg = n
		if err := s.files.use(n, func(f file) error { return look(n, f) }); err != nil {
			return err
		}
	}
	if s.held.number == 0 {
		return nil
	}
	s.pos.seg = s.held.number
	f, err := s.cfg.disk.open(s.checkpointPath(s.held.number), os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(look(s.held.number, f), f.Close())
}

// madeAnew ends making the index anew, if that was done, and says what came of it.
func (s *Store) madeAnew() error {
	a := s.anew
	if a == nil {
		return nil
	}
	if err := s.flushOnce(); err != nil {
		return s.cannotWrite(err)
	}
	if !a.whole() {
		if err := s.countLost(); err != nil {
			return s.cannotWrite(err)
		}
	}
	s.mu.Lock()
	n := s.count
	args := []any{"path", s.index.path, "waiting", n.Waiting, "held", n.Held, "finished", n.Finished, "captured", n.Captured,
		"removed", n.Removed, "took", time.Since(a.begun).Round(time.Millisecond)}
	if a.reason != nil {
		args = append(args, "reason", a.reason, "aside", s.indexAside())
	} else {
		args = append(args, "reason", "it was not there")
	}
	if a.whole() {
		s.log.Warn("index made anew from the journal: no mail is missing", append(args,
			"remedy", "nothing need be done for the mail; check the disk")...)
	} else {
		s.bare = true
		s.log.Error("index made anew from a journal that is not whole", append(args, "segments_missing", a.gaps,
			"records_damaged", a.damaged, "checkpoint_whole", a.ended, "bodies_missing", a.bodies, "set_aside", s.damaged,
			"remedy", "what is left waits and is delivered, some of it perhaps once more; mail in "+filepath.Join(s.dir, "damaged")+
				" was accepted and is not delivered: look at it and tell its senders; files that you can put back, put back, "+
				"and move "+s.index.path+" away before the next start")...)
	}
	s.anew = nil
	s.mu.Unlock()
	return nil
}

// countLost counts what waits without its body. What is held without one was restored so.
func (s *Store) countLost() error {
	return s.index.view(func(tx *bolt.Tx) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return tx.Bucket(bucketOf[waiting]).ForEach(func(id, v []byte) error {
			if p, _, err := parsePlace(waiting, v); err == nil && p.body.where == nowhere && !p.idle() {
				s.harm[queue.ID(id)] = true
				s.anew.bodies++
				return s.keepDamaged(string(id)+harmExt, []byte("it is gone with what the journal lost\n"))
			}
			return nil
		})
	})
}
