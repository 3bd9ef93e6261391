package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Reserve is a file whose only use is its size. When the disk is full it is deleted, which leaves
// room for what must be recorded of the past; nothing new is taken until there is room for the file
// again. Its methods may be called from any goroutine.
type Reserve struct {
	path    string
	size    int64
	noSpace error
	tell    func(full bool)
	again   func()

	mu    sync.Mutex
	tight atomic.Bool // it was given up
	tried time.Time   // when it was last tried to have it back
}

// NewReserve returns a reserve that has no space yet. tell is called when it is given up and when
// it is had back, again when it cannot be had back yet: then the owner may be able to free some.
func NewReserve(path string, size int64, noSpace error, tell func(full bool), again func()) *Reserve {
	return &Reserve{path: path, size: size, noSpace: noSpace, tell: tell, again: again}
}

// Make takes the space, unless an earlier process left it.
func (r *Reserve) Make() error {
	if st, err := os.Stat(r.path); err == nil && st.Size() == r.size {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(allocate(f, r.size), f.Close()); err != nil {
		return errors.Join(err, os.Remove(r.path))
	}
	return nil
}

// Tight reports whether the space was given up and is not there again.
func (r *Reserve) Tight() bool { return r.tight.Load() }

// Release gives the space up. It reports whether there was any to give.
func (r *Reserve) Release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tight.Swap(true) {
		r.tell(true)
	}
	r.tried = time.Now()
	return os.Remove(r.path) == nil
}

// Restore takes the space back if it was given up and is there again, looking at most once a
// second. It returns the error for a full disk while it is not.
func (r *Reserve) Restore() error {
	if !r.tight.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.tight.Load() {
		return nil
	}
	if time.Since(r.tried) < time.Second {
		return r.noSpace
	}
	r.tried = time.Now()
	if err := r.Make(); err != nil {
		r.again()
		if NoSpace(err) {
			return r.noSpace
		}
		return fmt.Errorf("%w: %w", r.noSpace, err)
	}
	r.tight.Store(false)
	r.tell(false)
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
