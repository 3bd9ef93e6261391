package journal

import (
	"bytes"
	"errors"
	"testing"
)

// memory is a file that is only read.
type memory struct{ *bytes.Reader }

func (memory) WriteAt([]byte, int64) (int, error) { return 0, errors.New("only read") }
func (memory) Close() error                       { return nil }
func (memory) Sync() error                        { return nil }
func (memory) Truncate(int64) error               { return errors.New("only read") }
func (m memory) Size() (int64, error)             { return m.Reader.Size(), nil }

// Whatever stands in a segment, reading it ends, and what it gives lies within it, whole, one
// behind the other, and everything else is told once.
func FuzzSegment(f *testing.F) {
	head := format.SegmentHeadOf(1, 7)
	put := format.AppendRecord(nil, 1, 7, 0, &body("id1", "body").Entry)
	f.Add([]byte{})
	f.Add(append(head[:SegmentHead:SegmentHead], put...))
	f.Add(append(append(append(head[:SegmentHead:SegmentHead], put...), "rubbish!"...), put...))
	f.Add(append(head[:SegmentHead:SegmentHead], put[:70]...))
	f.Add(format.AppendRecord(head[:SegmentHead:SegmentHead], 1, 7, 0, &body("no ID", "body").Entry))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newReader(&format, memory{bytes.NewReader(b)}, 1, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, last := range []bool{false, true} {
			at := int64(SegmentHead)
			upTo := func(from, to int64) error {
				if from != at || to <= from || to > int64(len(b))+alignment {
					t.Fatalf("%d to %d of %d, after %d", from, to, len(b), at)
				}
				at = to
				return nil
			}
			s := Scan{bodies: true, Damaged: func(_ *Reader, from, to int64) error { return upTo(from, to) },
				Record: func(_ *Reader, off int64, h Head, meta []byte) error {
					if len(meta) != h.Meta || h.Kind == kindBody && !format.ValidID(h.ID) {
						t.Fatalf("%+v, %d bytes of meta data", h, len(meta))
					}
					return upTo(off, off+h.Size())
				}}
			if last {
				s.torn = func(from, to int64, end bool) {
					if !end {
						_ = upTo(from, to)
					}
				}
			}
			if end, err := r.scan(SegmentHead, &s); err != nil || end != at && end != at-at%alignment {
				t.Fatalf("ends at %d, read up to %d: %v", end, at, err)
			}
		}
		if _, err := r.lastBatch(SegmentHead); err != nil {
			t.Fatal(err)
		}
	})
}
