package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dinkymail/queue"
)

// segmentNumbers are those of the segments there are, in order.
func (s *Store) segmentNumbers() ([]uint32, error) {
	names, err := os.ReadDir(filepath.Join(s.dir, "segments"))
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, e := range names {
		name, ok := strings.CutSuffix(e.Name(), ".seg")
		if n, err := strconv.ParseUint(name, 10, 32); ok && err == nil {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// replay applies what the journal has behind the index's position, and opens the journal at its end.
func (s *Store) replay() error {
	numbers, err := s.segmentNumbers()
	if err != nil {
		return err
	}
	end, last := s.pos, lastOf(numbers)
	for _, n := range numbers {
		if n < s.pos.seg {
			continue
		}
		from := int64(segmentHead)
		if n == s.pos.seg {
			from = max(from, s.pos.off)
		}
		off, err := s.replaySegment(n, from, n == last)
		if err != nil {
			return fmt.Errorf("read the journal %s: %w", s.segmentPath(n), err)
		}
		end = position{seg: n, off: off}
	}
	s.missing(numbers)
	return s.resume(end, last)
}

func lastOf(numbers []uint32) uint32 {
	if len(numbers) == 0 {
		return 0
	}
	return numbers[len(numbers)-1]
}

// resume goes on at the end of the last segment. Where that is missing, or shorter than the index says, it begins one that the
// index has never heard of, so that nothing new is behind a position that was reached already.
func (s *Store) resume(end position, last uint32) error {
	next := max(last, s.pos.seg) + 1
	if last == 0 && s.pos.off <= segmentHead {
		next = s.pos.seg // a new store
	}
	if end.seg == last && end.off > 0 {
		s.pos = end
		return s.journal.openActive(end.seg, end.off)
	}
	f, err := s.createSegment(next)
	if err != nil {
		return s.cannotWrite(err)
	}
	s.bare = s.bare || next > 1
	s.pos = position{seg: next, off: segmentHead}
	s.journal.begin(f, next, segmentHead)
	return nil
}

// missing complains of segments that are needed and not there.
func (s *Store) missing(numbers []uint32) {
	for n := range s.live {
		if !slices.Contains(numbers, n) {
			if s.anew != nil {
				s.anew.gaps++
			}
			s.log.Error("segment is missing; mail whose body was in it cannot be delivered", "path", s.segmentPath(n),
				"size", s.live[n], "remedy", "put the file back if you have it; the rest is delivered as usual")
		}
	}
}

// replaySegment applies the records from off on, and returns where they end: 0 when the segment ends before off.
func (s *Store) replaySegment(n uint32, off int64, last bool) (end int64, err error) {
	err = s.files.use(n, func(f file) error {
		r, err := newReader(f, n, s.salt)
		if err != nil {
			return err
		}
		if r.size < off && off > segmentHead {
			s.log.Error("journal is cut off; mail whose body was behind that cannot be delivered", "path", s.segmentPath(n),
				"size", r.size, "remedy", "put the file back if you have it whole; the rest is delivered as usual")
			return nil
		}
		end, err = s.replayRecords(r, off, last)
		return err
	})
	return end, err
}

func (s *Store) replayRecords(r *reader, off int64, last bool) (int64, error) {
	for {
		h, meta, err := r.head(off)
		if err == nil && h.kind.inline() {
			meta = bytes.Clone(meta)
			err = r.check(off, h)
		}
		switch {
		case err == nil:
			if err := s.replayOne(r, off, h, meta); err != nil {
				return off, err
			}
			off += h.size()
			s.pos = position{seg: r.seg, off: off}
			if len(s.fresh) >= s.cfg.FlushRecords {
				if err := s.flushOnce(); err != nil {
					return off, err
				}
			}
		case errors.Is(err, errNoRecord), errors.Is(err, errBody):
			next, more, err := s.skip(r, off, last)
			if err != nil || !more {
				return next, err
			}
			off = next
		default:
			return off, err
		}
	}
}

// skip deals with bytes at off that are no record. It returns where the next one is, or false and where the segment ends.
func (s *Store) skip(r *reader, off int64, last bool) (int64, bool, error) {
	next, more, err := r.next(off + alignment)
	if err != nil {
		return off, false, err
	}
	if !more {
		clean, err := r.empty(off)
		switch {
		case err != nil || clean:
			return off, false, err
		case last:
			s.log.Warn("unfinished record at the end of the journal cut off; nobody was told that it was accepted",
				"path", s.segmentPath(r.seg), "offset", off, "size", r.size-off)
			return off, false, nil
		}
		return r.size, false, s.setAside(r, "", off, r.size)
	}
	if batch, err := r.lastBatch(next); err != nil || last && batch <= off {
		// All behind it was part of the same write, the last one, so that was never synced as a whole.
		s.log.Warn("unfinished record at the end of the journal left out; nobody was told that it was accepted",
			"path", s.segmentPath(r.seg), "offset", off, "size", next-off)
		return next, true, err
	}
	return next, true, s.setAside(r, "", off, next)
}

// setAside copies damaged bytes of the journal, or of a checkpoint if that is its ext, to where a human can look at them.
func (s *Store) setAside(r *reader, ext string, off, next int64) error {
	b, err := r.bytes(off, next-off)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%08d%s-%d.record", r.seg, ext, off)
	if _, err := os.Stat(s.damagedPath(name)); err == nil {
		return nil // by an Open before this one
	}
	if err := s.keepDamaged(name, b); err != nil {
		return s.cannotWrite(err)
	}
	s.damaged++
	s.log.Error("damaged record of the journal set aside", "path", s.damagedPath(name), "segment", s.segmentPath(r.seg),
		"offset", off, "size", next-off,
		"remedy", "check the disk; the mail in it, if any, was accepted and is not delivered: look at the file and tell its sender")
	return nil
}

// replayOne applies one record, as the journal did when it wrote it.
func (s *Store) replayOne(r *reader, off int64, h entryHead, meta []byte) error {
	if h.kind == kindNote {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.applyNote(meta)
	}
	if !h.kind.ofMessage() {
		return nil
	}
	c := &change{kind: h.kind, id: h.id}
	was, err := s.locate(h.id)
	if err != nil && !errors.Is(err, queue.ErrNotFound) && (s.carried || !errors.Is(err, ErrDamaged)) {
		return err
	}
	if err == nil {
		c.was = was
	}
	body := location{where: inSegment, seg: r.seg, off: off + recordHead + int64(h.meta), n: h.body, crc: h.crc}
	switch h.kind {
	case kindMove:
		if c.was.kept == none && !s.anew.whole() {
			return s.orphan(r, off, h)
		}
		if c.was.body.where != inSegment || c.was.body.crc != h.crc || c.was.body.n != h.body {
			return nil // finished meanwhile
		}
		c.now = c.was
		c.now.body = body
	case kindPut, kindLarge, kindSet:
		c.meta = bytes.Clone(meta)
		if c.msg, err = decode(c.meta); err != nil {
			return s.setAside(r, "", off, off+h.size())
		}
		switch h.kind {
		case kindLarge:
			body = location{where: inLarge, n: h.body, crc: h.crc}
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
