package boltstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"dinkymail/internal/measure"
	"dinkymail/queue"
	"dinkymail/queue/journal"
)

const (
	kindPut    journal.Kind = 1 + iota // meta is the record, the body follows
	kindLarge                          // meta is the record, the body is in a file of its own
	kindSet                            // meta is the record; the body stays where it is, if the record still has one
	kindRemove                         // the message is gone
	kindMove                           // the body, from a segment that is mostly dead
	kindProbe                          // nothing: it was written to see whether that works
	kindNote                           // meta is a note
	kindRecord                         // of a checkpoint: meta is where the body is, and the record
	kindEnd                            // of a checkpoint: meta is how many records it has
)

const maxMeta = 4 * queue.MaxRecord // what is written has at most a quarter, but for what an earlier version wrote

// format is that of the journal. A changed record waits for a moment: new mail takes it along, so that a result, which nobody
// waits for, costs no sync of its own. On a full disk what settles mail goes before what is new.
var format = journal.Format{
	Schema: schema,
	Kinds: []journal.Traits{
		kindPut:    {Named: true, Inline: true},
		kindLarge:  {Named: true},
		kindSet:    {Named: true, Lazy: true, Essential: true},
		kindRemove: {Named: true, Essential: true},
		kindMove:   {Named: true, Inline: true},
		kindProbe:  {},
		kindNote:   {Essential: true},
		kindRecord: {Named: true},
		kindEnd:    {},
	},
	MaxMeta: maxMeta + placed,
	ValidID: func(id string) bool { return queue.ID(id).Valid() },
}

// change is one record on its way into the journal.
type change struct {
	journal.Entry
	was place          // as the index will have it when this is applied
	now place          // the body's location is filled in once a put or a move is written
	msg *queue.Message // never changed again; nil for remove, move and probe
}

func newChange(kind journal.Kind, id queue.ID, was, now place) *change {
	return &change{Entry: journal.Entry{Kind: kind, ID: string(id)}, was: was, now: now}
}

func (c *change) id() queue.ID { return queue.ID(c.ID) }

// newJournal returns the journal of the store, which is not open yet.
func (s *Store) newJournal() *journal.Journal[*change] {
	segments := journal.NewSegments(filepath.Join(s.dir, "segments"), &format, s.disk, s.log)
	reserve := journal.NewReserve(filepath.Join(s.dir, "reserve"), s.cfg.ReserveBytes, s.tellSpace, func() {
		s.journal.Hand(newChange(kindProbe, "", place{}, place{})) // it may give up a segment that is full of the past
	})
	return journal.New(segments, reserve, journal.NewFault(s.tellFault), journal.Config[*change]{
		SegmentBytes: s.cfg.SegmentBytes, BatchBytes: s.cfg.batchBytes, Settle: s.cfg.SettleDelay,
		Applied: s.apply, Room: s.room, Live: s.liveIn, Synced: s.syncs.Observe,
	})
}

func (s *Store) tellSpace(full bool) {
	if full {
		s.log.Error("no space left for mail", "path", s.dir,
			"remedy", "free space on this disk; mail is taken again by itself then")
	} else {
		s.log.Info("space for mail again", "path", s.dir)
	}
}

func (s *Store) tellFault(error) {
	s.log.Error("the queue's disk failed", "path", s.dir, "err", s.Broken(),
		"remedy", "mend the disk or the directory, then restart; accepted mail is read back from what is on it")
}

// Syncs is how long the disk took to keep what was written; everything that was accepted waited for one of them.
func (s *Store) Syncs() measure.Spread { return s.syncs.Spread() }

// submit hands changes over and waits until all are on the disk, or not. The first error is returned.
func (s *Store) submit(changes ...*change) error { return s.inQueueWords(s.journal.Append(changes...)) }

// inQueueWords gives an error of the journal as one of the queue.
func (s *Store) inQueueWords(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrClosed):
		return queue.ErrClosed
	case errors.Is(err, journal.ErrNoSpace):
		return queue.ErrNoSpace
	case errors.Is(err, journal.ErrBroken):
		return s.Broken()
	}
	return err
}

// restore returns queue.ErrNoSpace while the disk is full.
func (s *Store) restore() error {
	err := s.inQueueWords(s.journal.Reserve.Restore())
	if err != nil && !errors.Is(err, queue.ErrNoSpace) {
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	}
	return err
}

// Broken is why nothing can be changed any more, wrapping queue.ErrBroken, or nil.
func (s *Store) Broken() error { return broken(s.journal.Fault) }

func broken(f *journal.Fault) error {
	if cause := f.Cause(); cause != nil {
		return fmt.Errorf("%w: %w", queue.ErrBroken, cause)
	}
	return nil
}

// fail makes err the reason why the store takes no changes any more.
func (s *Store) fail(err error) error {
	s.journal.Fault.Set(err)
	return s.Broken()
}

// Check proves that the store can be written, by writing and syncing a record that says nothing. It does so at most once a
// second; between, it reports what became of the last write.
func (s *Store) Check() error {
	if err := s.Broken(); err != nil {
		return err
	}
	s.mu.Lock()
	recent := !s.written.IsZero() && time.Since(s.written) < time.Second
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return queue.ErrClosed
	}
	if err := s.restore(); err != nil {
		return err
	}
	if recent {
		return nil
	}
	return s.submit(newChange(kindProbe, "", place{}, place{}))
}

// liveIn is how many bytes of a segment are needed.
func (s *Store) liveIn(segment uint32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[segment]
}
