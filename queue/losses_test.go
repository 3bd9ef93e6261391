package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// noNull is what a next hop says to MAIL FROM:<>.
var noNull = queue.Result{Outcome: queue.Failed, Code: 501, Status: "5.1.7", Text: "bad address syntax", Remote: "mx.example.net:25", Stage: "mail"}

// wary refuses bob, the null sender with r, and all others to whom it refuses as well.
func wary(r queue.Result, refuses ...string) func(context.Context, queue.Delivery, int) queue.Result {
	return func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		switch to := d.Envelope.To[0]; {
		case d.Envelope.From.IsNull():
			return r
		case to.Local == "bob", slices.Contains(refuses, to.Local):
			return refused
		}
		return delivered
	}
}

// ours are settings with DEFAULT_FROM and DEFAULT_TO.
func ours(t *testing.T) queue.Config {
	cfg := settings()
	cfg.Self, cfg.Notices = address(t, "noreply@example.org"), address(t, "me@example.org")
	return cfg
}

// to is what the next hop was given for somebody, without attempts from the null sender.
func (h *hop) to(local string) []try {
	return slices.DeleteFunc(h.seen(), func(y try) bool { return y.from == "" || !strings.HasPrefix(y.to[0], local+"@") })
}

// A notice whose null sender the next hop refuses, at whatever stage it says so, is sent again from
// DEFAULT_FROM, once.
func TestNullSenderRefused(t *testing.T) {
	rcpt := queue.Result{Outcome: queue.Failed, Code: 550, Text: "<>: Sender address rejected", Stage: "rcpt"}
	body := queue.Result{Outcome: queue.Failed, Code: 554, Text: "not allowed to send as MAILER-DAEMON", Stage: "body"}
	for _, r := range []queue.Result{noNull, rcpt, body} {
		h := &hop{answer: wary(r)}
		bubble(t, h, ours(t), func(t *testing.T, g *rig) {
			id := g.send(letter(t, "bob@example.net"))
			pass(48 * time.Hour)
			got := h.to("ada")
			if len(got) != 1 || got[0].from != "noreply@example.org" || len(h.notices()) != 1 || len(h.to("me")) != 0 {
				t.Fatalf("attempts %+v", h.seen())
			}
			for _, want := range []string{"Auto-Submitted: auto-replied\r\n", "From: Mail Delivery System <noreply@example.org>\r\n",
				"Final-Recipient: rfc822; bob@example.net", string(id)} {
				if strings.Count(got[0].body, want) < 1 {
					t.Errorf("no %q in\n%s", want, got[0].body)
				}
			}
			if m := g.record(got[0].id); m.Origin.Door != "bounce" || m.State() != queue.StateDelivered {
				t.Errorf("%s from door %q", m.State(), m.Origin.Door)
			}
			g.wantLog(1, "sent again from DEFAULT_FROM", "id="+string(h.notices()[0].id), "again="+string(got[0].id))
		})
	}
}

// Mail from the null sender that a client handed in gets the same, and a field that keeps machines
// from answering it.
func TestClientsNullSenderRefused(t *testing.T) {
	h := &hop{answer: wary(noNull)}
	bubble(t, h, ours(t), func(t *testing.T, g *rig) {
		s := fromTo(t, "ada@example.com", "carol@example.net", "dave@example.net")
		s.Envelope.From = address(t, "")
		g.send(s)
		got := h.to("carol")
		if len(got) != 1 || len(got[0].to) != 2 || strings.Count(got[0].body, "Auto-Submitted: auto-replied\r\n") != 1 ||
			!strings.Contains(got[0].body, "\r\nFrom: ") {
			t.Errorf("attempts %+v", h.seen())
		}
	})
}

// What reaches nobody is told to DEFAULT_TO, in one mail an hour however much it is, and makes no
// further notice.
func TestLostNoticesAreTold(t *testing.T) {
	noUser := refused
	noUser.Stage = "rcpt"
	for _, c := range []struct {
		name   string
		answer func(context.Context, queue.Delivery, int) queue.Result
		self   bool
	}{
		{"the copy is refused too", wary(noNull, "ada"), true},
		{"the sender does not exist", wary(noUser, "ada"), true},
		{"no DEFAULT_FROM", wary(noUser), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &hop{answer: c.answer}
			cfg := ours(t)
			if !c.self {
				cfg.Self = address(t, "")
				h.answer = func(ctx context.Context, d queue.Delivery, n int) queue.Result {
					if d.Envelope.To[0].Local == "me" {
						return delivered
					}
					return c.answer(ctx, d, n)
				}
			}
			bubble(t, h, cfg, func(t *testing.T, g *rig) {
				for range 60 {
					g.send(letter(t, "bob@example.net"))
				}
				pass(time.Minute)
				told := func() (all []try) {
					return slices.DeleteFunc(h.seen(), func(y try) bool { return y.to[0] != "me@example.org" })
				}
				if n := len(told()); n != 1 {
					t.Fatalf("%d mails to DEFAULT_TO", n)
				}
				for _, want := range []string{"Auto-Submitted: auto-generated", "to ada@example.com: 550 5.1.1 no such user", "and 10 more"} {
					if !strings.Contains(told()[0].body, want) {
						t.Errorf("no %q in\n%s", want, told()[0].body)
					}
				}
				g.send(letter(t, "bob@example.net"))
				pass(30 * time.Minute)
				g.send(letter(t, "bob@example.net"))
				if n := len(told()); n != 1 {
					t.Errorf("%d mails to DEFAULT_TO within the hour", n)
				}
				pass(2 * time.Hour)
				if n := len(told()); n != 2 {
					t.Errorf("%d mails to DEFAULT_TO after the hour", n)
				}
				if s := g.Status(); s.Lost != 62 || s.LostLast.IsZero() || s.Store.Waiting != 0 {
					t.Errorf("status %+v", s)
				}
				g.wantLog(62, "level=WARN", "double bounce")
				g.wantLog(2, "operator told of lost notices")
			})
		})
	}
}

// When DEFAULT_TO cannot be told either nothing goes in circles: the log and the count say it.
func TestNobodyCanBeTold(t *testing.T) {
	for _, to := range []string{"me@example.org", ""} {
		h := &hop{answer: wary(noNull, "ada", "me")}
		cfg := ours(t)
		cfg.Notices = address(t, to)
		bubble(t, h, cfg, func(t *testing.T, g *rig) {
			g.send(letter(t, "bob@example.net"))
			pass(5 * time.Hour)
			want := map[bool]int{true: 4, false: 3}[to != ""] // the mail, its notice, the copy, and what DEFAULT_TO is told
			if n := len(h.seen()); n != want {
				t.Errorf("%d attempts, want %d: %+v", n, want, h.seen())
			}
			if n := g.Status().Lost; n != uint64(want-2) {
				t.Errorf("%d lost", n)
			}
			g.wantLog(1, "level=ERROR", "nobody can be told that a notice was lost", "remedy=")
		})
	}
}

// What is not told yet when the appliance stops is told after the start, and how lately it was told
// is not forgotten.
func TestLossesOutliveARestart(t *testing.T) {
	dir, h := t.TempDir(), &hop{answer: wary(noNull, "ada")}
	synctest.Test(t, func(t *testing.T) {
		s, shut := openStore(t, dir)
		g := run(t, s, h, ours(t))
		g.send(letter(t, "bob@example.net"))
		pass(time.Second)
		g.stop()
		shut()
	})
	if n := len(h.to("me")); n != 0 {
		t.Fatalf("%d mails", n)
	}
	bubbleIn(t, dir, h, ours(t), func(t *testing.T, g *rig) {
		pass(time.Minute)
		if got := h.to("me"); len(got) != 1 || !strings.Contains(got[0].body, "before the latest restart") {
			t.Errorf("attempts %+v", got)
		}
		if g.Status().LostLast.IsZero() {
			t.Error("it is forgotten that one was lost")
		}
	})
}

// A mail about losses that finds no room is written later.
func TestLossesFindNoRoom(t *testing.T) {
	h := &hop{answer: wary(noNull, "ada")}
	sickBubble(t, h, ours(t), func(t *testing.T, g *rig, s *sick) {
		g.send(letter(t, "bob@example.net"))
		s.set(errors.New("no room"), nil)
		pass(10 * time.Second)
		s.set(nil, nil)
		pass(2 * time.Minute)
		if n := len(h.to("me")); n != 1 {
			t.Errorf("%d mails: %s", n, fmt.Sprint(h.seen()))
		}
	})
}
