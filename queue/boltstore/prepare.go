package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"dinkymail/queue"
	"dinkymail/queue/turns"
)

// openIndex opens the bbolt file and reads what must be known of it at all times.
func (s *Store) openIndex() error {
	if err := s.findCheckpoint(); err != nil {
		return s.cannotWrite(err)
	}
	if err := s.examine(); err != nil {
		return err
	}
	return s.useIndex()
}

// useIndex opens the bbolt file, making it if there is none. It returns ErrDamaged when it is not one of ours.
func (s *Store) useIndex() error {
	err := s.index.open()
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return s.inUse("")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), noSpace(err):
		return s.cannotWrite(err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := s.prepareIndex(); err != nil {
		return err
	}
	if err := s.index.view(s.load); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.partial {
		return s.loadCheckpoint()
	}
	return nil
}

// prepareIndex makes the buckets of a new index, or checks the schema of an old one.
func (s *Store) prepareIndex() error {
	var p progress
	known := false
	err := s.index.view(func(tx *bolt.Tx) error {
		if tx.Bucket(meta) == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return errors.New("a database of something else")
			}
			return nil
		}
		known = true
		var err error
		p, err = progressIn(tx)
		return err
	})
	switch {
	case known && p.Schema > schema:
		return s.newer(p.Schema)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case p.Partial:
		return fmt.Errorf("%w: making it anew was cut short", ErrDamaged)
	case !known:
		return s.createIndex()
	}
	s.salt, s.count, s.pos, s.notes = p.Salt, p.Count, position{seg: p.Seg, off: p.Off}, named(p.Notes)
	return s.raise(p)
}

func (s *Store) newer(written int) error {
	return fmt.Errorf("the queue in %s was written by a newer dinkymail (schema %d, this one knows %d); run that version or a later one",
		s.dir, written, schema)
}

// raise notes the schema of this version before anything is written by it. An earlier version would drop what it does not know
// of a record, so it must not open the store from now on.
func (s *Store) raise(p progress) error {
	s.bare = s.bare || p.Schema < summed // that version kept no checkpoint
	if p.Schema == schema {
		return nil
	}
	p.Schema = schema
	err := s.index.update(func(tx *bolt.Tx) error {
		if err := errors.Join(makeBuckets(tx), takeNotes(tx, &p)); err != nil {
			return err
		}
		return putProgress(tx, p)
	})
	s.notes = named(p.Notes)
	if errors.Is(err, ErrDamaged) {
		return err
	}
	if err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// takeNotes moves the notes of schema 2 to where they are now.
func takeNotes(tx *bolt.Tx, p *progress) error {
	b := tx.Bucket(notes)
	if b == nil {
		return nil
	}
	err := b.ForEach(func(k, v []byte) error {
		p.Notes = append(p.Notes, note{Name: bytes.Clone(k), Text: bytes.Clone(v)})
		return nil
	})
	return errors.Join(err, tx.DeleteBucket(notes))
}

func makeBuckets(tx *bolt.Tx) error {
	for _, name := range slices.Concat(bucketOf[waiting:], orderOf[waiting:], [][]byte{segments, meta}) {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// load reads the schedule and what is needed of each segment. It decodes no record.
func (s *Store) load(tx *bolt.Tx) error {
	now, due := nanos(time.Now()), turns.New(s.count.Waiting)
	due.Tick(now)
	grown := false
	s.claims.due = due
	c := tx.Bucket(orderOf[waiting]).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if at, id, leg, ok := splitKey(k); ok {
			sender, lane := senderAndLane(v)
			if at > now && !grown { // the rest is later, too, and mostly on one lane
				due.Grow(lane, max(s.count.Waiting-due.Len(), 0)+64)
				grown = true
			}
			due.Add(lane, turns.Slot{Due: at, Key: turns.KeyOf(string(id), leg), Sender: sender})
		}
	}
	err := tx.Bucket(segments).ForEach(func(k, v []byte) error {
		if len(k) == 4 && len(v) == 8 {
			s.live[binary.BigEndian.Uint32(k)] = int64(binary.BigEndian.Uint64(v))
			s.index.live[binary.BigEndian.Uint32(k)] = int64(binary.BigEndian.Uint64(v))
		}
		return nil
	})
	if s.notes == nil {
		s.notes = make(map[string]string)
	}
	if s.count.Records == 0 {
		s.count.Records = recordBytes(tx)
	}
	newest := int64(0)
	for k := waiting; k <= removed; k++ {
		last, v := tx.Bucket(bucketOf[k]).Cursor().Last()
		if queue.ID(last) > s.maxID {
			s.maxID = queue.ID(last)
		}
		if p, _, err := parsePlace(k, v); err == nil {
			newest = max(newest, p.accepted)
		}
	}
	s.doubtClock(newest)
	return err
}

// recordBytes counts what the records of what waits take, for an index of a version that did not.
func recordBytes(tx *bolt.Tx) (n int64) {
	c := tx.Bucket(bucketOf[waiting]).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		p, _, _ := parsePlace(waiting, v)
		n += p.record
	}
	return n
}

// clockSlack is how far the clock may be behind the newest mail before somebody is told. Less is what setting a clock comes to.
const clockSlack = time.Minute

// doubtClock complains of a clock that has stepped back since mail was last accepted.
func (s *Store) doubtClock(newest int64) {
	if behind := time.Until(moment(newest)); newest != 0 && behind > clockSlack {
		s.log.Warn("the clock is behind the newest mail in the queue", "path", s.dir, "accepted", moment(newest), "behind", behind,
			"remedy", "if the time is wrong now, set the clock; if it was wrong then, mail deferred before waits until the time that "+
				"was set for it then, and everything else is delivered as usual")
	}
}
