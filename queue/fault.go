package queue

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// fault is what stops delivery for the store's sake: results that could not be written yet, or a
// store that said ErrBroken.
type fault struct {
	on atomic.Bool // delivery stops; read by every attempt

	mu        sync.Mutex // guards what follows
	unwritten int        // results that wait to be written again
	reason    error      // of the latest of them
	broken    error      // the store is broken until a restart
}

// begin notes a result that could not be written, and reports whether it is the first.
func (f *fault) begin(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unwritten++
	f.reason = err
	f.on.Store(true)
	return f.unwritten == 1
}

// end notes that such a result is written, or given up, and reports whether it was the last.
func (f *fault) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unwritten--
	if f.unwritten == 0 {
		f.reason = nil
	}
	f.on.Store(f.unwritten > 0 || f.broken != nil)
	return f.unwritten == 0
}

// forGood notes a store that will not work again before a restart.
func (f *fault) forGood(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
	f.on.Store(true)
}

// err is why nothing is delivered, or nil.
func (f *fault) err() error {
	if !f.on.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.broken != nil:
		return f.broken
	case f.unwritten > 0:
		return fmt.Errorf("delivery stands still: %d results cannot be written to the queue's disk: %w", f.unwritten, f.reason)
	default:
		return nil
	}
}
