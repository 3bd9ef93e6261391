package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"dinkymail/queue"
)

// waits are the times between one attempt and the next.
func waits(tries []try) []time.Duration {
	var w []time.Duration
	for i := 1; i < len(tries); i++ {
		w = append(w, tries[i].at.Sub(tries[i-1].at))
	}
	return w
}

// An upstream that does not answer is probed after 1 s, 2 s, 4 s … 1 min with one message at a
// time; no message's attempts are spent, and all of them flow at once when it answers.
func TestUnreachableUpstreamIsProbed(t *testing.T) {
	h := &hop{answer: always(silent)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		ids := []queue.ID{g.send(letter(t, "bob@example.net"))}
		for range 30 {
			ids = append(ids, g.send(letter(t, "bob@example.net")))
		}
		g.wantState(ids[30], queue.StateQueued, "connection refused")
		pass(4 * time.Minute)
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
		got := waits(h.seen())
		if len(got) < len(want) {
			t.Fatalf("probes after %v", got)
		}
		for i := range want {
			if got[i] != want[i]*time.Second {
				t.Errorf("probes after %v", got)
				break
			}
		}
		l := g.Status().Lanes[0]
		if l.State != queue.LaneWaiting || l.Kind != "unreachable" || l.NextProbe.IsZero() || l.Since.IsZero() {
			t.Errorf("lane: %+v", l)
		}
		h.set(func(h *hop) { h.answer, h.tries = nil, nil })
		pass(time.Minute)
		tries := h.seen()
		if len(tries) != len(ids) || tries[len(tries)-1].at.Sub(tries[0].at) != 0 {
			t.Errorf("%d attempts within %v", len(tries), tries[len(tries)-1].at.Sub(tries[0].at))
		}
		for _, id := range ids {
			g.wantState(id, queue.StateDelivered, "")
			if m := g.record(id); m.Tries() != 1 || len(m.History) != 1 {
				t.Errorf("%d tries, history %+v", m.Tries(), m.History)
			}
		}
		if l := g.Status().Lanes[0]; l.State != queue.LaneFlowing || l.Reason != "" {
			t.Errorf("lane: %+v", l)
		}
		g.wantLog(1, "level=WARN", "lane waits", "unreachable", "connection refused")
		g.wantLog(1, "level=INFO", "lane flows again", "waited=")
	})
}

// Once an attempt heard that nobody answers, those that wait for a worker are not begun.
func TestWaitingLaneTakesBackWhatIsNotBegun(t *testing.T) {
	h := &hop{down: errors.New("not yet"), answer: func(context.Context, queue.Delivery, int) queue.Result {
		<-time.After(30 * time.Second)
		return silent
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		for range 20 {
			g.send(letter(t, "bob@example.net"))
		}
		h.set(func(h *hop) { h.down = nil })
		g.Wake()
		pass(30*time.Second + 500*time.Millisecond)
		if n := len(h.seen()); n != 4 {
			t.Errorf("%d attempts, want one per worker", n)
		}
		pass(time.Second)
		if n := len(h.seen()); n != 5 {
			t.Errorf("%d attempts, want one probe more", n)
		}
		h.set(func(h *hop) { h.answer = nil })
	})
}

// Refused credentials and a used up quota fail no mail: the lane waits 1 min, doubling to 15, and
// begins anew on Wake.
func TestCredentialsAndQuotaPause(t *testing.T) {
	for _, p := range []queue.Pause{queue.PauseCredentials, queue.PauseQuota} {
		t.Run(p.String(), func(t *testing.T) {
			no := queue.Result{Code: 535, Status: "5.7.8", Text: "no", Remote: "mx.example.net:587", Stage: "auth", Pause: p}
			h := &hop{answer: always(no)}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				id := g.send(letter(t, "bob@example.net"))
				pass(46 * time.Minute)
				got := waits(h.seen())
				want := []time.Duration{1, 2, 4, 8, 15, 15}
				if len(got) != len(want) {
					t.Fatalf("probes after %v", got)
				}
				for i := range want {
					if got[i] != want[i]*time.Minute {
						t.Errorf("probes after %v", got)
						break
					}
				}
				g.wantState(id, queue.StateQueued, "535 5.7.8 no")
				if l := g.Status().Lanes[0]; l.Kind != p.String() {
					t.Errorf("lane: %+v", l)
				}
				g.wantLog(1, "level=WARN", "lane waits")
				h.set(func(h *hop) { h.answer = nil })
				g.Wake()
				pass(0)
				g.wantState(id, queue.StateDelivered, "")
			})
		})
	}
}

// New settings are tried at once, though a probe with the old ones is still under way and fails
// afterwards.
func TestWakeDoesNotWaitForOldProbe(t *testing.T) {
	h := &hop{answer: always(silent)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		first := g.send(letter(t, "bob@example.net"))
		second := g.send(letter(t, "bob@example.net"))
		h.set(func(h *hop) {
			h.answer = func(context.Context, queue.Delivery, int) queue.Result {
				<-time.After(30 * time.Second)
				return silent
			}
		})
		pass(time.Second)
		h.set(func(h *hop) { h.answer = nil })
		g.Wake()
		pass(0)
		a, b := g.record(first), g.record(second)
		if a.Finished.IsZero() == b.Finished.IsZero() {
			t.Error("want one delivered and one in the old probe")
		}
		pass(30 * time.Second)
		g.wantState(first, queue.StateDelivered, "")
		g.wantState(second, queue.StateDelivered, "")
		g.wantLog(1, "lane waits")
	})
}

// A Deliverer that cannot deliver at all is not asked to; mail waits with its reason and flows on
// Wake.
func TestNotConfigured(t *testing.T) {
	h := &hop{down: errors.New("no upstream configured")}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		pass(time.Hour)
		g.wantState(id, queue.StateQueued, "no upstream configured")
		if l := g.Status().Lanes[0]; l.State != queue.LaneWaiting || l.Kind != "not configured" || len(h.seen()) != 0 {
			t.Errorf("lane %+v after %d attempts", l, len(h.seen()))
		}
		h.set(func(h *hop) { h.down = nil })
		g.Wake()
		pass(0)
		g.wantState(id, queue.StateDelivered, "")
		g.wantLog(1, "lane waits", "no upstream configured")
	})
}

// No message can keep the lane waiting by itself: the next probe is another one.
func TestProbesTakeTurns(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, _ int) []queue.Result {
		if d.Envelope.To[0].Local == "poison" {
			return []queue.Result{silent}
		}
		return []queue.Result{delivered}
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		g.send(letter(t, "poison@example.net"))
		id := g.send(letter(t, "bob@example.net"))
		pass(4 * time.Second)
		g.wantState(id, queue.StateDelivered, "")
	})
}

// When an attempt settles some recipients and the lane stops the others, the first are written and
// the others are not charged.
func TestPauseAmidRecipients(t *testing.T) {
	quota := queue.Result{Code: 452, Status: "4.5.3", Text: "quota", Remote: "mx.example.net:587", Pause: queue.PauseQuota}
	h := &hop{each: func(d queue.Delivery, _ int) []queue.Result {
		if len(d.Envelope.To) == 2 {
			return []queue.Result{delivered, quota}
		}
		return []queue.Result{delivered}
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "a@example.net", "b@example.net"))
		g.wantState(id, queue.StateQueued, "quota")
		if m := g.record(id); m.Tries() != 0 || m.Results[0].Outcome != queue.Delivered || m.Results[1] != (queue.Result{}) {
			t.Errorf("record %+v", m)
		}
		pass(time.Minute)
		g.wantState(id, queue.StateDelivered, "")
		if tries := h.of(id); len(tries) != 2 || tries[1].to[0] != "b@example.net" {
			t.Errorf("attempts: %+v", tries)
		}
	})
}

// Mail on a waiting lane fails when its lifetime is over, with the lane's reason in the bounce;
// younger mail stays.
func TestLifetimeEndsOnWaitingLane(t *testing.T) {
	h := &hop{answer: always(queue.Result{Text: "no route", Pause: queue.PauseUnreachable})}
	cfg := settings()
	cfg.Lifetime = 2 * time.Hour
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		old := g.send(letter(t, "bob@example.net"))
		pass(time.Hour)
		young := g.send(letter(t, "bob@example.net"))
		pass(time.Hour + 2*time.Minute)
		g.wantState(old, queue.StateFailed, "")
		if m := g.record(old); m.Results[0].Status != "4.4.7" || m.Tries() != 0 {
			t.Errorf("record: %+v", m)
		}
		g.wantState(young, queue.StateQueued, "no route")
		h.set(func(h *hop) { h.answer = nil })
		pass(time.Minute)
		if n := h.notices(); len(n) == 0 || n[len(n)-1].to[0] != "ada@example.com" {
			t.Errorf("notices: %+v", n)
		}
		g.wantState(young, queue.StateDelivered, "")
	})
}

// However many messages outlive their lifetime on a waiting lane, all of them fail and every sender
// is told.
func TestManyLifetimesEndAtOnce(t *testing.T) {
	h := &hop{down: errors.New("no upstream configured")}
	cfg := settings()
	cfg.Lifetime = time.Hour
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		const many = 250
		for range many {
			g.send(letter(t, "bob@example.net"))
		}
		pass(time.Hour + 2*time.Minute)
		s := g.Status()
		if s.Failed != many || s.Bounces != many || s.Store.Waiting != many || len(h.seen()) != 0 {
			t.Errorf("%d failed, %d bounces, %d wait, %d attempts", s.Failed, s.Bounces, s.Store.Waiting, len(h.seen()))
		}
	})
}
