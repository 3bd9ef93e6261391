package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"dinkymail/queue"
)

// Body implements queue.Store. A body of at most Config.LargeBytes is checked before Body returns; a larger one while it is
// read from its start, so that a damaged one fails at its end at the latest. Both give ErrDamaged.
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
			if memory := s.warm.take(id); memory != nil {
				return newWarmBody(memory), nil
			}
			if body, err = s.smallBody(at.body); err == nil {
				s.whole(id)
			}
		case inLarge:
			body, err = s.largeBody(id, at.body)
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

func (s *Store) smallBody(l location) (io.ReadSeekCloser, error) {
	b, err := s.segmentBytes(l)
	if err != nil {
		return nil, err
	}
	return smallBody{bytes.NewReader(b)}, nil
}

// segmentBytes reads and checks a body in a segment.
func (s *Store) segmentBytes(l location) ([]byte, error) {
	path := s.segmentPath(l.seg)
	b := make([]byte, l.n)
	err := s.files.use(l.seg, func(f file) error {
		_, err := f.ReadAt(b, l.off)
		return err
	})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: %s is missing; put it back if you have it", ErrDamaged, path)
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: %s is cut off before %d; put it back if you have it whole", ErrDamaged, path, l.off+l.n)
	case err != nil:
		return nil, err
	case checksum(b) != l.crc:
		return nil, fmt.Errorf("%w: bytes %d to %d of %s are not what was written; check the disk",
			ErrDamaged, l.off, l.off+l.n, path)
	}
	return b, nil
}

// largeBody reads a file and sums it up while somebody reads it through.
type largeBody struct {
	f    file
	path string
	want location
	off  int64
	sum  uint32
	upTo int64 // sum is of the bytes before; reading elsewhere stops the summing
}

func (s *Store) largeBody(id queue.ID, l location) (io.ReadSeekCloser, error) {
	path := s.largePath(id)
	f, err := s.cfg.disk.open(path, os.O_RDONLY)
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
	return &watched{&largeBody{f: f, path: path, want: l}, s, id}, nil
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

// maxOpen is how many segments are kept open for reading.
const maxOpen = 32

// files are the segments open for reading.
type files struct {
	s    *Store
	mu   sync.Mutex
	open map[uint32]*shared
}

// shared is closed when nobody uses it any more.
type shared struct {
	file
	users int
}

// use lends the segment to f, opening it if need be.
func (x *files) use(n uint32, f func(file) error) error {
	x.mu.Lock()
	sh := x.open[n]
	if sh == nil {
		opened, err := x.s.cfg.disk.open(x.s.segmentPath(n), os.O_RDONLY)
		if err != nil {
			x.mu.Unlock()
			return err
		}
		for other := range x.open {
			if len(x.open) < maxOpen {
				break
			}
			x.forget(other)
		}
		sh = &shared{file: opened, users: 1} // one user is the map
		x.open[n] = sh
	}
	sh.users++
	x.mu.Unlock()
	err := f(sh)
	x.mu.Lock()
	defer x.mu.Unlock()
	return errors.Join(err, x.leave(sh))
}

func (x *files) leave(sh *shared) error {
	if sh.users--; sh.users == 0 {
		return sh.Close()
	}
	return nil
}

// forget takes a segment out of the map. It is called with mu held.
func (x *files) forget(n uint32) {
	if sh := x.open[n]; sh != nil {
		delete(x.open, n)
		if err := x.leave(sh); err != nil {
			x.s.log.Warn("segment not closed cleanly", "path", x.s.segmentPath(n), "err", err)
		}
	}
}

func (x *files) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for n := range x.open {
		x.forget(n)
	}
}
