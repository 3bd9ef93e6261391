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
	n, busy, err := s.expireThese(&t, ids, s.tryLockID)
	for _, id := range busy { // mostly because its body is moved; nobody who holds one message may wait for another
		if err == nil {
			var one int
			one, _, err = s.expireThese(&t, []queue.ID{id}, func(id queue.ID) bool { s.lockID(id); return true })
			n += one
		}
	}
	return n, err
}

// expireThese removes those messages that may go still, and gives back those that cannot be locked.
func (s *Store) expireThese(t *terms, ids []queue.ID, lock func(queue.ID) bool) (n int, busy []queue.ID, err error) {
	var changes []*change
	for _, id := range ids {
		if !lock(id) {
			busy = append(busy, id)
			continue
		}
		defer s.unlockID(id)
		at, err := s.locate(id)
		if err == nil && t.over(at) {
			changes = append(changes, &change{kind: kindRemove, id: id, was: at})
		} else if err != nil && !errors.Is(err, queue.ErrNotFound) && !errors.Is(err, ErrDamaged) {
			return 0, nil, err
		}
	}
	if len(changes) == 0 {
		return 0, busy, nil
	}
	if err := s.journal.submit(changes...); err != nil {
		return 0, nil, err
	}
	for _, c := range changes {
		s.dropLarge(c)
	}
	return len(changes), busy, nil
}

// expired finds what may go.
func (s *Store) expired(t *terms, limit int) ([]queue.ID, error) {
	ids, shadowed, err := s.pendingExpired(t, limit)
	if err != nil {
		return nil, err
	}
	var gone []lostKey
	err = s.index.view(func(tx *bolt.Tx) error {
		for _, k := range []kept{finished, removed} { // captured mail is in the order of finished mail
			c := tx.Bucket(orderOf[k]).Cursor()
			for v, _ := c.First(); v != nil && len(ids) < limit; v, _ = c.Next() {
				key, id, _, ok := splitKey(v)
				if !ok || key >= t[k] {
					break
				}
				switch {
				case shadowed[id]:
				case !inOrder(tx, k, id):
					gone = append(gone, lostKey{k, key, id})
				default:
					ids = append(ids, id)
				}
			}
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range gone {
		s.forgetRows(g.id, place{kept: g.kept, key: g.key})
	}
	return ids, err
}

// lostKey is in the order of time, but has no record.
type lostKey struct {
	kept kept
	key  int64
	id   queue.ID
}

// inOrder reports whether a message that is in the order of k has a record of a kind that is in it.
func inOrder(tx *bolt.Tx, k kept, id queue.ID) bool {
	return tx.Bucket(bucketOf[k]).Get([]byte(id)) != nil || k == finished && tx.Bucket(bucketOf[captured]).Get([]byte(id)) != nil
}

// pendingExpired finds the same in what the index does not have yet, and all IDs for which the index is not to be believed.
func (s *Store) pendingExpired(t *terms, limit int) (ids []queue.ID, shadowed map[queue.ID]bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, queue.ErrClosed
	}
	shadowed = make(map[queue.ID]bool)
	for _, m := range []map[queue.ID]*state{s.fresh, s.flush} {
		for id, st := range m {
			if shadowed[id] {
				continue
			}
			shadowed[id] = true
			if t.over(st.now) && len(ids) < limit {
				ids = append(ids, id)
			}
		}
	}
	return ids, shadowed, nil
}

func (s *Store) tryLockID(id queue.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.busy[id]; taken {
		return false
	}
	s.busy[id] = nil
	return true
}
