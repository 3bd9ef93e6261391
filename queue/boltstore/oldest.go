package boltstore

import (
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/turns"
)

// oldest finds the waiting message that was accepted first without looking at all of them. It is
// guarded by Store.mu.
type oldest struct {
	fresh turns.Schedule // waiting messages that the index need not have yet, by when they were accepted
	// The first in the index that still waits; IDs sort by time. Everything before it waits no
	// more.
	id    queue.ID
	at    int64
	known bool
}

func (o *oldest) changed(id queue.ID, was, now place) {
	if was.kept == waiting && now.kept != waiting {
		o.fresh.Remove(turns.KeyOf(string(id), 0))
		if id == o.id {
			o.known = false
		}
	}
	if was.kept != waiting && now.kept == waiting {
		o.fresh.Add(turns.Slot{Due: now.accepted, Key: turns.KeyOf(string(id), 0)})
	}
}

// flushed follows a flush: the index has what is in states.
func (o *oldest) flushed(states, newer map[queue.ID]*state) {
	for id := range states {
		if newer[id] == nil {
			o.fresh.Remove(turns.KeyOf(string(id), 0))
		}
	}
	o.id, o.known = "", false
}

// oldestWaiting is when the oldest waiting message was accepted.
func (s *Store) oldestWaiting() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.oldest
	if !o.known {
		o.at = 0
		o.known = s.index.view(func(tx *bolt.Tx) error {
			c := tx.Bucket(bucketOf[waiting]).Cursor()
			for k, v := c.Seek([]byte(o.id)); k != nil; k, v = c.Next() {
				o.id = queue.ID(k)
				if st := s.pending(o.id); st != nil && st.now.kept != waiting {
					continue
				}
				if p, _, err := parsePlace(waiting, v); err == nil {
					o.at = p.accepted
					break
				}
			}
			return nil
		}) == nil
	}
	at := o.at
	if first, ok := o.fresh.First(); ok && (at == 0 || first.Due < at) {
		at = first.Due
	}
	return moment(at)
}
