package boltstore

import (
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// terms says before which time a message of each kind is old enough to go; 0: it stays.
type terms [removed + 1]int64

// over reports whether a message may go.
func (t *terms) over(p place) bool { return t[p.kept] != 0 && p.key < t[p.kept] }

// Expire implements queue.Store.
func (s *Store) Expire(old, trash time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	t := terms{finished: nanos(old), captured: nanos(old), removed: nanos(trash)}
	ids, err := s.expired(&t, limit)
	if err != nil {
		return 0, err
	}
	b := batch{s: s}
	for _, id := range ids {
		at, ok, failed := b.hold(id)
		switch {
		case ok && t.over(at):
			failed = b.add(newChange(kindRemove, id, at, place{}))
		case ok:
			s.unlockID(id)
		}
		if err = errors.Join(err, failed); err != nil {
			break
		}
	}
	err = errors.Join(err, b.flush())
	return b.written, err
}

// expired finds what may go.
func (s *Store) expired(t *terms, limit int) (ids []queue.ID, err error) {
	pending, err := s.unindexed()
	if err != nil {
		return nil, err
	}
	for id, st := range pending {
		if t.over(st.now) && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	gone := make(map[queue.ID]place) // in the order of time, but without a record
	err = s.index.view(func(tx *bolt.Tx) error {
		for _, k := range []kept{finished, removed} { // captured mail is in the order of finished mail
			c := tx.Bucket(orderOf[k]).Cursor()
			for v, _ := c.First(); v != nil && len(ids) < limit; v, _ = c.Next() {
				key, id, _, ok := splitKey(v)
				if !ok || key >= t[k] {
					break
				}
				switch {
				case pending[id] != nil:
				case !inOrder(tx, k, id):
					gone[id] = place{kept: k, key: key}
				default:
					ids = append(ids, id)
				}
			}
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, at := range gone {
		s.forgetRows(id, at)
	}
	return ids, err
}

// inOrder reports whether a message that is in the order of k has a record of a kind that is in it.
func inOrder(tx *bolt.Tx, k kept, id queue.ID) bool {
	return tx.Bucket(bucketOf[k]).Get([]byte(id)) != nil || k == finished && tx.Bucket(bucketOf[captured]).Get([]byte(id)) != nil
}
