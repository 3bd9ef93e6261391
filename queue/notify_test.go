package queue_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// refuseMail refuses everything but notices.
func refuseMail(_ context.Context, d queue.Delivery, _ int) queue.Result {
	if d.Envelope.From.IsNull() {
		return delivered
	}
	return refused
}

// A notice is on disk before the message it is about is finished, and all recipients that failed in
// one attempt share it.
func TestBounceBeforeFinish(t *testing.T) {
	sickBubble(t, &hop{answer: refuseMail}, settings(), func(t *testing.T, g *rig, s *sick) {
		id := g.send(letter(t, "a@example.net", "b@example.net"))
		g.wantState(id, queue.StateFailed, "")
		s.mu.Lock()
		notice, finish := slices.Index(s.calls, "put <>"), slices.Index(s.calls, "update <ada@example.com>")
		if notice < 0 || finish < notice {
			t.Errorf("order %q", s.calls)
		}
		s.mu.Unlock()
		if got := g.Status().Bounces; got != 1 {
			t.Errorf("%d bounces", got)
		}
		g.wantLog(1, "sender told", string(id), "rcpts=2")
	})
}

// The notice is an RFC 3464 report from the null sender that names the recipient, the reply and the
// original's header.
func TestBounceIsAReport(t *testing.T) {
	h := &hop{answer: refuseMail}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		s := letter(t, "bob@example.net")
		s.Envelope.ID = "order-17"
		id := g.send(s)
		n := h.notices()
		if len(n) != 1 || n[0].to[0] != "ada@example.com" {
			t.Fatalf("notices: %+v", n)
		}
		for _, want := range []string{"multipart/report", "message/delivery-status", "mailer-daemon@example.org", "order-17",
			"bob@example.net", "5.1.1", "no such user", "Subject: hello", string(n[0].id) + "@example.org", string(id)} {
			if !strings.Contains(strings.ToLower(n[0].body), strings.ToLower(want)) {
				t.Errorf("no %q in the notice:\n%s", want, n[0].body)
			}
		}
		if m := g.record(n[0].id); m.Origin.Door != "bounce" || !m.Envelope.From.IsNull() {
			t.Errorf("notice: %+v", m)
		}
	})
}

// A notice that finds no room keeps its message in the queue, also beyond its lifetime, and goes
// out once there is room.
func TestBounceFindsNoRoom(t *testing.T) {
	h := &hop{answer: refuseMail}
	cfg := settings()
	cfg.Lifetime = time.Hour
	sickBubble(t, h, cfg, func(t *testing.T, g *rig, s *sick) {
		h.set(func(h *hop) {
			h.answer = func(ctx context.Context, d queue.Delivery, n int) queue.Result {
				s.set(queue.ErrNoSpace, nil)
				return refuseMail(ctx, d, n)
			}
		})
		id := g.send(letter(t, "bob@example.net"))
		h.set(func(h *hop) { h.answer = refuseMail })
		g.wantState(id, queue.StateDeferred, "")
		pass(3 * time.Hour)
		g.wantState(id, queue.StateDeferred, "")
		if g.Status().Broken != nil {
			t.Error("want no stop of delivery")
		}
		s.set(nil, nil)
		pass(2 * time.Hour)
		g.wantState(id, queue.StateFailed, "")
		if len(h.notices()) != 1 {
			t.Errorf("notices: %+v", h.notices())
		}
	})
}

// Who is told, and who is not.
func TestWhoIsTold(t *testing.T) {
	relayed := delivered
	relayed.NoDSN = true
	for _, c := range []struct {
		name    string
		from    string
		notify  message.Notify
		notices string
		answer  queue.Result
		told    string
		log     string // a line that there must be
	}{
		{name: "the sender", from: "ada@example.com", answer: refused, told: "ada@example.com"},
		{name: "nobody for a null sender", from: "", answer: refused, log: "level=WARN"},
		{name: "nobody with NOTIFY=NEVER", from: "ada@example.com", notify: message.NotifyNever, answer: refused,
			log: "the sender wants none"},
		{name: "nobody with NOTIFY=SUCCESS", from: "ada@example.com", notify: message.NotifySuccess, answer: refused},
		{name: "the sender with NOTIFY=FAILURE", from: "ada@example.com", notify: message.NotifyFailure, answer: refused,
			told: "ada@example.com"},
		{name: "Notices for our own mail", from: "noreply@example.org", notices: "me@example.org", answer: refused,
			told: "me@example.org"},
		{name: "Notices for root", from: "root@web1", notices: "me@example.org", answer: refused, told: "me@example.org"},
		{name: "Notices for accounts here", from: "www-data@mail.example.org", notices: "me@example.org", answer: refused,
			told: "me@example.org"},
		{name: "the log without Notices", from: "noreply@example.org", answer: refused, log: "level=ERROR"},
		{name: "of relaying, when asked", from: "ada@example.com", notify: message.NotifySuccess, answer: relayed,
			told: "ada@example.com"},
		{name: "nobody of relaying otherwise", from: "ada@example.com", answer: relayed},
		{name: "nobody of a delivery that others report", from: "ada@example.com", notify: message.NotifySuccess,
			answer: delivered},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
				if d.Envelope.To[0].Local == "bob" {
					return c.answer
				}
				return delivered
			}}
			cfg := settings()
			cfg.Self, cfg.Notices = address(t, "noreply@example.org"), address(t, c.notices)
			bubble(t, h, cfg, func(t *testing.T, g *rig) {
				s := letter(t, "bob@example.net")
				s.Envelope.From, s.Envelope.To[0].Notify = address(t, c.from), c.notify
				id := g.send(s)
				if m := g.record(id); m.Results[0] != c.answer || m.Finished.IsZero() {
					t.Errorf("record: %+v", m)
				}
				told := ""
				for _, n := range h.notices() {
					if n.id != id {
						told += n.to[0]
					}
				}
				if told != c.told {
					t.Errorf("told %q, want %q", told, c.told)
				}
				if c.answer == relayed && told != "" && !strings.Contains(h.notices()[0].body, "Action: relayed") {
					t.Errorf("notice:\n%s", h.notices()[0].body)
				}
				if c.log != "" {
					g.wantLog(1, c.log, string(id))
				}
			})
		})
	}
}

// A notice that fails itself is dropped, and the log says so.
func TestNoBounceForABounce(t *testing.T) {
	h := &hop{answer: always(refused)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		pass(24 * time.Hour)
		tries := h.seen()
		if len(tries) != 2 || tries[0].id != id || tries[1].from != "" {
			t.Fatalf("attempts: %+v", tries)
		}
		g.wantState(tries[1].id, queue.StateFailed, "")
		g.wantLog(1, "level=WARN", "double bounce", string(tries[1].id))
	})
}
