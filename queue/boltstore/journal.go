package boltstore

import (
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

// format is that of the journal. A changed record waits for a moment: new mail takes it along, so
// that a result, which nobody waits for, costs no sync of its own. On a full disk what settles mail
// goes before what is new.
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
	was   place          // as the index will have it when this is applied
	now   place          // the body's location is filled in once a put or a move is written
	msg   *queue.Message // never changed again; nil for remove, move and probe
	claim uint64         // token of the claim under which a record is changed; 0: none
}

func newChange(kind journal.Kind, id queue.ID, was, now place) *change {
	return &change{Entry: journal.Entry{Kind: kind, ID: string(id)}, was: was, now: now}
}

func (c *change) id() queue.ID { return queue.ID(c.ID) }

// newJournal returns the journal of the store, which is not open yet.
func (s *Store) newJournal() *journal.Journal[*change] {
	words := journal.Errors{Closed: queue.ErrClosed, NoSpace: queue.ErrNoSpace, Broken: queue.ErrBroken}
	segments := journal.NewSegments(s.path("segments"), &format, s.disk, s.log)
	reserve := journal.NewReserve(s.path("reserve"), s.cfg.ReserveBytes, words.NoSpace, s.tellSpace, func() {
		s.journal.Hand(newChange(kindProbe, "", place{}, place{})) // it may give up a segment that is full of the past
	})
	return journal.New(segments, reserve, journal.NewFault(words.Broken, s.tellFault), journal.Config[*change]{
		SegmentBytes: s.cfg.SegmentBytes, BatchBytes: s.cfg.batchBytes, Settle: s.cfg.SettleDelay, Errors: words,
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

func (s *Store) tellFault(err error) {
	s.log.Error("the queue's disk failed", "path", s.dir, "err", err,
		"remedy", "mend the disk or the directory, then restart; accepted mail is read back from what is on it")
}

// Syncs is how long the disk took to keep what was written; everything that was accepted waited for
// one of them.
func (s *Store) Syncs() measure.Spread { return s.syncs.Spread() }

// Broken is why nothing can be changed any more, wrapping queue.ErrBroken, or nil.
func (s *Store) Broken() error { return s.journal.Fault.Err() }

// Check proves that the store can be written, by writing and syncing a record that says nothing. It
// does so at most once a second; between, it reports what became of the last write.
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
	if err := s.journal.Reserve.Restore(); err != nil {
		return err
	}
	if recent {
		return nil
	}
	return s.journal.Append(newChange(kindProbe, "", place{}, place{}))
}

// liveIn is how many bytes of a segment are needed.
func (s *Store) liveIn(segment uint32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[segment]
}
