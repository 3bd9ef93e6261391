package boltstore

import (
	"bytes"
	"sync"

	"dinkymail/queue"
)

// warmMost bounds the memory of bodies kept for their first reading.
const warmMost = 2 << 20

// warm keeps bodies that just came for whoever delivers them, mostly within milliseconds, so that
// they need not be read back from the journal. Each is given out once. All that nobody asked for
// goes with the next flush of the index.
type warm struct {
	mu     sync.Mutex
	bodies map[queue.ID]*[]byte
	size   int
}

// keep takes over the memory of a body; false when there is no room for it.
func (w *warm) keep(id queue.ID, body []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.size+cap(body) > warmMost {
		return false
	}
	if w.bodies == nil {
		w.bodies = make(map[queue.ID]*[]byte)
	}
	w.bodies[id], w.size = &body, w.size+cap(body)
	return true
}

// take gives out a body that is kept, whose memory is then the caller's, or nil.
func (w *warm) take(id queue.ID) *[]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	body := w.bodies[id]
	if body != nil {
		delete(w.bodies, id)
		w.size -= cap(*body)
	}
	return body
}

// drop forgets all bodies.
func (w *warm) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies, w.size = nil, 0
}

// warmBody is a body from memory, which goes to the next one when it is closed.
type warmBody struct {
	*bytes.Reader
	memory *[]byte
}

func newWarmBody(memory *[]byte) *warmBody { return &warmBody{bytes.NewReader(*memory), memory} }

func (b *warmBody) Close() error {
	if b.memory != nil {
		recycle(b.memory)
		b.Reader, b.memory = bytes.NewReader(nil), nil
	}
	return nil
}

// recycle keeps memory for the next body.
func recycle(b *[]byte) {
	*b = (*b)[:0]
	if cap(*b) > pooled {
		wide.Put(b)
	} else {
		buffers.Put(b)
	}
}
