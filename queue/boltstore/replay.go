package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// replay applies what the journal has behind the index's position, and opens the journal at its
// end.
func (s *Store) replay() error {
	scan := s.scan("", s.replayRecord)
	scan.Short = func(r *journal.Reader) {
		s.log.Error("journal is cut off; mail whose body was behind that cannot be delivered", "path", s.journal.Path(r.Segment()),
			"size", r.FileSize(), "remedy", "put the file back if you have it whole; the rest is delivered as usual")
	}
	end, err := s.journal.Replay(s.pos, scan)
	if err != nil {
		return err
	}
	if err := s.missing(); err != nil {
		return err
	}
	if end.Offset == 0 {
		s.bare = s.bare || end.Segment > 1
	}
	s.pos, err = s.journal.Start(end)
	if err != nil && end.Offset == 0 {
		return s.cannotWrite(err)
	}
	return err
}

// scan applies what is read of a segment, or of a checkpoint if that is its ext. What is damaged it
// sets aside.
func (s *Store) scan(ext string, apply func(*journal.Reader, int64, journal.Head, []byte) error) *journal.Scan {
	return &journal.Scan{
		Damaged: func(r *journal.Reader, from, to int64) error { return s.setAside(r, ext, from, to) },
		Record: func(r *journal.Reader, off int64, h journal.Head, meta []byte) error {
			if err := apply(r, off, h, meta); err != nil {
				return err
			}
			if len(s.fresh) < s.cfg.FlushRecords {
				return nil
			}
			return s.flushOnce()
		},
	}
}

// missing complains of segments that are needed and not there.
func (s *Store) missing() error {
	numbers, err := s.journal.Numbers()
	for n := range s.live {
		if err == nil && !slices.Contains(numbers, n) {
			if s.anew != nil {
				s.anew.gaps++
			}
			s.log.Error("segment is missing; mail whose body was in it cannot be delivered", "path", s.journal.Path(n),
				"size", s.live[n], "remedy", "put the file back if you have it; the rest is delivered as usual")
		}
	}
	return err
}

// setAside copies damaged bytes of the journal, or of a checkpoint if that is its ext, to where a
// human can look at them.
func (s *Store) setAside(r *journal.Reader, ext string, off, next int64) error {
	b, err := r.Bytes(off, next-off)
	if err != nil {
		return err
	}
	if ext != "" {
		s.anew.damaged++
	}
	name := fmt.Sprintf("%08d%s-%d.record", r.Segment(), ext, off)
	if _, err := os.Stat(s.damagedPath(name)); err == nil {
		return nil // by an Open before this one
	}
	if err := s.keepDamaged(name, b); err != nil {
		return s.cannotWrite(err)
	}
	s.damaged++
	s.log.Error("damaged record of the journal set aside", "path", s.damagedPath(name), "segment", s.journal.Path(r.Segment()),
		"offset", off, "size", next-off,
		"remedy", "check the disk; the mail in it, if any, was accepted and is not delivered: look at the file and tell its sender")
	return nil
}

// replayRecord applies one record, as was done when it was written.
func (s *Store) replayRecord(r *journal.Reader, off int64, h journal.Head, meta []byte) error {
	s.pos = journal.Position{Segment: r.Segment(), Offset: off + h.Size()}
	if h.Kind == kindNote {
		return s.totals.note(meta)
	}
	if !format.Kinds[h.Kind].Named {
		return nil
	}
	c := newChange(h.Kind, queue.ID(h.ID), place{}, place{})
	was, err := s.locate(c.id())
	if err != nil && !errors.Is(err, queue.ErrNotFound) && (s.index.carried || !errors.Is(err, ErrDamaged)) {
		return err
	}
	if err == nil {
		c.was = was
	}
	body := location{where: inSegment, seg: r.Segment(), off: h.BodyAt(off), n: h.Body, crc: h.Sum}
	switch h.Kind {
	case kindMove:
		if c.was.kept == none && !s.anew.whole() {
			return s.orphan(r, off, h)
		}
		if c.was.body.where != inSegment || c.was.body.crc != h.Sum || c.was.body.n != h.Body {
			return nil // finished meanwhile
		}
		c.now = c.was
		c.now.body = body
	case kindPut, kindLarge, kindSet:
		c.Meta = bytes.Clone(meta)
		if c.msg, err = decode(c.Meta); err != nil {
			return s.setAside(r, "", off, off+h.Size())
		}
		switch h.Kind {
		case kindLarge:
			body = location{where: inLarge, n: h.Body, crc: h.Sum}
		case kindSet:
			body = c.was.body
		}
		c.now = placeOf(c.msg, body)
		c.now.record = int64(len(meta))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyOne(c)
	return nil
}
