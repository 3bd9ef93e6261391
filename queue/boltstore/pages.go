package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"io"
	"maps"
	"os"
)

// What bbolt's files look like, as far as it takes to see that one is sound. bbolt itself trusts what it reads: it looks for free pages
// in a goroutine of its own, where a panic ends the process, and takes a page that says it is empty for one.
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

// bucket calls visit with everything in the bucket that begins at page root, in order. The bytes are valid during the call.
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

// elements visits what a page has. In a branch each key is at most the first of the page it leads to, and above all before it.
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

// freelist checks that what counts as free is used by nothing. It comes after everything else was seen.
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

// contents is what an index has, added up to be compared.
type contents struct {
	count    counters
	live     map[uint32]int64
	segments map[uint32]int64
	state    []byte
	strict   bool // what cannot be read is damage
	seed     maphash.Seed
	key      []byte
	due      map[string]uint64 // sums of hashes of the keys that should be in an order, less those that are
}

// soundIndex walks through a whole index, and through all it has if content is set: that every page is where it should be, every record
// what was written, and that records, orders and counts agree. It returns ErrDamaged if not.
func soundIndex(f *os.File, m boltMeta, content bool) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if int64(m.pages) > st.Size()/m.pageSize {
		return fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	w := &walker{f: f, meta: m, seen: make([]bool, m.pages)}
	c := contents{live: make(map[uint32]int64), segments: make(map[uint32]int64), due: make(map[string]uint64),
		seed: maphash.MakeSeed(), strict: content}
	buckets, err := w.buckets()
	for _, b := range buckets {
		err = errors.Join(err, w.within(b, func(k, v []byte) error { return c.add(b.name, k, v) }))
	}
	if err == nil {
		err = w.freelist()
	}
	if err == nil && content {
		err = c.agree()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// stateOf is the state that stands in an index, or nil.
func stateOf(f *os.File, m boltMeta) (state []byte) {
	w := &walker{f: f, meta: m, seen: make([]bool, m.pages)}
	buckets, _ := w.buckets()
	for _, b := range buckets {
		if !bytes.Equal(b.name, meta) {
			continue
		}
		_ = w.within(b, func(k, v []byte) error { // what cannot be read is not the state
			if bytes.Equal(k, stateKey) {
				state = bytes.Clone(v)
			}
			return nil
		})
	}
	return state
}

// boltBucket is a bucket of the file: where its first page is, or all of it.
type boltBucket struct{ name, value []byte }

func (w *walker) buckets() (all []boltBucket, err error) {
	err = w.bucket(w.meta.root, func(name, v []byte, bucket bool) error {
		if !bucket || len(v) < bucketHead || u64(v) == 0 && len(v) < bucketHead+pageHead {
			return errPage
		}
		all = append(all, boltBucket{bytes.Clone(name), bytes.Clone(v)})
		return nil
	})
	return all, err
}

// within visits everything in a bucket that has no buckets in it.
func (w *walker) within(b boltBucket, visit func(k, v []byte) error) error {
	plain := func(k, v []byte, bucket bool) error {
		if bucket {
			return errPage
		}
		return visit(k, v)
	}
	if root := u64(b.value); root != 0 {
		return w.bucket(root, plain)
	}
	w.last = w.last[:0]
	return w.elements(b.value[bucketHead:], deepest, nil, plain)
}

// add takes in what stands in one of the buckets.
func (c *contents) add(bucket, k, v []byte) error {
	for kind := waiting; kind <= removed; kind++ {
		switch {
		case bytes.Equal(bucket, bucketOf[kind]):
			p, _, err := parsePlace(kind, v)
			if err != nil && c.strict {
				return err
			}
			c.count.add(p, 1)
			if p.body.where == inSegment {
				c.live[p.body.seg] += p.body.n + recordHead
			}
			if p.key != 0 {
				c.due[string(orderOf[kind])] += maphash.Bytes(c.seed, c.orderKey(p.key, k))
			}
			return nil
		case bytes.Equal(bucket, orderOf[kind]):
			c.due[string(bucket)] -= maphash.Bytes(c.seed, k)
			return nil
		}
	}
	switch {
	case bytes.Equal(bucket, meta) && bytes.Equal(k, stateKey):
		c.state = bytes.Clone(v)
	case bytes.Equal(bucket, segments) && len(k) == 4 && len(v) == 8:
		c.segments[binary.BigEndian.Uint32(k)] = int64(binary.BigEndian.Uint64(v))
	}
	return nil
}

// orderKey is what the function of this name gives, valid until the next call.
func (c *contents) orderKey(t int64, id []byte) []byte {
	c.key = append(binary.BigEndian.AppendUint64(c.key[:0], uint64(t)^1<<63), id...)
	return c.key
}

var errAgree = errors.New("its records, orders and counts do not agree")

func (c *contents) agree() error {
	p, err := parseProgress(c.state)
	if err != nil || p.Schema != schema {
		return err
	}
	if p.Count != c.count || !maps.Equal(c.live, c.segments) {
		return errAgree
	}
	for _, left := range c.due {
		if left != 0 {
			return errAgree
		}
	}
	return nil
}
