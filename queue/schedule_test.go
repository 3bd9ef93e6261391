package queue_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"dinkymail/queue"
)

// A message is tried by the table, the last wait repeating, until its lifetime is over; then it
// fails with 4.4.7 and the sender is told the last reply. The history keeps the first attempt and
// the latest.
func TestRetryTableAndLifetime(t *testing.T) {
	h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		if d.Envelope.From.IsNull() {
			return delivered
		}
		return later
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		begin := time.Now()
		id := g.send(letter(t, "bob@example.net"))
		g.wantState(id, queue.StateDeferred, "")
		pass(5*24*time.Hour + time.Minute)
		m := time.Minute
		table := []time.Duration{m, 2 * m, 5 * m, 10 * m, 20 * m, 40 * m, time.Hour}
		tries := h.of(id)
		for i := 1; i < len(tries)-1; i++ {
			want := table[min(i, len(table))-1]
			if got := tries[i].at.Sub(tries[i-1].at); got < want*9/10 || got > want*11/10 {
				t.Errorf("attempt %d came after %v, want %v ±10 %%", i+1, got, want)
			}
		}
		if got := tries[len(tries)-1].at.Sub(begin); got != 5*24*time.Hour {
			t.Errorf("last attempt after %v, want 120h", got)
		}
		g.wantState(id, queue.StateFailed, "")
		r := g.record(id)
		if got := r.Results[0]; got.Status != "4.4.7" || !strings.Contains(got.Text, "451 4.3.0 try later") {
			t.Errorf("final result %+v", got)
		}
		if len(r.History) != queue.MaxHistory || !r.History[0].At.Equal(begin) || r.Tries() != len(tries) {
			t.Errorf("%d attempts in the history, the first at %v, %d tries", len(r.History), r.History[0].At, r.Tries())
		}
		n := h.notices()
		if len(n) != 1 || n[0].to[0] != "ada@example.com" || !strings.Contains(n[0].body, "try later") ||
			!strings.Contains(n[0].body, "4.4.7") {
			t.Errorf("notices: %+v", n)
		}
	})
}

// Each recipient is settled by itself: a refused address fails alone, and only the deferred one is
// tried again.
func TestOneRefusedAddress(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, n int) []queue.Result {
		if n == 1 && len(d.Envelope.To) == 3 {
			return []queue.Result{delivered, refused, later}
		}
		return []queue.Result{delivered}
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "a@example.net", "b@example.net", "c@example.net"))
		pass(2 * time.Minute)
		tries := h.of(id)
		if len(tries) != 2 || strings.Join(tries[1].to, " ") != "c@example.net" {
			t.Fatalf("attempts: %+v", tries)
		}
		g.wantState(id, queue.StatePartial, "")
		m := g.record(id)
		var got []string
		for _, r := range m.Results {
			got = append(got, r.Outcome.String())
		}
		if strings.Join(got, " ") != "delivered failed delivered" {
			t.Errorf("results: %v", got)
		}
		if len(m.History) != 2 || len(m.History[0].Answers) != 3 || m.History[1].Answers[0].To[0] != 2 {
			t.Errorf("history: %+v", m.History)
		}
		if n := h.notices(); len(n) != 1 || !strings.Contains(n[0].body, "b@example.net") ||
			strings.Contains(n[0].body, "c@example.net") {
			t.Errorf("notices: %+v", n)
		}
		if s := g.Status(); s.Delivered != 3 || s.Failed != 1 || s.Deferred != 1 || s.Bounces != 1 || s.Submitted != 1 {
			t.Errorf("counters: %+v", s)
		}
		g.wantLog(2, "msg=attempt", string(id), "outcome=delivered")
		g.wantLog(1, "msg=attempt", string(id), "n=1", "outcome=deferred", "rcpt=c@example.net", "code=451", "next=")
	})
}

// Recipients that were answered alike share an answer in the history and a line in the log.
func TestAnswersAreGrouped(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, _ int) []queue.Result {
		return []queue.Result{delivered, later, delivered, later}[:len(d.Envelope.To)]
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "a@example.net", "b@example.net", "c@example.net", "d@example.net"))
		a := g.record(id).History[0].Answers
		if len(a) != 2 || len(a[0].To) != 2 || a[0].To[1] != 2 || a[1].To[0] != 1 || a[1].To[1] != 3 {
			t.Errorf("answers: %+v", a)
		}
		g.wantLog(2, "msg=attempt", string(id), "rcpts=2")
	})
}

// Mail with NotBefore waits, and its lifetime counts from there, also on a waiting lane.
func TestNotBefore(t *testing.T) {
	h := &hop{answer: always(later)}
	cfg := settings()
	cfg.Lifetime = time.Hour
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		begin := time.Now()
		s := letter(t, "bob@example.net")
		s.NotBefore = begin.Add(24 * time.Hour)
		id := g.send(s)
		h.set(func(h *hop) { h.answer = always(silent) })
		g.send(letter(t, "other@example.net")) // stops the lane, so that the sweep looks around
		pass(3 * time.Hour)
		h.set(func(h *hop) { h.answer = always(later) })
		pass(21*time.Hour + time.Second)
		tries := h.of(id)
		if len(tries) != 1 || tries[0].at.Sub(begin) != 24*time.Hour {
			t.Fatalf("attempts: %+v", tries)
		}
		g.wantState(id, queue.StateDeferred, "")
		pass(2 * time.Minute)
		if len(h.of(id)) != 2 {
			t.Error("no second attempt")
		}
		pass(time.Hour)
		g.wantState(id, queue.StateFailed, "")
	})
}

// A Deliverer that panics or forgets a recipient delays mail and loses nothing.
func TestDelivererMisbehaves(t *testing.T) {
	h := &hop{each: func(_ queue.Delivery, n int) []queue.Result {
		switch n {
		case 1:
			panic("oh")
		case 2:
			return nil
		default:
			return []queue.Result{delivered, delivered}
		}
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "a@example.net"))
		g.wantState(id, queue.StateDeferred, "")
		g.wantLog(1, "level=ERROR", "attempt panicked", string(id))
		pass(5 * time.Minute)
		g.wantState(id, queue.StateDelivered, "")
	})
}
