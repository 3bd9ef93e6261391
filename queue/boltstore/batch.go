package boltstore

import (
	"errors"

	"dinkymail/queue"
)

// batch is changes that are written together. Their messages are locked until then.
type batch struct {
	s       *Store
	changes []*change
	bytes   int
	written int // how many changes were written
}

// batchBytes is how much is written together.
const batchBytes = 1 << 20

// hold locks a message and says where it is; false when it is not there, or its record is damaged.
// Who holds a message must not wait for another, so all before it is written first then.
func (b *batch) hold(id queue.ID) (place, bool, error) {
	if !b.s.tryLockID(id) {
		if err := b.flush(); err != nil {
			return place{}, false, err
		}
		b.s.lockID(id)
	}
	at, err := b.s.locate(id)
	if err == nil {
		return at, true, nil
	}
	b.s.unlockID(id)
	if errors.Is(err, queue.ErrNotFound) || errors.Is(err, ErrDamaged) {
		err = nil
	}
	return place{}, false, err
}

// add takes in a change of a message that is held.
func (b *batch) add(c *change) error {
	b.changes = append(b.changes, c)
	if b.bytes += len(c.Body); b.bytes < batchBytes {
		return nil
	}
	return b.flush()
}

// flush writes what came together.
func (b *batch) flush() error {
	if len(b.changes) == 0 {
		return nil
	}
	err := b.s.journal.Append(b.changes...)
	for _, c := range b.changes {
		if err == nil {
			b.s.bodies.drop(c)
			b.written++
		}
		b.s.unlockID(c.id())
	}
	b.changes, b.bytes = nil, 0
	return err
}
