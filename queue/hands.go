package queue

import (
	"sync"
	"time"
)

// patience is how long an operator's change waits for an attempt that goes on.
const patience = 5 * time.Second

// hands says which messages somebody is at work on who must not be disturbed: a worker, from the beginning of an attempt until its
// result is written, or an operator's change of the recipients.
type hands struct {
	mu sync.Mutex
	of map[ID]hand
}

// hand is on one message.
type hand struct {
	attempt bool
	free    chan struct{} // closed when the message is let go; nil while nobody waits for that
}

// take waits until nobody else has the message, and takes it. It gives up, and returns false, once something comes from enough;
// a nil channel never does.
func (h *hands) take(id ID, attempt bool, enough <-chan time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		other, taken := h.of[id]
		if !taken {
			h.of[id] = hand{attempt: attempt}
			return true
		}
		if other.free == nil {
			other.free = make(chan struct{})
			h.of[id] = other
		}
		h.mu.Unlock()
		late := false
		select {
		case <-other.free:
		case <-enough:
			late = true
		}
		h.mu.Lock()
		if late {
			return false
		}
	}
}

// tryTake takes the message for an attempt if nobody has it.
func (h *hands) tryTake(id ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, taken := h.of[id]; taken {
		return false
	}
	h.of[id] = hand{attempt: true}
	return true
}

// let lets the message go.
func (h *hands) let(id ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if free := h.of[id].free; free != nil {
		close(free)
	}
	delete(h.of, id)
}

// attempted reports whether an attempt of the message goes on, or its result is not written yet.
func (h *hands) attempted(id ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[id].attempt
}
