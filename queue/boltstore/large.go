package boltstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// bodies keeps bodies apart from the journal: large ones in files of their own, and those that just
// came in memory.
type bodies struct {
	home    *directory
	largest int // longer ones are large
	fault   *journal.Fault
	warm    warm
}

// path is that of a large body.
func (b *bodies) path(id queue.ID) string { return b.home.path("large/" + string(id)) }

// incoming is a body that has been read: in memory, or in a file under a passing name if it is
// large.
type incoming struct {
	of    *bodies
	bytes []byte
	large string // path of the file; empty: in bytes
	size  int64
	crc   uint32
	kept  bool
}

// buffers holds memory of past bodies for coming ones.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// pooled is how large a buffer is kept for the next body.
const pooled = 64 << 10

// wide holds memory for bodies above that, each with room for wideMore bytes beyond
// Config.LargeBytes, so that a body that is too long is noticed.
var wide sync.Pool

const wideMore = 8 << 10

// take reads a body to its end.
func (b *bodies) take(body io.Reader) (*incoming, error) {
	in := &incoming{of: b}
	buf := (*buffers.Get().(*[]byte))[:0]
	for {
		if len(buf) == cap(buf) {
			if len(buf) > b.largest {
				in.bytes = buf
				return in, in.spill(body)
			}
			buf = b.grow(buf)
			in.bytes = buf
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		in.bytes = buf
		if err == io.EOF {
			break
		}
		if err != nil {
			return in, err
		}
	}
	if len(buf) > b.largest {
		return in, in.spill(strings.NewReader(""))
	}
	in.size, in.crc = int64(len(buf)), checksum(buf)
	return in, nil
}

// grow gives a body more room, and its memory so far back.
func (b *bodies) grow(buf []byte) []byte {
	var wider []byte
	if most := b.largest + wideMore; cap(buf) < pooled {
		wider = make([]byte, 0, min(2*cap(buf), most))
	} else if spare, _ := wide.Get().(*[]byte); spare != nil && cap(*spare) == most {
		wider = (*spare)[:0]
	} else {
		wider = make([]byte, 0, most)
	}
	wider = append(wider, buf...)
	recycle(&buf)
	return wider
}

// spill writes what is in memory and the rest of body to a file, and syncs it. An error of body is
// returned as it is.
func (in *incoming) spill(body io.Reader) (err error) {
	path := in.of.path("in-" + queue.NewID())
	f, err := in.of.home.disk.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("keep a large body: %w", spaceError(err))
	}
	in.large = path
	defer func() { err = errors.Join(err, f.Close()) }()
	for buf, ended := in.bytes, false; ; {
		in.crc = crc32.Update(in.crc, castagnoli, buf)
		if _, err := f.WriteAt(buf, in.size); err != nil {
			return fmt.Errorf("keep a large body: %w", spaceError(err))
		}
		in.size += int64(len(buf))
		if ended {
			break
		}
		n, err := body.Read(in.bytes[:cap(in.bytes)])
		if err != nil && err != io.EOF {
			return err
		}
		buf, ended = in.bytes[:n], err == io.EOF
	}
	switch err := f.Sync(); {
	case journal.NoSpace(err):
		return fmt.Errorf("keep a large body: %w", queue.ErrNoSpace)
	case err != nil:
		return in.of.fault.Set(err)
	}
	return nil
}

// keep gives the file its lasting name.
func (in *incoming) keep(id queue.ID) error {
	to := in.of.path(id)
	err := in.of.home.disk.Rename(in.large, to)
	if err != nil {
		return fmt.Errorf("keep the body of %s: %w", id, spaceError(err))
	}
	in.large = to
	return nil
}

// discard gives the memory back, and deletes the file unless it is kept.
func (in *incoming) discard() {
	if in.large != "" && !in.kept && in.of.fault.Err() == nil { // a broken disk may still have the record that needs it
		if err := os.Remove(in.large); err != nil && !errors.Is(err, os.ErrNotExist) {
			in.of.home.log.Warn("body of refused mail not deleted", "path", in.large, "err", err)
		}
	}
	if b := in.bytes; b != nil {
		in.bytes = nil
		recycle(&b)
	}
}

func spaceError(err error) error {
	if journal.NoSpace(err) {
		return queue.ErrNoSpace
	}
	return err
}

// drop deletes the file of a body that the change, which is on the disk, made needless.
func (b *bodies) drop(c *change) {
	if c.was.body.where != inLarge || c.now.body.where == inLarge {
		return
	}
	if err := os.Remove(b.path(c.id())); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.home.log.Warn("body of finished mail not deleted", "id", c.ID, "path", b.path(c.id()), "err", err)
	}
}

// some reports whether there is a body in large/ that was given its lasting name.
func (b *bodies) some() (bool, error) {
	names, err := os.ReadDir(b.home.path("large"))
	return slices.ContainsFunc(names, func(e os.DirEntry) bool { return queue.ID(e.Name()).Valid() }), err
}

// sweepLarge deletes the files in large/ that no message needs: a crash left them. When the journal
// is not whole, nobody knows that of a file whose message is unknown, and it is set aside.
func (s *Store) sweepLarge() error {
	dir := s.path("large")
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	for _, e := range names {
		id := queue.ID(e.Name())
		if id.Valid() {
			at, err := s.locate(id)
			lost := !s.anew.whole() && (err != nil || at.kept == waiting && at.body.where == nowhere)
			switch {
			case err == nil && at.body.where == inLarge, err != nil && !errors.Is(err, queue.ErrNotFound):
				continue
			case lost:
				s.damaged++
				if err := s.disk.Rename(s.bodies.path(id), s.damagedPath(string(id)+".eml")); err != nil {
					return err
				}
				continue
			}
		} else if !strings.HasPrefix(e.Name(), "in-") {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
