package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Config has the limits of a journal and what its owner does for it.
type Config[R Record] struct {
	SegmentBytes int64         // a segment is closed at this size; at most 1 GiB, since offsets of batches have 32 bits
	BatchBytes   int           // no more is added to one sync beyond this
	Settle       time.Duration // how long lazy records wait to share a sync; negative: not at all

	Errors

	// Applied is called with records that are on the disk up to end, before their Append returns;
	// with none when a new segment was begun.
	Applied func(batch []R, end Position)
	// Room may wait until the owner can take more, or say why it cannot; that is then the answer to
	// the whole batch.
	Room func() error
	// Live is how many bytes of a segment are needed. On a full disk a segment that is mostly dead
	// is not written on.
	Live func(segment uint32) int64
	// Synced is called with how long each sync took.
	Synced func(took time.Duration)
}

// Journal appends records of type R to the last of its segments.
type Journal[R Record] struct {
	*Segments
	Reserve *Reserve
	Fault   *Fault

	cfg   Config[R]
	inbox inbox[R]
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed at the end of Run

	// Of Start, then of Run.
	tail tail
	buf  []byte
}

// New returns a journal on segments that are not written yet. It opens nothing.
func New[R Record](segments *Segments, reserve *Reserve, fault *Fault, cfg Config[R]) *Journal[R] {
	return &Journal[R]{Segments: segments, Reserve: reserve, Fault: fault, cfg: cfg, inbox: inbox[R]{kick: make(chan struct{}, 1), lazy: make(chan struct{}, 1)},
		quit: make(chan struct{}), done: make(chan struct{}), tail: tail{zeros: make([]byte, min(zerosAhead, cfg.SegmentBytes))}}
}

// Start opens the journal for writing where Replay says, and returns where it goes on. What a crash
// left unsynced counts as accepted from now on, so it is on the disk then.
func (j *Journal[R]) Start(at Position) (Position, error) {
	flag := 0
	if at.Offset == 0 {
		at.Offset, flag = SegmentHead, os.O_CREATE|os.O_TRUNC
	}
	f, err := j.begin(at.Segment, at.Offset, flag)
	if err != nil {
		return at, fmt.Errorf("open the journal: %w", err)
	}
	j.tail.begin(f, at, j.cfg.SegmentBytes)
	return at, nil
}

// Append hands records over and waits until all are on the disk, or not. The first error is
// returned: one of Config.Errors or of Config.Room. The records are the journal's until then.
func (j *Journal[R]) Append(records ...R) error {
	for _, r := range records {
		r.entry().done = make(chan error, 1)
	}
	if !j.inbox.put(slices.ContainsFunc(records, j.urgent), records...) {
		return j.cfg.Closed
	}
	var first error
	for _, r := range records {
		if err := <-r.entry().done; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Hand hands a record over that nobody waits for.
func (j *Journal[R]) Hand(r R) {
	r.entry().done = make(chan error, 1)
	j.inbox.put(true, r)
}

// urgent reports whether a record is to be written at once. A lazy one waits for a moment: others
// take it along, so that it costs no sync of its own and never keeps the next one waiting.
func (j *Journal[R]) urgent(r R) bool { return !j.format.Kinds[r.entry().Kind].Lazy }

// Run writes what is handed over until Close, and what was handed over before that.
func (j *Journal[R]) Run() {
	defer close(j.done)
	patience := time.NewTimer(time.Hour)
	defer patience.Stop()
	for {
		select {
		case <-j.inbox.kick:
		case <-j.inbox.lazy:
			patience.Reset(j.cfg.Settle)
			select {
			case <-j.inbox.kick:
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

// Close takes nothing more, waits for the end of Run, which was started before, and closes the last
// segment cleanly.
func (j *Journal[R]) Close() {
	j.inbox.close()
	close(j.quit)
	<-j.done
	j.seal()
}

// Abandon lets go of all files. It is for after Close, or instead of it where Run was never
// started.
func (j *Journal[R]) Abandon() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := range j.open {
		j.forget(n)
	}
	if j.tail.f == nil {
		return nil
	}
	return j.tail.f.Close()
}

// drain writes what waits, and what comes meanwhile as long as some of it is urgent.
func (j *Journal[R]) drain() {
	for batch := j.inbox.take(false); len(batch) > 0; batch = j.inbox.take(true) {
		for len(batch) > 0 {
			n, size := 0, 0
			for n < len(batch) && size < j.cfg.BatchBytes {
				size += batch[n].entry().bytes()
				n++
			}
			j.write(batch[:n:n])
			batch = batch[n:]
		}
	}
}

// write puts one batch on the disk and answers it. When there is no room for all, what is essential
// goes before the rest.
func (j *Journal[R]) write(batch []R) {
	err := j.cfg.Room()
	if err == nil {
		err = j.append(batch)
	}
	if j.full(err) {
		batch = j.refuse(batch)
		if err = nil; len(batch) > 0 {
			err = j.append(batch)
		}
		if j.full(err) && j.Reserve.Release() {
			err = j.append(batch)
		}
		j.Reserve.Release()
	}
	if j.full(err) {
		err = j.cfg.NoSpace
	}
	for _, r := range batch {
		r.entry().done <- err
	}
}

// full reports whether err passes with a full disk.
func (j *Journal[R]) full(err error) bool { return NoSpace(err) && j.Fault.Err() == nil }

// refuse answers all in batch that is not essential, and gives back the rest.
func (j *Journal[R]) refuse(batch []R) (rest []R) {
	for _, r := range batch {
		if e := r.entry(); j.format.Kinds[e.Kind].Essential {
			rest = append(rest, r)
		} else {
			e.done <- j.cfg.NoSpace
		}
	}
	return rest
}

// append writes and syncs one batch, and hands it to the owner. After an error nothing of it is in
// the journal.
func (j *Journal[R]) append(batch []R) error {
	if err := j.Fault.Err(); err != nil {
		return err
	}
	if j.tail.at.Offset >= j.tail.limit || j.Reserve.Tight() && j.wasteful() {
		j.rotate()
	}
	at := j.tail.at
	j.buf = j.buf[:0]
	for _, r := range batch {
		e := r.entry()
		e.At = Position{at.Segment, at.Offset + int64(len(j.buf)) + RecordHead + int64(len(e.Meta))}
		j.buf = j.format.AppendRecord(j.buf, at.Segment, j.Salt, at.Offset, e)
	}
	if err := j.sync(); err != nil {
		return j.undo(err)
	}
	j.tail.at.Offset += int64(len(j.buf))
	if cap(j.buf) > 1<<20 {
		j.buf = nil // one burst is no reason to keep megabytes
	}
	j.cfg.Applied(batch, j.tail.at)
	return nil
}

// sync writes what is in buf and syncs it.
func (j *Journal[R]) sync() error {
	if err := j.tail.write(j.buf); err != nil {
		return err
	}
	begun := time.Now()
	err := j.tail.f.Sync()
	j.cfg.Synced(time.Since(begun))
	return err
}

// undo takes a write that failed with err back. If that cannot be done, or the disk was not just
// full, the journal is broken: a sync that failed once says nothing of the disk when it succeeds
// the next time. After a full disk it does: what was not synced is cut off, and the next sync is of
// new bytes and of the cut.
func (j *Journal[R]) undo(err error) error {
	undone := j.tail.undo()
	if NoSpace(err) && undone == nil {
		return err
	}
	return j.Fault.Set(fmt.Errorf("write %s: %w", j.Path(j.tail.at.Segment), errors.Join(err, undone)))
}

// rotate begins a new segment. Where none can be made now, the old one grows on.
func (j *Journal[R]) rotate() {
	next := Position{j.tail.at.Segment + 1, SegmentHead}
	f, err := j.begin(next.Segment, next.Offset, os.O_CREATE|os.O_TRUNC)
	if err != nil {
		j.tail.limit = j.tail.at.Offset + j.cfg.SegmentBytes/8
		j.log.Warn("segment not begun, the last one grows on", "path", j.Path(next.Segment), "err", err)
		return
	}
	j.seal()
	j.tail.begin(f, next, j.cfg.SegmentBytes)
	j.cfg.Applied(nil, next)
}

// wasteful reports whether the segment being written holds so little that is needed that a new one
// would soon free space. Without that, a disk no larger than a segment would stay full of what is
// long dead.
func (j *Journal[R]) wasteful() bool {
	end := j.tail.at.Offset
	return end > zerosAhead && j.cfg.Live(j.tail.at.Segment) < end/4
}

func (j *Journal[R]) seal() {
	if err := j.tail.seal(); err != nil {
		j.log.Warn("segment not closed cleanly", "path", j.Path(j.tail.at.Segment), "err", err)
	}
}
