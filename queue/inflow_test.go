package queue_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// flood has clients hand in messages to a queue that runs, each of them the next one a millisecond
// after the answer to the last. It returns how long each Submit took and when all were accepted.
func flood(t *testing.T, g *rig, clients, each int) (waits []time.Duration, took time.Duration) {
	t.Helper()
	var (
		mu   sync.Mutex
		all  sync.WaitGroup
		from = time.Now()
	)
	for range clients {
		all.Go(func() {
			for range each {
				begin := time.Now()
				_, err := g.Submit(context.Background(), letter(t, "bob@example.net"))
				mu.Lock()
				waits = append(waits, time.Since(begin))
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				<-time.After(time.Millisecond)
			}
		})
	}
	all.Wait()
	return waits, time.Since(from)
}

// ways is how long each message took from its acceptance until it was finished, sorted.
func (g *rig) ways() []time.Duration {
	g.t.Helper()
	done, err := g.List(context.Background(), queue.Filter{Finished: true}, "", 100_000)
	if err != nil {
		g.t.Fatal(err)
	}
	var ways []time.Duration
	for _, m := range done {
		ways = append(ways, m.Finished.Sub(m.Accepted))
	}
	slices.Sort(ways)
	return ways
}

// Clients that could hand in mail five times as fast as a quick next hop takes it do not run ahead
// of it: each message is through in a moment, nobody waits long for an answer, and the next hop
// never stands idle.
func TestQuickUpstreamIsNotRunAheadOf(t *testing.T) {
	u := steady(2 * time.Millisecond)
	pump(t, u, 0, 10, func(t *testing.T, g *rig) {
		const clients, each = 25, 80
		waits, took := flood(t, g, clients, each)
		pass(time.Second)
		ways := g.ways()
		if n := len(ways); n != clients*each {
			t.Fatalf("%d of %d delivered", n, clients*each)
		}
		if typical, longest := ways[len(ways)/2], ways[len(ways)-1]; typical > 20*time.Millisecond || longest > 60*time.Millisecond {
			t.Errorf("the way through takes %v, at most %v", typical, longest)
		}
		if longest := slices.Max(waits); longest > 10*time.Millisecond {
			t.Errorf("an answer took %v", longest)
		}
		if ideal := clients * each * 2 * time.Millisecond / 10; took > ideal*11/10 {
			t.Errorf("took %v, the next hop alone would take %v", took, ideal)
		}
	})
}

// A next hop that is slow keeps no client waiting, and neither does one that does not answer, mail
// of long ago, or the end of the client's patience.
func TestSlowUpstreamHoldsUpNoClient(t *testing.T) {
	for name, u := range map[string]*upstream{"slow": steady(50 * time.Millisecond), "stuck": steady(time.Hour), "busy": {}} {
		t.Run(name, func(t *testing.T) {
			if name == "busy" {
				u.slow, u.last = func(int) time.Duration { return 0 }, map[string]int{}
			}
			pump(t, u, 0, 10, func(t *testing.T, g *rig) {
				waits, _ := flood(t, g, 20, 100)
				if longest := slices.Max(waits); longest > 0 {
					t.Errorf("an answer took %v", longest)
				}
				u.set(func(u *upstream) { u.takes, u.slow = 1000, func(int) time.Duration { return time.Millisecond } })
			})
		})
	}
	t.Run("long held", func(t *testing.T) {
		h := &hop{answer: always(silent)}
		bubble(t, h, settings(), func(t *testing.T, g *rig) {
			for range 2000 {
				g.send(letter(t, "bob@example.net"))
			}
			pass(time.Hour)
			h.set(func(h *hop) {
				h.answer = func(context.Context, queue.Delivery, int) queue.Result {
					<-time.After(time.Millisecond)
					return delivered
				}
			})
			g.Wake()
			pass(20 * time.Millisecond)
			begin := time.Now()
			if _, err := g.Submit(context.Background(), letter(t, "bob@example.net")); err != nil || time.Since(begin) > 0 {
				t.Errorf("an answer took %v: %v", time.Since(begin), err)
			}
		})
	})
}

// Whoever gives up waiting has handed in the mail all the same.
func TestHeldBackAnswerEndsWithItsContext(t *testing.T) {
	u := steady(2 * time.Millisecond)
	pump(t, u, 0, 10, func(t *testing.T, g *rig) {
		ctx, cancel := context.WithCancel(context.Background())
		var clients sync.WaitGroup
		for range 400 {
			clients.Go(func() {
				<-time.After(20 * time.Millisecond)
				if _, err := g.Submit(context.Background(), letter(t, "bob@example.net")); err != nil {
					t.Error(err)
				}
			})
		}
		pass(50 * time.Millisecond)
		begin := time.Now()
		go func() { <-time.After(500 * time.Microsecond); cancel() }()
		if _, err := g.Submit(ctx, letter(t, "bob@example.net")); err != nil || time.Since(begin) != 500*time.Microsecond {
			t.Errorf("an answer took %v: %v", time.Since(begin), err)
		}
		clients.Wait()
		synctest.Wait()
	})
}
