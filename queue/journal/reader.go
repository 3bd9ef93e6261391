package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

var (
	errNoRecord = errors.New("no record here")
	errBody     = errors.New("the body's checksum is wrong")
)

// Reader reads the records of one file, a window at a time. One goroutine uses it.
type Reader struct {
	format  *Format
	f       File
	size    int64
	segment uint32
	salt    uint64
	buf     []byte
	at      int64 // where buf begins
}

func newReader(format *Format, f File, segment uint32, salt uint64) (*Reader, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return &Reader{format: format, f: f, size: size, segment: segment, salt: salt}, nil
}

// Segment is the number of the segment that is read, or that the checkpoint is for.
func (r *Reader) Segment() uint32 { return r.segment }

// FileSize is how large the file is.
func (r *Reader) FileSize() int64 { return r.size }

// Bytes gives n bytes at off, valid until the next call, or io.ErrUnexpectedEOF behind the end.
func (r *Reader) Bytes(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off+n > r.size {
		return nil, io.ErrUnexpectedEOF
	}
	if off < r.at || off+n > r.at+int64(len(r.buf)) {
		want := min(max(n, window), r.size-off)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.at = r.buf[:want], off
		if _, err := r.f.ReadAt(r.buf, off); err != nil {
			r.buf = r.buf[:0]
			return nil, err
		}
	}
	return r.buf[off-r.at:][:n], nil
}

// Scan says what is to happen with what is read of a file.
type Scan struct {
	// Record is called with each record that is whole, in order. The meta data is valid during the
	// call.
	Record func(r *Reader, off int64, h Head, meta []byte) error
	// Damaged is called with each stretch that is no record, though it was written. nil: it is
	// passed over.
	Damaged func(r *Reader, from, to int64) error
	// Short is called when the segment at which a Replay begins ends before that.
	Short func(r *Reader)

	torn   func(from, to int64, end bool) // is called instead with each stretch of a write that was not finished
	bodies bool                           // a record with a damaged body is none
}

// scan reads the records from off on, and returns where they end.
func (r *Reader) scan(off int64, s *Scan) (int64, error) {
	for {
		h, meta, err := r.head(off)
		if err == nil && h.inline && s.bodies {
			meta = bytes.Clone(meta)
			err = r.check(off, h)
		}
		switch {
		case err == nil:
			if err := s.Record(r, off, h, meta); err != nil {
				return off, err
			}
			off += h.Size()
		case errors.Is(err, errNoRecord), errors.Is(err, errBody):
			next, more, err := r.skip(off, s)
			if err != nil || !more {
				return next, err
			}
			off = next
		default:
			return off, err
		}
	}
}

// skip deals with bytes at off that are no record. It returns where the next one is, or false and
// where the records end.
func (r *Reader) skip(off int64, s *Scan) (int64, bool, error) {
	next, more, err := r.next(off + alignment)
	if err != nil {
		return off, false, err
	}
	if !more {
		if clean, err := r.empty(off); err != nil || clean {
			return off, false, err
		}
		if next = r.size; s.torn != nil {
			s.torn(off, next, true)
			return off, false, nil
		}
	} else if s.torn != nil {
		batch, err := r.lastBatch(next)
		if err == nil && batch <= off { // all behind it was part of the same write, the last one, which was never synced as a whole
			s.torn(off, next, false)
		}
		if err != nil || batch <= off {
			return next, true, err
		}
	}
	if s.Damaged != nil {
		err = s.Damaged(r, off, next)
	}
	return next, more, err
}

// lastBatch is where the write began that the last of the records from off on was part of.
func (r *Reader) lastBatch(off int64) (batch int64, err error) {
	_, err = r.scan(off, &Scan{Record: func(_ *Reader, _ int64, h Head, _ []byte) error {
		batch = int64(h.batch)
		return nil
	}})
	return batch, err
}

// head reads the record at off without its body. It gives errNoRecord where there is none, other
// errors from reading.
func (r *Reader) head(off int64) (Head, []byte, error) {
	b, err := r.Bytes(off, RecordHead)
	if err != nil {
		return Head{}, nil, noRecord(err)
	}
	h := Head{Kind: Kind(b[4]), batch: binary.LittleEndian.Uint32(b[12:]), Meta: int(binary.LittleEndian.Uint32(b[16:])),
		Sum: binary.LittleEndian.Uint32(b[20:]), Body: int64(binary.LittleEndian.Uint64(b[24:]))}
	if binary.LittleEndian.Uint32(b) != recordMagic || h.Kind == 0 || int(h.Kind) >= len(r.format.Kinds) || h.Meta > r.format.MaxMeta ||
		binary.LittleEndian.Uint32(b[8:]) != r.segment || binary.LittleEndian.Uint64(b[32:]) != r.salt || h.Body < 0 {
		return Head{}, nil, errNoRecord
	}
	traits := r.format.Kinds[h.Kind]
	h.inline = traits.Inline
	if traits.Named {
		h.ID = string(bytes.TrimRight(b[40:40+MaxID], "\x00"))
	}
	b, err = r.Bytes(off, RecordHead+int64(h.Meta))
	if err != nil {
		return Head{}, nil, noRecord(err)
	}
	sum := crc32.Update(crc32.Checksum(b[:60], castagnoli), castagnoli, b[RecordHead:])
	if sum != binary.LittleEndian.Uint32(b[60:]) || traits.Named && !r.format.ValidID(h.ID) {
		return Head{}, nil, errNoRecord
	}
	return h, b[RecordHead:], nil
}

// check reads the body of the record at off, whose head is h: errBody when it is not what was
// written, or cut off.
func (r *Reader) check(off int64, h Head) error {
	b, err := r.Bytes(h.BodyAt(off), h.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errBody
	}
	if err != nil {
		return err
	}
	if crc32.Checksum(b, castagnoli) != h.Sum {
		return errBody
	}
	return nil
}

// next finds the first place at or behind off where an undamaged record begins.
func (r *Reader) next(off int64) (int64, bool, error) {
	for off = (off + alignment - 1) &^ (alignment - 1); off+RecordHead <= r.size; off += alignment {
		b, err := r.Bytes(off, 4)
		if err != nil {
			return 0, false, err
		}
		if binary.LittleEndian.Uint32(b) != recordMagic {
			continue
		}
		h, _, err := r.head(off)
		if err == nil && h.inline {
			err = r.check(off, h)
		}
		if err == nil {
			return off, true, nil
		}
		if err != errNoRecord && err != errBody {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// empty reports whether there is nothing but zeros from off to the end.
func (r *Reader) empty(off int64) (bool, error) {
	for off < r.size {
		n := min(window, r.size-off)
		b, err := r.Bytes(off, n)
		if err != nil {
			return false, err
		}
		if len(bytes.TrimLeft(b, "\x00")) > 0 {
			return false, nil
		}
		off += n
	}
	return true, nil
}

func noRecord(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errNoRecord
	}
	return err
}
