package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// The index is one bbolt file with a bucket per state (ID → place and record), the order in which
// things are due (time, ID and number of the leg → nothing, or for what waits the sender and the
// lane), what is needed of each segment, and one value that says how far all of it goes.
//
// Schema is raised with every field that the records gain: a version that does not know the field
// would drop it, and so refuses a store with a greater one.
const schema = 4

// bucketOf names the bucket of each state; orderOf the one with its order in time, and captured
// shares that of finished mail, since both only wait to be forgotten.
var (
	bucketOf = [...][]byte{waiting: []byte("waiting"), finished: []byte("finished"), captured: []byte("captured"),
		removed: []byte("removed")}
	orderOf  = [...][]byte{waiting: []byte("due"), finished: []byte("expiry"), captured: []byte("expiry"), removed: []byte("trash")}
	segments = []byte("segments")
	notes    = []byte("notes") // name → text; of schema 2, since then they are in the state
	meta     = []byte("meta")
	stateKey = []byte("state")
)

// index is the bbolt file. It can be closed and opened again under its users.
type index struct {
	home       *directory
	fault      *journal.Fault
	unreadable func(id queue.ID, at place, raw []byte, reason error) // is told of a record that cannot be read

	path string
	mu   sync.RWMutex
	db   *bolt.DB
	live map[uint32]int64 // of segments, as in the file

	carried   bool        // the journal has all there is, so that a damaged index can be made anew without loss
	serving   atomic.Bool // Open is done
	condemned atomic.Bool // it is damaged, and was set aside although it is open
}

// mapped is the address space set aside for the file, so that readers never hold up a writer that
// lets it grow.
const mapped = 64 << 30

// open opens the file, anew if it was open. Who reads meanwhile waits.
func (x *index) open() (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db != nil {
		defer func(closed error) { err = errors.Join(closed, err) }(x.db.Close())
		x.db = nil
	}
	var f *os.File
	options := &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoStatistics: true,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			f, err = os.OpenFile(path, flag, mode)
			return f, err
		}}
	if ^uint(0)>>32 != 0 {
		size := int64(mapped)
		options.InitialMmapSize = int(size)
	}
	damaged := true
	defer func() {
		if damaged && f != nil { // bbolt panicked with the file locked, and mapped, which alone keeps the lock
			err = errors.Join(err, syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
		}
	}()
	defer recovered(&err, debug.SetPanicOnFault(true))
	db, err := bolt.Open(x.path, 0o600, options)
	if damaged = false; err != nil {
		return err
	}
	x.db = db
	return nil
}

func (x *index) close() (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return nil
	}
	defer func() { x.db = nil }()
	defer recovered(&err, debug.SetPanicOnFault(true))
	return x.db.Close()
}

// settle writes down which pages are free, so that the next open need not find out by reading all
// others.
func (x *index) settle() (err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	defer recovered(&err, debug.SetPanicOnFault(true))
	if x.db == nil || x.fault.Err() != nil || x.condemned.Load() {
		return nil
	}
	x.db.NoFreelistSync = false
	if err := x.db.Update(func(*bolt.Tx) error { return nil }); err != nil && !journal.NoSpace(err) {
		return fmt.Errorf("close the index: %w", err)
	}
	return nil
}

// view reads. f must be short: pages that it may see cannot be used again meanwhile.
func (x *index) view(f func(tx *bolt.Tx) error) (err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil {
		return fmt.Errorf("read the index: %w", queue.ErrClosed)
	}
	defer func() {
		if errors.Is(err, ErrDamaged) {
			x.condemn(err)
		}
		if errors.Is(err, errPage) && x.serving.Load() {
			_ = x.fault.Set(err) // who asks next is told
		}
	}()
	defer recovered(&err, debug.SetPanicOnFault(true))
	return x.db.View(f)
}

// update changes the file in one transaction, or leaves it as it was.
func (x *index) update(f func(tx *bolt.Tx) error) (err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	defer recovered(&err, debug.SetPanicOnFault(true))
	if x.db == nil {
		return fmt.Errorf("write the index: %w", queue.ErrClosed)
	}
	tx, err := x.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back, and no other error comes from it
	if err := f(tx); err != nil {
		return err
	}
	return x.home.disk.commit(tx)
}

// recovered makes an error of a panic, and sets back what happens on a fault. bbolt panics where a
// page is not what it should be, or follows it to where the file has already ended, which is a
// fault.
func recovered(err *error, faults bool) {
	debug.SetPanicOnFault(faults)
	if p := recover(); p != nil {
		*err = fmt.Errorf("index %w: %w: %v", ErrDamaged, errPage, p)
	}
}

// get reads one record. What it cannot read it sets aside, and returns ErrDamaged.
func (x *index) get(id queue.ID) (state, error) {
	st := state{}
	err := x.lookup(id, func(at place, record []byte) error {
		msg, err := decode(record)
		if err == nil && msg.ID != id {
			err = errRecord
		}
		if err == nil && at.kept == waiting {
			at.sender = msg.Sender()
		}
		st = state{base: at, now: at, msg: msg}
		return err
	})
	return st, err
}

// place reads where a message is, and sets aside what it cannot read, as get does.
func (x *index) place(id queue.ID) (place, error) {
	var p place
	err := x.lookup(id, func(at place, _ []byte) error { p = at; return nil })
	return p, err
}

func (x *index) lookup(id queue.ID, read func(at place, record []byte) error) error {
	var raw []byte
	var at place
	err := x.view(func(tx *bolt.Tx) error {
		for k := waiting; k <= removed; k++ {
			v := tx.Bucket(bucketOf[k]).Get([]byte(id))
			if v == nil {
				continue
			}
			p, record, err := parsePlace(k, v)
			if err == nil {
				err = read(p, record)
			}
			if err != nil {
				raw, at = bytes.Clone(v), p
				return fmt.Errorf("record of %s: %w: %w", id, ErrDamaged, err)
			}
			return nil
		}
		return queue.ErrNotFound
	})
	if raw != nil && (x.serving.Load() || !x.carried) {
		x.unreadable(id, at, raw, err)
	}
	return err
}

// snapshot is what one flush brings the index to.
type snapshot struct {
	states map[queue.ID]*state
	to     progress
	live   map[uint32]int64
}

// write brings the index to a snapshot.
func (x *index) write(sn *snapshot) error {
	if err := x.update(func(tx *bolt.Tx) error { return x.fill(tx, sn) }); err != nil {
		return fmt.Errorf("write %s: %w", x.path, err)
	}
	x.live = sn.live
	return nil
}

func (x *index) fill(tx *bolt.Tx, sn *snapshot) error {
	b := buckets{}
	for k := waiting; k <= removed; k++ {
		b.records[k], b.order[k] = tx.Bucket(bucketOf[k]), tx.Bucket(orderOf[k])
		b.records[k].FillPercent = 0.9 // keys come nearly in order
		b.order[k].FillPercent = 0.9
	}
	for _, id := range slices.Sorted(maps.Keys(sn.states)) {
		if err := b.move(id, sn.states[id]); err != nil {
			return err
		}
	}
	if err := x.fillSegments(tx, sn.live); err != nil {
		return err
	}
	return putProgress(tx, sn.to)
}

func (x *index) fillSegments(tx *bolt.Tx, live map[uint32]int64) error {
	b := tx.Bucket(segments)
	for n, bytes := range live {
		if x.live[n] == bytes {
			continue
		}
		if err := b.Put(binary.BigEndian.AppendUint32(nil, n), binary.BigEndian.AppendUint64(nil, uint64(bytes))); err != nil {
			return err
		}
	}
	for n := range x.live {
		if live[n] != 0 {
			continue
		}
		if err := b.Delete(binary.BigEndian.AppendUint32(nil, n)); err != nil {
			return err
		}
	}
	return nil
}

type buckets struct {
	records, order [removed + 1]*bolt.Bucket
}

// move brings one message from where the index has it to where it is now.
func (b *buckets) move(id queue.ID, st *state) error {
	was, now, key := st.base, st.now, []byte(id)
	record := st.meta
	if record == nil && now.kept != none { // its body was moved, and nothing else
		_, old, err := parsePlace(was.kept, b.records[was.kept].Get(key))
		if err != nil {
			return nil //nolint:nilerr // it is unreadable and will be set aside when somebody asks for it
		}
		record = bytes.Clone(old)
	}
	if was.kept != none && was.kept != now.kept {
		if err := b.records[was.kept].Delete(key); err != nil {
			return err
		}
	}
	for leg := range 1 + max(len(was.more), len(now.more)) {
		if err := b.reorder(id, st, leg); err != nil {
			return err
		}
	}
	if now.kept == none {
		return nil
	}
	return b.records[now.kept].Put(key, now.value(record))
}

// reorder brings one leg, or what is no waiting message, to where it stands in the order of time.
func (b *buckets) reorder(id queue.ID, st *state, leg int) error {
	was, now := st.base.at(leg), st.now.at(leg)
	stays := st.base.kept == st.now.kept && was == now
	if was != 0 && !stays {
		if err := b.order[st.base.kept].Delete(orderKey(was, id, leg)); err != nil {
			return err
		}
	}
	switch {
	case now == 0:
		return nil
	case st.now.kept == waiting && st.msg != nil: // its sender or lane may be new
		return b.order[waiting].Put(orderKey(now, id, leg), rowValue(st.now.sender, st.msg.Legs[leg].Lane))
	case stays:
		return nil
	}
	return b.order[st.now.kept].Put(orderKey(now, id, leg), nil)
}

// orderKey sorts by time, then by ID. The number of the first leg is left out.
func orderKey(t int64, id queue.ID, leg int) []byte {
	return appendOrderKey(make([]byte, 0, 26), t, []byte(id), leg)
}

func appendOrderKey(key []byte, t int64, id []byte, leg int) []byte {
	key = append(binary.BigEndian.AppendUint64(key, uint64(t)^1<<63), id...)
	if leg > 0 {
		key = binary.BigEndian.AppendUint16(key, uint16(leg))
	}
	return key
}

func splitKey(key []byte) (t int64, id queue.ID, leg int, ok bool) {
	switch len(key) {
	case 24:
	case 26:
		leg = int(binary.BigEndian.Uint16(key[24:]))
	default:
		return 0, "", 0, false
	}
	id = queue.ID(key[8:24])
	return int64(binary.BigEndian.Uint64(key) ^ 1<<63), id, leg, id.Valid()
}

// rowValue is what stands behind the orderKey of a leg: the sender of the message, and the lane if
// it is not the first one. A store from before senders took turns has nothing there.
func rowValue(sender uint32, lane string) []byte {
	b := binary.BigEndian.AppendUint32(nil, sender)
	if lane != firstLane {
		b = append(b, lane...)
	}
	return b
}

func senderAndLane(row []byte) (sender uint32, lane string) {
	if len(row) >= 4 {
		sender = binary.BigEndian.Uint32(row)
	}
	if len(row) > 4 {
		return sender, string(row[4:])
	}
	return sender, firstLane
}
