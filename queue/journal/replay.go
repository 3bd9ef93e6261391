package journal

import "fmt"

// Replay reads the records from a position on to the end, and checks their bodies. It returns where
// the journal goes on: with Offset 0 in a new segment, where the last one is missing or shorter
// than it was when the position was noted, so that nothing new comes before a position that was
// reached already.
func (x *Segments) Replay(from Position, s *Scan) (Position, error) {
	numbers, err := x.Numbers()
	if err != nil {
		return Position{}, err
	}
	end, last := from, uint32(0)
	if len(numbers) > 0 {
		last = numbers[len(numbers)-1]
	}
	for _, n := range numbers {
		off := int64(SegmentHead)
		if n < from.Segment {
			continue
		}
		if n == from.Segment {
			off = max(off, from.Offset)
		}
		if off, err = x.replay(n, off, n == last, *s); err != nil {
			return Position{}, fmt.Errorf("read the journal %s: %w", x.Path(n), err)
		}
		end = Position{n, off}
	}
	switch {
	case end.Segment == last && end.Offset > 0:
		return end, nil
	case last == 0 && from.Offset <= SegmentHead:
		return Position{Segment: from.Segment}, nil // a new journal
	}
	return Position{Segment: max(last, from.Segment) + 1}, nil
}

// replay reads one segment from off on, and returns where its records end: 0 when it ends before
// off.
func (x *Segments) replay(n uint32, off int64, last bool, s Scan) (end int64, err error) {
	s.bodies = true
	if last {
		s.torn = func(from, to int64, cut bool) {
			what := "left out"
			if cut {
				what = "cut off"
			}
			x.log.Warn("unfinished record at the end of the journal "+what+"; nobody was told that it was accepted",
				"path", x.Path(n), "offset", from, "size", to-from)
		}
	}
	err = x.use(n, func(f File) error {
		r, err := newReader(x.format, f, n, x.Salt)
		if err != nil {
			return err
		}
		if r.size < off && off > SegmentHead {
			s.Short(r)
			return nil
		}
		end, err = r.scan(off, &s)
		return err
	})
	return end, err
}
