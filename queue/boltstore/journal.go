package boltstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"dinkymail/internal/measure"
	"dinkymail/queue"
)

// change is one record on its way into the journal.
type change struct {
	kind kind
	id   queue.ID
	was  place          // as the index will have it when this is applied
	now  place          // the body's location is filled in by the journal for put and move
	msg  *queue.Message // never changed again; nil for remove, move and probe
	meta []byte
	body []byte
	crc  uint32
	done chan error // capacity 1

	claim uint64 // token of the claim under which a record is changed; 0: none
}

func (c *change) head(batch int64) entryHead {
	h := entryHead{kind: c.kind, batch: uint32(batch), meta: len(c.meta), crc: c.crc, body: int64(len(c.body)), id: c.id}
	if c.kind == kindLarge {
		h.body = c.now.body.n
	}
	return h
}

// zerosAhead is how far the segment is filled with zeros before it is needed: a sync that need not also record a new file
// size takes about two thirds of the time. Writes of manyBytes and more are not worth it.
const (
	zerosAhead = 1 << 20
	manyBytes  = 64 << 10
)

// journal appends changes to the active segment. Its goroutine owns all but the fields under mu.
type journal struct {
	s *Store

	mu      sync.Mutex
	waiting []*change
	urgent  bool // somebody in waiting waits for an answer
	closed  bool
	kick    chan struct{} // capacity 1: there is something urgent
	lazy    chan struct{} // capacity 1: there is something
	quit    chan struct{}
	done    chan struct{}

	active file
	number uint32
	end    int64 // of what is synced
	filled int64 // zeros are written up to here
	limit  int64 // where to begin a new segment
	buf    []byte
	zeros  []byte

	syncs measure.Durations
}

// Syncs is how long the disk took to keep what was written; everything that was accepted waited for one of them.
func (s *Store) Syncs() measure.Spread { return s.journal.syncs.Spread() }

// submit hands changes over and waits until all are on the disk, or not. The first error is returned.
func (j *journal) submit(changes ...*change) error {
	for _, c := range changes {
		c.done = make(chan error, 1)
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return queue.ErrClosed
	}
	j.waiting = append(j.waiting, changes...)
	j.urgent = j.urgent || len(j.waiting) >= lazyMost || j.s.cfg.SettleDelay < 0 || slices.ContainsFunc(changes, (*change).urgent)
	bell := j.lazy
	if j.urgent {
		bell = j.kick
	}
	j.mu.Unlock()
	select {
	case bell <- struct{}{}:
	default:
	}
	var first error
	for _, c := range changes {
		if err := <-c.done; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// lazyMost changed records do not wait for Config.SettleDelay any more.
const lazyMost = 32

// urgent reports whether a change is to be written at once. A changed record waits for a moment: new mail takes it along, so
// that a result, which nobody waits for, costs no sync of its own and never keeps the next client waiting for one.
func (c *change) urgent() bool { return c.kind != kindSet }

func (j *journal) run() {
	defer close(j.done)
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	for {
		select {
		case <-j.kick:
		case <-j.lazy:
			patience.Reset(j.s.cfg.SettleDelay)
			select {
			case <-j.kick:
			case <-patience.C:
			case <-j.quit:
			}
		case <-j.quit:
			j.drain()
			return
		}
		j.drain()
	}
}

// close lets what was handed over be written, takes nothing more, and waits for the end of run.
func (j *journal) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	close(j.quit)
	<-j.done
}

// drain writes what waits, and what comes meanwhile as long as some of it is urgent.
func (j *journal) drain() {
	for first := true; ; first = false {
		j.mu.Lock()
		if !first && !j.urgent && !j.closed {
			j.mu.Unlock()
			return // the bell was rung for what is left
		}
		batch := j.waiting
		j.waiting, j.urgent = nil, false
		j.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for len(batch) > 0 {
			n, size := 0, 0
			for n < len(batch) && size < j.s.cfg.batchBytes {
				size += recordHead + len(batch[n].meta) + len(batch[n].body)
				n++
			}
			j.write(batch[:n:n])
			batch = batch[n:]
		}
	}
}

// write puts one batch on the disk and answers it. When there is no room for all, what settles mail goes before what is new.
func (j *journal) write(batch []*change) {
	err := j.s.room()
	if err == nil {
		err = j.append(batch)
	}
	if err != nil && noSpace(err) {
		batch = refuse(batch, queue.ErrNoSpace)
		if err = nil; len(batch) > 0 {
			err = j.append(batch)
		}
		if err != nil && noSpace(err) && j.s.reserve.release() {
			err = j.append(batch)
		}
		j.s.reserve.release()
	}
	if noSpace(err) {
		err = queue.ErrNoSpace
	}
	for _, c := range batch {
		c.done <- err
	}
}

// refuse answers the new mail in batch with err and gives back the rest.
func refuse(batch []*change, err error) []*change {
	var rest []*change
	for _, c := range batch {
		if c.kind == kindPut || c.kind == kindLarge || c.kind == kindMove || c.kind == kindProbe {
			c.done <- err
		} else {
			rest = append(rest, c)
		}
	}
	return rest
}

// append writes and syncs one batch, and makes it visible. After an error nothing of it is in the journal.
func (j *journal) append(batch []*change) error {
	if err := j.s.Broken(); err != nil {
		return err
	}
	if j.end >= j.limit || j.s.reserve.tight.Load() && j.wasteful() {
		j.rotate()
	}
	j.buf = j.buf[:0]
	for _, c := range batch {
		if c.kind.inline() {
			at := j.end + int64(len(j.buf)) + recordHead + int64(len(c.meta))
			c.now.body = location{where: inSegment, seg: j.number, off: at, n: int64(len(c.body)), crc: c.crc}
		}
		j.buf = appendRecord(j.buf, c.head(j.end), j.number, j.s.salt, c.meta, c.body)
	}
	if err := j.put(j.buf); err != nil {
		return j.undo(err)
	}
	j.end += int64(len(j.buf))
	if cap(j.buf) > 1<<20 {
		j.buf = nil // one burst is no reason to keep megabytes
	}
	j.s.apply(batch, j.number, j.end)
	return nil
}

// put writes b at the end of the active segment and syncs it.
func (j *journal) put(b []byte) error {
	if end := j.end + int64(len(b)); end > j.filled && len(b) < manyBytes {
		if _, err := j.active.WriteAt(j.zeros, j.filled); err == nil {
			j.filled += int64(len(j.zeros))
		} else if !noSpace(err) {
			return err
		}
	}
	if _, err := j.active.WriteAt(b, j.end); err != nil {
		return err
	}
	j.filled = max(j.filled, j.end+int64(len(b)))
	begun := time.Now()
	err := j.active.Sync()
	j.syncs.Observe(time.Since(begun))
	return err
}

// undo takes a write that failed with err back. If that cannot be done, or the disk was not just full, the store is broken:
// a sync that failed once says nothing of the disk when it succeeds the next time. After a full disk it does: what was not
// synced is cut off, and the next sync is of new bytes and of the cut.
func (j *journal) undo(err error) error {
	undone := j.active.Truncate(j.end)
	j.filled = j.end
	if noSpace(err) && undone == nil {
		return err
	}
	return j.s.fail(fmt.Errorf("write %s: %w", j.s.segmentPath(j.number), errors.Join(err, undone)))
}

// rotate begins a new segment. Where none can be made now, the old one grows on.
func (j *journal) rotate() {
	f, err := j.s.createSegment(j.number + 1)
	if err != nil {
		j.limit = j.end + j.s.cfg.SegmentBytes/8
		j.s.log.Warn("segment not begun, the last one grows on", "path", j.s.segmentPath(j.number+1), "err", err)
		return
	}
	j.seal()
	j.begin(f, j.number+1, segmentHead)
	j.s.sealed(j.number, j.end)
}

// wasteful reports whether the active segment holds so little that is needed that a new one would soon free space. Without
// that, a disk no larger than a segment would stay full of mail that was delivered long ago.
func (j *journal) wasteful() bool {
	j.s.mu.Lock()
	defer j.s.mu.Unlock()
	return j.end > zerosAhead && j.s.live[j.number] < j.end/4
}

// prod makes the journal write something, which nobody waits for.
func (j *journal) prod() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.waiting, j.urgent = append(j.waiting, &change{kind: kindProbe, done: make(chan error, 1)}), true
		signal(j.kick)
	}
}

// seal gives up the zeros behind the end of the active segment and closes it.
func (j *journal) seal() {
	if err := errors.Join(j.active.Truncate(j.end), j.active.Close()); err != nil {
		j.s.log.Warn("segment not closed cleanly", "path", j.s.segmentPath(j.number), "err", err)
	}
}

// Broken is why nothing can be changed any more, wrapping queue.ErrBroken, or nil.
func (s *Store) Broken() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// fail makes err the reason why the store takes no changes any more.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("%w: %w", queue.ErrBroken, err)
	if s.broken.CompareAndSwap(nil, &err) {
		s.log.Error("the queue's disk failed", "path", s.dir, "err", err,
			"remedy", "mend the disk or the directory, then restart; accepted mail is read back from what is on it")
	}
	return s.Broken()
}

// Check proves that the store can be written, by writing and syncing a record that says nothing. It does so at most once a
// second; between, it reports what became of the last write.
func (s *Store) Check() error {
	if err := s.Broken(); err != nil {
		return err
	}
	s.mu.Lock()
	recent := !s.written.IsZero() && time.Since(s.written) < time.Second
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return queue.ErrClosed
	}
	if err := s.reserve.restore(); err != nil {
		return err
	}
	if recent {
		return nil
	}
	return s.journal.submit(&change{kind: kindProbe})
}

// openActive begins appending at off of segment n, which is there already.
func (j *journal) openActive(n uint32, off int64) error {
	path := j.s.segmentPath(n)
	f, err := j.s.cfg.disk.open(path, os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	// What a crash left unsynced counts as accepted from now on, so it must be on the disk; and a crash may have come before
	// the head was.
	err = f.Truncate(off)
	if err == nil {
		_, err = f.WriteAt(headOf(n, j.s.salt), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open the journal %s: %w", path, err), f.Close())
	}
	j.begin(f, n, off)
	return nil
}

func (j *journal) begin(f file, n uint32, off int64) {
	j.active, j.number, j.end, j.filled, j.limit = f, n, off, off, j.s.cfg.SegmentBytes
}
