package boltstore

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

func wanted(f queue.Filter, k kept) bool {
	if !f.Waiting && !f.Finished && !f.Captured && !f.Removed {
		return k != none
	}
	return f.Waiting && k == waiting || f.Finished && k == finished || f.Captured && k == captured || f.Removed && k == removed
}

// found is a message for a page: decoded, or as the index has it.
type found struct {
	id  queue.ID
	msg *queue.Message
	raw []byte
}

// List implements queue.Store.
func (s *Store) List(filter queue.Filter, after queue.ID, limit int) ([]queue.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	for {
		page, err := s.page(filter, after, limit)
		if err != nil {
			return nil, err
		}
		out := make([]queue.Message, 0, len(page))
		damaged := false
		for _, f := range page {
			if f.msg == nil {
				if f.msg, err = decode(f.raw); err != nil || f.msg.ID != f.id {
					_, err := s.index.get(f.id) // sets it aside
					damaged = damaged || errors.Is(err, ErrDamaged)
					continue
				}
			} else {
				f.msg = clone(f.msg)
			}
			out = append(out, *f.msg)
		}
		// A page without what was just set aside might end too soon: read it again.
		if !damaged {
			return out, nil
		}
	}
}

// page gathers candidates from memory and from each bucket, and keeps the first limit of them.
func (s *Store) page(filter queue.Filter, after queue.ID, limit int) ([]found, error) {
	beyond := func(id queue.ID) bool { return after == "" || id > after != filter.Newest && id != after }
	pending, err := s.unindexed()
	if err != nil {
		return nil, err
	}
	var all []found
	for id, st := range pending {
		switch {
		case st.now.kept != none && st.msg == nil: // its body was moved: the record is as in the index
			delete(pending, id)
		case beyond(id) && wanted(filter, st.now.kept):
			all = append(all, found{id: id, msg: st.msg})
		}
	}
	err = s.index.view(func(tx *bolt.Tx) error {
		for k := waiting; k <= removed; k++ {
			if !wanted(filter, k) {
				continue
			}
			n := 0
			for id, v := range records(tx.Bucket(bucketOf[k]), after, filter.Newest) {
				if pending[queue.ID(id)] != nil {
					continue
				}
				var record []byte
				if _, r, err := parsePlace(k, v); err == nil {
					record = bytes.Clone(r)
				}
				all = append(all, found{id: queue.ID(id), raw: record})
				if n++; n == limit {
					break
				}
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b found) int {
		if filter.Newest {
			a, b = b, a
		}
		return strings.Compare(string(a.id), string(b.id))
	})
	return all[:min(limit, len(all))], err
}

// unindexed is every message of which the index is not to be believed, as it is now.
func (s *Store) unindexed() (map[queue.ID]*state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, queue.ErrClosed
	}
	return s.lag.all(), nil
}

// records walks a bucket from behind after, forwards or backwards.
func records(b *bolt.Bucket, after queue.ID, newest bool) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		step, start := c.Next, c.First
		if newest {
			step, start = c.Prev, c.Last
		}
		var k, v []byte
		if after == "" {
			k, v = start()
		} else {
			k, v = c.Seek([]byte(after))
			if newest && k == nil {
				k, v = c.Last() // everything is before after
			} else if newest || string(k) == string(after) {
				k, v = step()
			}
		}
		for ; k != nil; k, v = step() {
			if !yield(k, v) {
				return
			}
		}
	}
}
