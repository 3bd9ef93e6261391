package boltstore

import (
	"errors"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// anew is what there is to say of an index that is made anew.
type anew struct {
	reason  error // why; nil: there was no index
	begun   time.Time
	partial bool // the index does not have all of the checkpoint yet
	gaps    int  // segments that are not there and whose records are not in a checkpoint
	damaged int  // records of the checkpoint that are lost
	bodies  int  // bodies that are not there
	ended   bool
}

// whole reports whether the journal had all it should have, so that what it does not know was never
// acknowledged, or is settled.
func (a *anew) whole() bool { return a == nil || a.gaps == 0 && a.damaged == 0 && a.ended }

// loading reports whether the index is of no use if this is cut short.
func (a *anew) loading() bool { return a != nil && a.partial }

// indexAside is where a damaged index goes. The one before is overwritten: it is of no use once it
// was made anew.
func (d *directory) indexAside() string { return d.damagedPath("queue.db") }

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
	if err := os.Rename(x.path, x.home.indexAside()); err != nil {
		return err
	}
	return errors.Join(x.home.disk.SyncDir(x.home.dir), x.home.disk.SyncDir(x.home.path("damaged")))
}

// condemn sets an open index aside that was found to be damaged, so that the next Open makes it
// anew from the journal. Until then no segment is deleted.
func (x *index) condemn(reason error) {
	if !x.serving.Load() || x.condemned.Swap(true) {
		return
	}
	err := x.moveAside()
	x.home.log.Error("index is damaged", "path", x.path, "aside", x.home.indexAside(), "reason", reason, "err", err,
		"remedy", "restart: it is made anew from the journal, which has all mail; check the disk")
}

// createIndex begins an index: an empty one, or where there are segments or a checkpoint one that
// is made anew from these.
func (s *Store) createIndex() error {
	numbers, err := s.journal.Numbers()
	if err != nil {
		return err
	}
	if err := s.findSalt(numbers); err != nil {
		return err
	}
	orphans, err := s.bodies.some()
	if err != nil {
		return err
	}
	partial := len(numbers) > 0 || s.held.Number != 0 || orphans || s.anew != nil
	err = s.index.update(func(tx *bolt.Tx) error {
		if err := makeBuckets(tx); err != nil {
			return err
		}
		return putProgress(tx, progress{Schema: schema, Salt: s.journal.Salt, Seg: s.pos.Segment, Off: s.pos.Offset, Partial: partial})
	})
	if err != nil || !partial {
		return err
	}
	if s.anew == nil {
		s.anew = &anew{}
	}
	s.anew.begun, s.anew.partial = time.Now(), true
	s.anew.ended, s.anew.gaps = s.held.Number == 0 && len(numbers) > 0, gaps(numbers, max(s.held.Number, 1))
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

// findSalt learns whose the journal is, and where it is to be read from.
func (s *Store) findSalt(numbers []uint32) error {
	s.pos = journal.Position{Segment: 1, Offset: journal.SegmentHead}
	if s.held.Number != 0 {
		s.pos.Segment = s.held.Number
	} else if len(numbers) > 0 {
		s.pos.Segment = numbers[0]
	}
	written, err := s.journal.FindSalt(numbers, s.held)
	if written > schema {
		return s.newer(written)
	}
	return err
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
			"remedy", "what is left waits and is delivered, some of it perhaps once more; mail in "+s.path("damaged")+
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
