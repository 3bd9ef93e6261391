package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"os"
)

// What bbolt's files look like, as far as it takes to see that one is sound. bbolt itself trusts
// what it reads: it looks for free pages in a goroutine of its own, where a panic ends the process,
// and takes a page that says it is empty for one.
const (
	boltMagic    = 0xED0CDAED
	pageHead     = 16 // id, flags, count, overflow
	elementSize  = 16
	bucketHead   = 16 // root page, sequence
	metaSize     = 64
	branchPage   = 0x01
	leafPage     = 0x02
	freePage     = 0x10
	noFreelist   = 1<<64 - 1
	bucketFlag   = 0x01
	deepest      = 32
	maxPageBytes = 1 << 30
)

// boltMeta is what the newest of a file's two meta pages says.
type boltMeta struct {
	pageSize int64
	root     uint64
	freelist uint64 // the page with it; noFreelist: bbolt finds out by itself what is free
	pages    uint64
	tx       uint64
}

// readMeta reads the meta pages; false when neither is one.
func readMeta(f io.ReaderAt) (best boltMeta, ok bool) {
	for size := int64(512); size <= 64<<10; size *= 2 {
		for _, at := range []int64{0, size} {
			b := make([]byte, pageHead+metaSize)
			if _, err := f.ReadAt(b, at); err != nil {
				continue
			}
			b = b[pageHead:]
			sum := fnv.New64a()
			sum.Write(b[:metaSize-8])
			if u32(b) != boltMagic || u64(b[metaSize-8:]) != sum.Sum64() || int64(u32(b[8:])) != size {
				continue
			}
			if m := (boltMeta{pageSize: size, root: u64(b[16:]), freelist: u64(b[32:]), pages: u64(b[40:]), tx: u64(b[48:])}); !ok || m.tx > best.tx {
				best, ok = m, true
			}
		}
	}
	return best, ok
}

func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// walker reads a bbolt file page by page, each once.
type walker struct {
	f     *os.File
	meta  boltMeta
	seen  []bool
	pages [deepest][]byte // memory, by depth
	last  []byte          // the key that was visited before; no key is empty
}

var errPage = errors.New("a page is not what it should be")

// bucket calls visit with everything in the bucket that begins at page root, in order. The bytes
// are valid during the call.
func (w *walker) bucket(root uint64, visit func(key, value []byte, bucket bool) error) error {
	w.last = w.last[:0]
	return w.page(root, 0, nil, visit)
}

func (w *walker) page(id uint64, depth int, least []byte, visit func(key, value []byte, bucket bool) error) error {
	if depth >= deepest || id < 2 || id >= w.meta.pages || w.seen[id] {
		return errPage
	}
	b, err := w.read(id, depth)
	if err != nil {
		return err
	}
	return w.elements(b, depth, least, visit)
}

// read gives a page with all that it overflows into.
func (w *walker) read(id uint64, depth int) ([]byte, error) {
	if w.pages[depth] == nil {
		w.pages[depth] = make([]byte, w.meta.pageSize)
	}
	b := w.pages[depth]
	if _, err := w.f.ReadAt(b[:w.meta.pageSize], int64(id)*w.meta.pageSize); err != nil {
		return nil, errors.Join(errPage, err)
	}
	more := uint64(u32(b[12:]))
	size := (int64(more) + 1) * w.meta.pageSize
	if u64(b) != id || id+more >= w.meta.pages || size > maxPageBytes {
		return nil, errPage
	}
	for n := id; n <= id+more; n++ {
		if w.seen[n] {
			return nil, errPage
		}
		w.seen[n] = true
	}
	if int64(len(b)) < size {
		b = make([]byte, size)
		w.pages[depth] = b
	}
	if more > 0 {
		if _, err := w.f.ReadAt(b[:size], int64(id)*w.meta.pageSize); err != nil {
			return nil, errors.Join(errPage, err)
		}
	}
	return b[:size], nil
}

// elements visits what a page has. In a branch each key is at most the first of the page it leads
// to, and above all before it.
func (w *walker) elements(b []byte, depth int, least []byte, visit func(key, value []byte, bucket bool) error) error {
	flags, count := binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || pageHead+count*elementSize > len(b) {
		return errPage
	}
	for i := range count {
		e := b[pageHead+i*elementSize:]
		if flags == branchPage {
			key, ok := part(e, u32(e), u32(e[4:]))
			if !ok || len(w.last) > 0 && bytes.Compare(w.last, key) >= 0 {
				return errPage
			}
			if err := w.page(u64(e[8:]), depth+1, bytes.Clone(key), visit); err != nil {
				return err
			}
			continue
		}
		key, ok := part(e, u32(e[4:]), u32(e[8:]))
		value, fits := part(e, u32(e[4:])+u32(e[8:]), u32(e[12:]))
		if !ok || !fits || bytes.Compare(key, least) < 0 || bytes.Compare(w.last, key) >= 0 || u32(e) > bucketFlag {
			return errPage
		}
		w.last = append(w.last[:0], key...)
		if err := visit(key, value, u32(e) == bucketFlag); err != nil {
			return err
		}
	}
	return nil
}

// freelist checks that what counts as free is used by nothing. It comes after everything else was
// seen.
func (w *walker) freelist() error {
	if w.meta.freelist == noFreelist {
		return nil
	}
	if w.meta.freelist < 2 || w.meta.freelist >= w.meta.pages || w.seen[w.meta.freelist] {
		return errPage
	}
	b, err := w.read(w.meta.freelist, 0)
	if err != nil {
		return err
	}
	n, ids := uint64(binary.NativeEndian.Uint16(b[10:])), b[pageHead:]
	if n == 0xffff { // more than the head has room for
		n, ids = u64(ids), ids[8:]
	}
	if binary.NativeEndian.Uint16(b[8:]) != freePage || n > uint64(len(ids)/8) {
		return errPage
	}
	for ; n > 0; n, ids = n-1, ids[8:] {
		id := u64(ids)
		if id < 2 || id >= w.meta.pages || w.seen[id] {
			return errPage
		}
		w.seen[id] = true
	}
	return nil
}

func part(e []byte, pos, n uint32) ([]byte, bool) {
	from, to := uint64(pos), uint64(pos)+uint64(n)
	if to > uint64(len(e)) {
		return nil, false
	}
	return e[from:to], true
}
