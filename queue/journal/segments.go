package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxOpen is how many segments are kept open for reading.
const maxOpen = 32

// Segments is the directory with the segment files and checkpoints of one journal, for reading.
type Segments struct {
	// Salt is set before anything is read or written: by FindSalt, or by an owner who knows it.
	Salt uint64

	dir    string
	format *Format
	disk   Disk
	log    *slog.Logger

	mu   sync.Mutex
	open map[uint32]*shared
}

// shared is closed when nobody uses it any more.
type shared struct {
	File
	users int
}

// NewSegments returns the segments in dir, which the owner has made. It reads nothing.
func NewSegments(dir string, format *Format, disk Disk, log *slog.Logger) *Segments {
	return &Segments{dir: dir, format: format, disk: disk, log: log, open: make(map[uint32]*shared)}
}

// Path is that of a segment's file.
func (x *Segments) Path(n uint32) string { return filepath.Join(x.dir, fmt.Sprintf("%08d.seg", n)) }

// Numbers are those of the segments there are, in order.
func (x *Segments) Numbers() ([]uint32, error) {
	sizes, err := x.Sizes()
	return slices.Sorted(maps.Keys(sizes)), err
}

// Sizes is how large the files of the segments are, by number.
func (x *Segments) Sizes() (map[uint32]int64, error) { return x.sizes(".seg") }

// sizes is how large the files with this extension are.
func (x *Segments) sizes(ext string) (map[uint32]int64, error) {
	names, err := os.ReadDir(x.dir)
	sizes := make(map[uint32]int64, len(names))
	for _, e := range names {
		name, ok := strings.CutSuffix(e.Name(), ext)
		n, bad := strconv.ParseUint(name, 10, 32)
		if !ok || bad != nil {
			continue
		}
		info, unknown := e.Info()
		if unknown == nil {
			sizes[uint32(n)] = info.Size()
		} else if !errors.Is(unknown, fs.ErrNotExist) { // not deleted just now
			err = errors.Join(err, unknown)
		}
	}
	return sizes, err
}

// FindSalt reads the salt from the checkpoint, if there is one, or the first segment that has one,
// and makes a new salt where none has. It returns the greatest schema that a file was written with.
// Where that is beyond Format.Schema, nothing must be read.
func (x *Segments) FindSalt(numbers []uint32, c Checkpoint) (schema int, err error) {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	x.Salt = binary.LittleEndian.Uint64(b[:])
	found := false
	look := func(n uint32, path string) error {
		f, err := x.disk.Open(path, os.O_RDONLY)
		if err != nil {
			return err
		}
		salt, written, ok := x.saltOf(f, n)
		if schema = max(schema, written); ok && !found {
			x.Salt, found = salt, true
		}
		return f.Close()
	}
	if c.Number != 0 {
		err = look(c.Number, x.checkpointPath(c.Number))
	}
	for _, n := range numbers {
		err = errors.Join(err, look(n, x.Path(n)))
	}
	return schema, err
}

// saltOf reads the salt and the schema from a file's head, or where that is damaged the salt from
// its first record; false when neither can be read.
func (x *Segments) saltOf(f File, n uint32) (salt uint64, schema int, ok bool) {
	b := make([]byte, SegmentHead+RecordHead)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return 0, 0, false
	}
	if string(b[:8]) == segmentMagic && crc32.Checksum(b[:24], castagnoli) == binary.LittleEndian.Uint32(b[24:]) {
		return binary.LittleEndian.Uint64(b[16:]), int(binary.LittleEndian.Uint32(b[8:])), true
	}
	salt = binary.LittleEndian.Uint64(b[SegmentHead+32:])
	r, err := newReader(x.format, f, n, salt)
	if err == nil {
		_, _, err = r.head(SegmentHead)
	}
	return salt, 0, err == nil
}

// Body reads and checks n bytes of an inline body. ErrDamaged says that they are not what was
// written, or not there.
func (x *Segments) Body(at Position, n int64, sum uint32) ([]byte, error) {
	path, b := x.Path(at.Segment), make([]byte, n)
	err := x.use(at.Segment, func(f File) error {
		_, err := f.ReadAt(b, at.Offset)
		return err
	})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: %s is missing; put it back if you have it", ErrDamaged, path)
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: %s is cut off before %d; put it back if you have it whole", ErrDamaged, path, at.Offset+n)
	case err != nil:
		return nil, err
	case crc32.Checksum(b, castagnoli) != sum:
		return nil, fmt.Errorf("%w: bytes %d to %d of %s are not what was written; check the disk",
			ErrDamaged, at.Offset, at.Offset+n, path)
	}
	return b, nil
}

// Scan reads the records of one segment. Bodies are not checked.
func (x *Segments) Scan(n uint32, s *Scan) error {
	return x.use(n, func(f File) error {
		r, err := newReader(x.format, f, n, x.Salt)
		if err == nil {
			_, err = r.scan(SegmentHead, s)
		}
		return err
	})
}

// begin opens a segment for writing at off. What is before that, the head and the name survive
// power loss when it returns. A file that could not be made, with O_CREATE in flag, is not left
// behind.
func (x *Segments) begin(n uint32, off int64, flag int) (File, error) {
	f, err := x.disk.Open(x.Path(n), os.O_RDWR|flag)
	if err != nil {
		return nil, err
	}
	if flag == 0 {
		err = f.Truncate(off)
	}
	if err == nil {
		_, err = f.WriteAt(x.format.SegmentHeadOf(n, x.Salt), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil && flag != 0 {
		err = x.disk.SyncDir(x.dir)
	}
	if err == nil {
		return f, nil
	}
	if err = errors.Join(err, f.Close()); flag != 0 {
		err = errors.Join(err, os.Remove(x.Path(n)))
	}
	return nil, err
}

// Remove deletes segments that the owner needs no more.
func (x *Segments) Remove(n uint32) error {
	x.mu.Lock()
	x.forget(n)
	x.mu.Unlock()
	return os.Remove(x.Path(n))
}

// use lends the segment to f, opening it if need be.
func (x *Segments) use(n uint32, f func(File) error) error {
	x.mu.Lock()
	sh := x.open[n]
	if sh == nil {
		opened, err := x.disk.Open(x.Path(n), os.O_RDONLY)
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
		sh = &shared{File: opened, users: 1} // one user is the map
		x.open[n] = sh
	}
	sh.users++
	x.mu.Unlock()
	err := f(sh)
	x.mu.Lock()
	defer x.mu.Unlock()
	return errors.Join(err, x.leave(sh))
}

func (x *Segments) leave(sh *shared) error {
	if sh.users--; sh.users == 0 {
		return sh.Close()
	}
	return nil
}

// forget takes a segment out of the map. It is called with mu held.
func (x *Segments) forget(n uint32) {
	if sh := x.open[n]; sh != nil {
		delete(x.open, n)
		if err := x.leave(sh); err != nil {
			x.log.Warn("segment not closed cleanly", "path", x.Path(n), "err", err)
		}
	}
}
