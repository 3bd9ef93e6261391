package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
)

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
			for leg := range 1 + len(p.more) {
				if at := p.at(leg); at != 0 {
					c.key = appendOrderKey(c.key[:0], at, k, leg)
					c.due[string(orderOf[kind])] += maphash.Bytes(c.seed, c.key)
				}
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

var errAgree = errors.New("its records, orders and counts do not agree")

func (c *contents) agree() error {
	p, err := parseProgress(c.state)
	if err != nil || p.Schema != schema {
		return err
	}
	if p.Count.Records == 0 { // an earlier version did not count them
		c.count.Records = 0
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
