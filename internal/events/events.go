// Package events tells those who watch what happens, without those who do it ever waiting.
//
// # What it promises
//
// Publish never blocks and costs one atomic read while nobody watches. Every watcher gets the
// events in the order in which they were published, each at most once.
//
// # Limits
//
// A watcher who is too slow misses events: what does not fit into its buffer is dropped, and nobody
// says so.
//
// # Who runs where
//
// All methods may be called from any goroutine. A Hub has no goroutine of its own.
package events

import (
	"context"
	"sync"
	"sync/atomic"
)

// Hub passes events of one type on to all who watch. The zero value is ready to use.
type Hub[T any] struct {
	watched atomic.Int32 // how many watch

	mu       sync.Mutex // guards what follows, and sending on the channels against closing them
	watchers map[chan T]struct{}
}

// Watched reports whether anybody watches: whether it is worth while to make an event.
func (h *Hub[T]) Watched() bool { return h.watched.Load() > 0 }

// Publish gives e to everybody who watches and has room for it.
func (h *Hub[T]) Publish(e T) {
	if !h.Watched() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		select {
		case w <- e:
		default:
		}
	}
}

// Watch gives the events from now on, until ctx ends; then the channel is closed. It holds at most
// room events that were not taken yet.
func (h *Hub[T]) Watch(ctx context.Context, room int) <-chan T {
	w := make(chan T, room)
	h.mu.Lock()
	if h.watchers == nil {
		h.watchers = make(map[chan T]struct{})
	}
	h.watchers[w] = struct{}{}
	h.watched.Add(1)
	h.mu.Unlock()
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, w)
		h.watched.Add(-1)
		close(w)
	})
	return w
}
