package events

import (
	"context"
	"sync"
	"testing"
)

// Every watcher gets what is published while it watches, in order; one with no room misses the rest
// and holds up nobody.
func TestHub(t *testing.T) {
	var h Hub[int]
	h.Publish(0)
	ctx, cancel := context.WithCancel(t.Context())
	roomy, tight := h.Watch(ctx, 10), h.Watch(ctx, 2)
	if !h.Watched() {
		t.Error("nobody watches")
	}
	for i := range 5 {
		h.Publish(i + 1)
	}
	cancel()
	for watcher, want := range map[<-chan int]int{roomy: 5, tight: 2} {
		n := 0
		for e := range watcher {
			if n++; e != n {
				t.Errorf("event %d came as number %d", e, n)
			}
		}
		if n != want {
			t.Errorf("%d events, want %d", n, want)
		}
	}
	if h.Watched() {
		t.Error("somebody still watches")
	}
}

// Watchers come and go while others publish.
func TestHubUnderLoad(t *testing.T) {
	var h Hub[int]
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1000 {
				h.Publish(i)
			}
		})
		all.Go(func() {
			for range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				w := h.Watch(ctx, 1)
				cancel()
				for range w {
					_ = h.Watched()
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkUnwatched is what an event costs that nobody sees.
func BenchmarkUnwatched(b *testing.B) {
	var h Hub[[8]string]
	for b.Loop() {
		if h.Watched() {
			h.Publish([8]string{})
		}
	}
}
