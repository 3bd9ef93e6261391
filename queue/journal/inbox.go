package journal

import "sync"

// inbox is what waits to be written.
type inbox[R Record] struct {
	mu      sync.Mutex
	waiting []R
	urgent  bool // somebody in waiting waits for an answer
	closed  bool
	kick    chan struct{} // capacity 1: there is something urgent
	lazy    chan struct{} // capacity 1: there is something
}

// lazyMost records do not wait for Config.Settle any more.
const lazyMost = 32

// put adds records and rings; false when the inbox is closed.
func (in *inbox[R]) put(urgent bool, records ...R) bool {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return false
	}
	in.waiting = append(in.waiting, records...)
	in.urgent = in.urgent || urgent || len(in.waiting) >= lazyMost
	bell := in.lazy
	if in.urgent {
		bell = in.kick
	}
	in.mu.Unlock()
	select {
	case bell <- struct{}{}:
	default:
	}
	return true
}

// take gives out all that waits, or nothing if more is set and none of it is urgent: then the bell
// was rung for it.
func (in *inbox[R]) take(more bool) []R {
	in.mu.Lock()
	defer in.mu.Unlock()
	if more && !in.urgent && !in.closed {
		return nil
	}
	batch := in.waiting
	in.waiting, in.urgent = nil, false
	return batch
}

func (in *inbox[R]) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}
