package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/queue"
)

// reserve is a file whose only use is its size. When the disk is full it is deleted, which leaves room to record what became
// of mail already accepted; new mail is refused until there is room for the file again.
type reserve struct {
	s     *Store
	mu    sync.Mutex
	tight atomic.Bool // it was given up
	tried time.Time   // when it was last tried to have it back
}

func (r *reserve) path() string { return filepath.Join(r.s.dir, "reserve") }

// make takes the space, at Open.
func (r *reserve) make() error {
	if st, err := os.Stat(r.path()); err == nil && st.Size() == r.s.cfg.ReserveBytes {
		return nil
	}
	f, err := os.OpenFile(r.path(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(allocate(f, r.s.cfg.ReserveBytes), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(r.path()))
	}
	return nil
}

// release gives the space up. It reports whether there was any to give.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tight.Swap(true) {
		r.s.log.Error("no space left for mail", "path", r.s.dir,
			"remedy", "free space on this disk; mail is taken again by itself then")
	}
	r.tried = time.Now()
	return os.Remove(r.path()) == nil
}

// restore takes the space back if it was given up and is there again, looking at most once a second. It returns
// queue.ErrNoSpace while it is not.
func (r *reserve) restore() error {
	if !r.tight.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tight.Load() {
		return nil
	}
	if time.Since(r.tried) < time.Second {
		return queue.ErrNoSpace
	}
	r.tried = time.Now()
	if err := r.make(); err != nil {
		r.s.journal.prod() // it may give up a segment that is full of the past
		if noSpace(err) {
			return queue.ErrNoSpace
		}
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	}
	r.tight.Store(false)
	r.s.log.Info("space for mail again", "path", r.s.dir)
	return nil
}

// fill writes zeros where space cannot be had otherwise.
func fill(f *os.File, size int64) error {
	zeros := make([]byte, 64<<10)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}
