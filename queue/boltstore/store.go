package boltstore

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"dinkymail/internal/measure"
	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// ErrInUse: another process has this directory open.
var ErrInUse = errors.New("the queue's directory is in use")

// ErrDamaged: a record or a body is not what was written. What is left of it is set aside in the
// directory "damaged".
var ErrDamaged = journal.ErrDamaged

// Config has the store's limits. The zero value of each field stands for its default.
type Config struct {
	SegmentBytes int64         // a segment of the journal is closed at this size; 64 MiB
	LargeBytes   int           // longer bodies get a file of their own, and are never whole in memory; 256 KiB
	FlushRecords int           // changed messages that are written to the index together; 4096
	FlushDelay   time.Duration // how long a change may wait for the index; 1 s
	ReserveBytes int64         // kept free for recording results on a full disk; 4 MiB
	SettleDelay  time.Duration // how long a changed record may wait to share a sync with others; 2 ms, negative: not at all

	batchBytes int
	disk       disk
}

func (c Config) withDefaults() Config {
	set(&c.SegmentBytes, 64<<20)
	set(&c.LargeBytes, 256<<10)
	set(&c.FlushRecords, 4096)
	set(&c.FlushDelay, time.Second)
	set(&c.ReserveBytes, 4<<20)
	set(&c.SettleDelay, 2*time.Millisecond)
	set(&c.batchBytes, 4<<20)
	if c.disk == nil {
		c.disk = osDisk{}
	}
	c.SegmentBytes = min(c.SegmentBytes, 1<<30) // offsets of batches have 32 bits
	return c
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Store is a queue.Store on one directory.
type Store struct {
	*directory
	cfg     Config
	journal *journal.Journal[*change]
	index   index
	bodies  bodies
	locks
	work
	checkpoints
	anew  *anew // set while Open makes the index anew
	syncs measure.Durations

	mu     sync.Mutex
	closed bool
	lag
	totals
	claims claims
	oldest oldest
	damage
}

// work is what the goroutines of a store wait for.
type work struct {
	quit    chan struct{} // closed by Close
	dirty   chan struct{} // capacity 1: there is something for the index
	urgent  chan struct{} // capacity 1: there is much
	sparse  chan struct{} // capacity 1: a segment may be mostly dead
	running sync.WaitGroup
}

// state is a message as it is now, while the index does not have it so yet.
type state struct {
	base place          // as the index has it, or will once the flush that runs is over
	now  place          // kept none: removed
	msg  *queue.Message // never changed; nil when unknown or removed
	meta []byte         // msg encoded; nil: as in the index
}

type counters struct {
	Waiting  int   `cbor:"1,keyasint"`
	Bytes    int64 `cbor:"2,keyasint"`
	Finished int   `cbor:"3,keyasint"`
	Captured int   `cbor:"4,keyasint"`
	Removed  int   `cbor:"5,keyasint,omitempty"`
	Trash    int64 `cbor:"6,keyasint,omitempty"`
	Held     int   `cbor:"7,keyasint,omitempty"` // of Waiting: those of which no leg has a next attempt
	Records  int64 `cbor:"8,keyasint,omitempty"` // bytes of the records of what waits; 0 in an index of an earlier version
}

func (c *counters) add(p place, n int) {
	switch p.kept {
	case waiting:
		c.Waiting += n
		c.Bytes += int64(n) * p.body.n
		c.Records += int64(n) * p.record
		if p.idle() {
			c.Held += n
		}
	case removed:
		c.Removed += n
		c.Trash += int64(n) * p.body.n
	case finished:
		c.Finished += n
	case captured:
		c.Captured += n
	}
}

var _ queue.Store = (*Store)(nil)

// Put implements queue.Store.
func (s *Store) Put(body io.Reader, describe func(size int64) (queue.Message, error)) (queue.Message, error) {
	if err := s.ready(); err != nil {
		return queue.Message{}, err
	}
	in, err := s.bodies.take(body)
	defer in.discard()
	if err != nil {
		return queue.Message{}, err
	}
	given, err := describe(in.size)
	if err != nil {
		return queue.Message{}, err
	}
	if !given.ID.Valid() {
		return queue.Message{}, fmt.Errorf("put: %q is no message ID", given.ID)
	}
	m := clone(&given)
	m.Size = in.size
	if err := s.reserveID(m.ID); err != nil {
		return queue.Message{}, err
	}
	defer s.unlockID(m.ID)
	c := newChange(kindPut, m.ID, place{}, place{})
	c.msg, c.Body, c.Sum = m, in.bytes, in.crc
	if c.Meta, err = encodeBounded(m); err != nil {
		return queue.Message{}, err
	}
	if in.large != "" {
		c.Kind, c.Body, c.Size = kindLarge, nil, in.size
		c.now.body = location{where: inLarge, n: in.size, crc: in.crc}
		if err := in.keep(m.ID); err != nil {
			return queue.Message{}, err
		}
	}
	c.now = placeOf(m, c.now.body)
	c.now.record = int64(len(c.Meta))
	if err := s.journal.Append(c); err != nil {
		return queue.Message{}, fmt.Errorf("put %s: %w", m.ID, err)
	}
	in.kept = true
	if in.large == "" && m.Finished.IsZero() && cap(in.bytes) <= pooled && s.bodies.warm.keep(m.ID, in.bytes) {
		in.bytes = nil
	}
	return *clone(m), nil
}

// ready is why a Put is not even begun, or nil.
func (s *Store) ready() error {
	if err := s.Broken(); err != nil {
		return err
	}
	return s.journal.Reserve.Restore()
}

// Get implements queue.Store.
func (s *Store) Get(id queue.ID) (queue.Message, error) {
	st, err := s.find(id)
	if err != nil {
		return queue.Message{}, err
	}
	return *clone(st.msg), nil
}

// Update implements queue.Store.
func (s *Store) Update(id queue.ID, change func(*queue.Message)) (queue.Message, error) {
	s.lockID(id)
	defer s.unlockID(id)
	return s.modify(id, 0, change)
}

// modify changes the record of a message that is locked, under the claim with a token if it is not
// 0.
func (s *Store) modify(id queue.ID, token uint64, modify func(*queue.Message)) (queue.Message, error) {
	st, err := s.find(id)
	if err != nil {
		return queue.Message{}, err
	}
	m := clone(st.msg)
	modify(m)
	m.ID = id
	if placeOf(m, st.now.body).body != (location{}) { // of a mail without its body, what is said of it is all there is
		m.Size = st.msg.Size
	}
	m = clone(m) // nothing of it is the caller's
	c := newChange(kindSet, id, st.now, placeOf(m, st.now.body))
	if c.Meta, err = encodeBounded(m); err != nil {
		return queue.Message{}, err
	}
	c.msg, c.claim, c.now.record = m, token, int64(len(c.Meta))
	if err := s.journal.Append(c); err != nil {
		return queue.Message{}, fmt.Errorf("update %s: %w", id, err)
	}
	s.bodies.drop(c)
	return *clone(m), nil
}

// Remove implements queue.Store.
func (s *Store) Remove(id queue.ID) error {
	s.lockID(id)
	defer s.unlockID(id)
	at, err := s.locate(id)
	if errors.Is(err, ErrDamaged) {
		return nil // asking was enough: what is left of it was set aside
	}
	if err != nil {
		return err
	}
	c := newChange(kindRemove, id, at, place{})
	if err := s.journal.Append(c); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	s.bodies.drop(c)
	return nil
}

// Stats implements queue.Store.
func (s *Store) Stats() queue.Stats {
	s.mu.Lock()
	st := queue.Stats{Waiting: s.count.Waiting, Bytes: s.count.Bytes, Records: s.count.Records, Finished: s.count.Finished, Captured: s.count.Captured,
		Held: s.count.Held, Removed: s.count.Removed, Trash: s.count.Trash, Damaged: s.damaged + len(s.harm)}
	s.mu.Unlock()
	if st.Waiting > 0 {
		st.Oldest = s.oldestWaiting()
	}
	return st
}
