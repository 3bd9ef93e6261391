package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// When the clock steps back, as it does when a wrong one is set right, mail that was deferred
// before keeps the time that was set for it, is tried then, and is not given up for it. What comes
// in afterwards does not wait for it.
func TestClockStepsBack(t *testing.T) {
	dir, month := t.TempDir(), 30*24*time.Hour
	h := &hop{answer: always(later)}
	var old queue.ID
	synctest.Test(t, func(t *testing.T) {
		pass(month)
		s, _ := openStore(t, dir)
		old = run(t, s, h, settings()).send(letter(t, "bob@example.net"))
	})
	h.set(func(h *hop) { h.answer = nil })
	bubbleIn(t, dir, h, settings(), func(t *testing.T, g *rig) { // which begins a month earlier
		fresh := g.send(letter(t, "eve@example.net"))
		g.wantState(fresh, queue.StateDelivered, "")
		if m := g.record(old); m.State() != queue.StateDeferred || !m.NextAttempt().After(time.Now().Add(month)) {
			t.Errorf("%s, next attempt %v", m.State(), m.NextAttempt())
		}
		pass(month + time.Hour)
		g.wantState(old, queue.StateDelivered, "")
		if n := len(h.notices()); n != 0 {
			t.Errorf("%d bounces", n)
		}
	})
}

// When the clock leaps ahead, beyond the lifetime of what waits, each message is tried once more
// before it is given up: what the next hop takes is delivered, and of the rest the sender is told.
func TestClockLeapsAhead(t *testing.T) {
	dir := t.TempDir()
	h := &hop{answer: always(later)}
	var good, bad queue.ID
	bubbleIn(t, dir, h, settings(), func(t *testing.T, g *rig) {
		good, bad = g.send(letter(t, "bob@example.net")), g.send(letter(t, "gone@example.net"))
	})
	h.set(func(h *hop) {
		h.answer = func(_ context.Context, d queue.Delivery, _ int) queue.Result {
			if d.ID == bad {
				return later
			}
			return delivered
		}
	})
	synctest.Test(t, func(t *testing.T) {
		pass(10 * 365 * 24 * time.Hour)
		s, _ := openStore(t, dir)
		g := run(t, s, h, settings())
		pass(time.Second)
		g.wantState(good, queue.StateDelivered, "")
		if m := g.record(bad); m.State() != queue.StateFailed || m.Results[0].Status != "4.4.7" || len(h.of(bad)) != 2 {
			t.Errorf("%s, %+v after %d attempts", m.State(), m.Results[0], len(h.of(bad)))
		}
		if n := len(h.notices()); n != 1 {
			t.Errorf("%d bounces, want 1", n)
		}
	})
}
