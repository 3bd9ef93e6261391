package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// Body implements queue.Store. A body of at most Config.LargeBytes is checked before Body returns;
// a larger one while it is read from its start, so that a damaged one fails at its end at the
// latest. Both give ErrDamaged.
func (s *Store) Body(id queue.ID) (io.ReadSeekCloser, error) {
	// A body is moved now and then; whoever looks just then finds it at its new place.
	for range 3 {
		at, err := s.locate(id)
		if err != nil {
			return nil, err
		}
		var body io.ReadSeekCloser
		switch at.body.where {
		case inSegment:
			if memory := s.bodies.warm.take(id); memory != nil {
				return newWarmBody(memory), nil
			}
			var b []byte
			if b, err = s.segmentBytes(at.body); err == nil {
				body = smallBody{bytes.NewReader(b)}
				s.whole(id)
			}
		case inLarge:
			var large *largeBody
			if large, err = s.bodies.open(id, at.body); err == nil {
				body = &watched{large, s, id}
			}
		default:
			return nil, queue.ErrNotFound
		}
		if err == nil {
			return body, nil
		}
		if now, gone := s.locate(id); gone != nil || now.body == at.body {
			if gone == nil && harms(err) {
				s.harmed(id, err)
			}
			return nil, errors.Join(gone, fmt.Errorf("body of %s: %w", id, err))
		}
	}
	return nil, fmt.Errorf("body of %s: %w", id, queue.ErrNotFound)
}

type smallBody struct{ *bytes.Reader }

func (smallBody) Close() error { return nil }

// segmentBytes reads and checks a body in a segment.
func (s *Store) segmentBytes(l location) ([]byte, error) {
	return s.journal.Body(journal.Position{Segment: l.seg, Offset: l.off}, l.n, l.crc)
}

// largeBody reads a file and sums it up while somebody reads it through.
type largeBody struct {
	f    journal.File
	path string
	want location
	off  int64
	sum  uint32
	upTo int64 // sum is of the bytes before; reading elsewhere stops the summing
}

// open opens a body that is in a file of its own.
func (b *bodies) open(id queue.ID, l location) (*largeBody, error) {
	path := b.path(id)
	f, err := b.home.disk.Open(path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing; put it back if you have it", ErrDamaged, path)
	}
	if err != nil {
		return nil, err
	}
	if size, err := f.Size(); err != nil || size != l.n {
		return nil, errors.Join(fmt.Errorf("%w: %s has %d bytes instead of %d; put it back if you have it whole",
			ErrDamaged, path, size, l.n), err, f.Close())
	}
	return &largeBody{f: f, path: path, want: l}, nil
}

func (b *largeBody) Read(p []byte) (int, error) {
	if b.off >= b.want.n {
		return 0, io.EOF
	}
	n, err := b.f.ReadAt(p[:min(int64(len(p)), b.want.n-b.off)], b.off)
	if b.off == b.upTo {
		b.sum = crc32.Update(b.sum, castagnoli, p[:n])
		b.upTo += int64(n)
		if b.upTo == b.want.n && b.sum != b.want.crc {
			return 0, fmt.Errorf("body: %w: %s is not what was written; check the disk", ErrDamaged, b.path)
		}
	}
	b.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (b *largeBody) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.off
	case io.SeekEnd:
		offset += b.want.n
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a body")
	}
	if b.off = offset; offset == 0 {
		b.sum, b.upTo = 0, 0
	}
	return offset, nil
}

func (b *largeBody) Close() error { return b.f.Close() }
