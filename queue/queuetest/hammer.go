package queuetest

import (
	"sync"
	"testing"

	"dinkymail/queue"
)

// Many at once accept, claim, defer, finish and list. At the end everything that was accepted is
// finished, once.
func hammer(t *testing.T, open Open) {
	dir := t.TempDir()
	s, shut := open(t, dir)
	const submitters, each = 6, 50
	var accepting, working sync.WaitGroup
	accepted := make(chan struct{})
	for range submitters {
		accepting.Go(func() {
			for i := range each {
				m := Message("bob")
				m.Legs[0].Tries = 0
				put(t, s, m, string(make([]byte, i*100)))
			}
		})
	}
	var mu sync.Mutex
	finished := map[queue.ID]bool{}
	for range 4 {
		working.Go(func() {
			for {
				done := false
				select {
				case <-accepted:
					done = true
				default:
				}
				claims, err := s.Claim(Lane, 5)
				if err != nil {
					t.Errorf("Claim: %v", err)
					return
				}
				if len(claims) == 0 && done {
					return
				}
				for _, c := range claims {
					work(t, s, c, &mu, finished)
				}
			}
		})
	}
	accepting.Wait()
	close(accepted)
	working.Wait()
	for range 2 {
		st := s.Stats()
		expect(t, "stats", st, queue.Stats{Finished: submitters * each})
		expect(t, "listed", pages(t, s, queue.Filter{}, 64), sorted(finished))
		s, shut = reopen(t, open, dir, shut)
	}
	shut()
}

// work does to a claimed message what a queue does: every other one is deferred once.
func work(t *testing.T, s queue.Store, c queue.Claim, mu *sync.Mutex, finished map[queue.ID]bool) {
	m := begin(t, s, c)
	if n := len(body(t, s, m.ID)); int64(n) != m.Size {
		t.Errorf("%s: body of %d bytes, size %d", m.ID, n, m.Size)
	}
	if m.Tries() == 0 && m.ID[15]%2 == 0 {
		settle(t, s, c, func(m *queue.Message) { m.Legs[0].Tries++ })
		return
	}
	mu.Lock()
	if finished[m.ID] {
		t.Errorf("%s claimed after it was finished", m.ID)
	}
	finished[m.ID] = true
	mu.Unlock()
	settle(t, s, c, finish)
}
