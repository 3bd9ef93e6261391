package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// What next hops say of our account, login or limit when they may mean one sender, recipient or
// text.
var (
	noLogin = queue.Result{Code: 530, Status: "5.7.0", Text: "log in (advice)", Remote: "mx.example.net:587",
		Stage: "rcpt", Pause: queue.PauseCredentials}
	noRate = queue.Result{Code: 450, Text: "rate limit", Remote: "mx.example.net:587", Stage: "rcpt",
		Pause: queue.PauseQuota}
	noQuota = queue.Result{Code: 550, Status: "5.4.5", Text: "daily limit", Remote: "mx.example.net:587",
		Stage: "body", Pause: queue.PauseQuota}
	noService = queue.Result{Code: 421, Text: "not now", Remote: "mx.example.net:587", Stage: "mail",
		Pause: queue.PauseUnreachable}
	tooBusy = queue.Result{Code: 421, Text: "slow down", Remote: "mx.example.net:587", Stage: "mail",
		Pause: queue.PauseBusy}
)

// own is what such a reply is if it is about the message alone.
func own(r queue.Result) queue.Result {
	r.Text, _, _ = strings.Cut(r.Text, " (")
	if r.Pause = queue.NoPause; r.Code/100 == 5 {
		r.Outcome = queue.Failed
	}
	return r
}

// doubt answers r to a recipient, or with i < 0 to all, and says that it may be about the message
// alone.
func doubt(d queue.Delivery, i int, r queue.Result) queue.Result {
	for n := range d.Envelope.To {
		if i < 0 || n == i {
			d.Own(n, own(r))
		}
	}
	return r
}

// inDoubt is whether a reply may be about the message alone.
func inDoubt(r queue.Result) bool {
	return r.Pause != queue.NoPause && r.Stage != "" && r.Stage != "connect"
}

func alwaysDoubt(r queue.Result) func(context.Context, queue.Delivery, int) queue.Result {
	return func(_ context.Context, d queue.Delivery, _ int) queue.Result { return doubt(d, -1, r) }
}

// bad answers r to mail from or to anybody called bad, and takes the rest, each after a moment.
func bad(r queue.Result) func(context.Context, queue.Delivery, int) queue.Result {
	return func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		<-time.After(10 * time.Millisecond)
		if d.Envelope.From.Local == "bad" || d.Envelope.To[0].Local == "bad" {
			return doubt(d, -1, r)
		}
		return delivered
	}
}

func fromTo(t testing.TB, sender string, to ...string) queue.Submission {
	t.Helper()
	s := letter(t, to...)
	s.Envelope.From = address(t, sender)
	return s
}

// A reply that names our account is the mail's own when the next hop takes another one right after:
// 5xx fails it, 4xx counts as an attempt of it, with the reply it had and without another delivery;
// the lane never waits.
func TestReplyIsTheMailsOwn(t *testing.T) {
	for name, r := range map[string]queue.Result{"530": noLogin, "450": noRate, "550": noQuota, "421": noService} {
		t.Run(name, func(t *testing.T) {
			h := &hop{answer: bad(r)}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				id := g.send(letter(t, "bad@example.net"))
				others := []queue.ID{}
				for range 8 {
					others = append(others, g.send(letter(t, "bob@example.net")))
				}
				pass(100 * time.Millisecond)
				for _, other := range others {
					g.wantState(other, queue.StateDelivered, "")
				}
				m := g.record(id)
				want := queue.StateDeferred
				if r.Code/100 == 5 {
					want = queue.StateFailed
				}
				if m.State() != want || m.Tries() != 1 || len(h.of(id)) != 1 || m.Results[0].Text != own(r).Text ||
					m.Results[0].Code != r.Code || m.Results[0].Pause != queue.NoPause {
					t.Errorf("%s after %d tries and %d deliveries: %+v", m.State(), m.Tries(), len(h.of(id)), m.Results[0])
				}
				g.wantLog(0, "lane waits")
				g.wantLog(1, "reply is the message's own", string(id))
			})
		})
	}
}

// What was found to be a message's own is so at its next attempts too, whether others are there or
// not.
func TestReplyIsItsOwnAgain(t *testing.T) {
	h := &hop{answer: bad(noRate)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bad@example.net"))
		pass(time.Second)
		g.send(letter(t, "bob@example.net"))
		pass(10 * time.Second)
		stops := len(g.log.lines("lane waits"))
		pass(2 * time.Hour)
		if m := g.record(id); m.Tries() < 6 || len(g.log.lines("lane waits")) != stops {
			t.Errorf("%d tries, the lane was stopped %d times more", m.Tries(), len(g.log.lines("lane waits"))-stops)
		}
	})
}

// An outage ends all doubt: nobody is probed more often than the lane allows.
func TestOutageEndsDoubt(t *testing.T) {
	h := &hop{answer: alwaysDoubt(noLogin)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		g.send(letter(t, "bob@example.net"))
		h.set(func(h *hop) { h.answer = always(silent) })
		pass(5 * time.Minute)
		before := len(h.seen())
		for n := range 120 {
			g.send(fromTo(t, fmt.Sprintf("a%d@example.com", n), fmt.Sprintf("b@%d.example", n)))
			pass(time.Second)
		}
		if n := len(h.seen()) - before; n > 4 {
			t.Errorf("%d probes within two minutes", n)
		}
		h.set(func(h *hop) { h.answer = nil })
		pass(time.Minute)
		if n := g.Status().Delivered; n != 121 {
			t.Errorf("%d delivered", n)
		}
	})
}

// A message that an operator changes while it is the probe does not stop the probing.
func TestOperatorDuringProbe(t *testing.T) {
	h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		<-time.After(10 * time.Second)
		return doubt(d, -1, noQuota)
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		pass(75 * time.Second) // in the first probe
		if err := errors.Join(g.Hold(id, ""), g.Release(id), g.Retry(id)); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		h.set(func(h *hop) { h.answer = nil })
		pass(20 * time.Minute)
		g.wantState(id, queue.StateDelivered, "")
	})
}

// When the next one is told the same, or there is none, the lane waits, the mail stays uncounted,
// and the reason says whose reply it was.
func TestReplyIsTheLanes(t *testing.T) {
	for name, r := range map[string]queue.Result{"530": noLogin, "450": noRate, "550": noQuota, "421": noService} {
		for others := range 3 {
			t.Run(fmt.Sprint(name, " ", others), func(t *testing.T) {
				h := &hop{answer: alwaysDoubt(r)}
				bubble(t, h, settings(), func(t *testing.T, g *rig) {
					ids := []queue.ID{g.send(letter(t, "bob@example.net"))}
					for n := range others {
						ids = append(ids, g.send(fromTo(t, fmt.Sprintf("eve%d@example.com", n), "carol@example.org")))
					}
					pass(500 * time.Millisecond)
					for _, id := range ids {
						g.wantState(id, queue.StateQueued, "said of message ")
						if m := g.record(id); m.Tries() != 0 || len(m.History) != 0 {
							t.Errorf("record %+v", m)
						}
					}
					// Mail that comes when the first is already refused is not tried, and of what
					// is there before one or all are.
					if n := len(h.seen()); n < 1 || n > len(ids) {
						t.Errorf("%d attempts", n)
					}
					g.wantLog(1, "lane waits", r.Pause.String())
					pass(time.Hour)
					if n := len(h.seen()); n > 80 {
						t.Errorf("%d attempts within an hour", n)
					}
					h.set(func(h *hop) { h.answer = nil })
					pass(15 * time.Minute)
					for _, id := range ids {
						g.wantState(id, queue.StateDelivered, "")
						if m := g.record(id); m.Tries() != 1 {
							t.Errorf("%d tries", m.Tries())
						}
					}
				})
			})
		}
	}
}

// Of two that were refused for a limit neither fails for it because the other is taken when the
// limit has just ended.
func TestLimitThatEndsFailsNeither(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 10 * time.Minute, time.Hour, time.Hour + time.Second/2, time.Hour + 2*time.Second, time.Hour + time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			h := &hop{answer: alwaysDoubt(noQuota)}
			cfg := settings()
			cfg.Workers = 1
			bubble(t, h, cfg, func(t *testing.T, g *rig) {
				if err := g.Pause("upstream", "", "ada"); err != nil {
					t.Fatal(err)
				}
				ids := []queue.ID{g.send(letter(t, "bob@example.net")), g.send(fromTo(t, "eve@example.com", "carol@example.org"))}
				if err := g.Resume("upstream"); err != nil {
					t.Fatal(err)
				}
				pass(after)
				h.set(func(h *hop) { h.answer = nil })
				pass(30 * time.Minute)
				for _, id := range ids {
					g.wantState(id, queue.StateDelivered, "")
				}
			})
		})
	}
}

// The next probe is from another sender if one waits, else to another domain, however many of the
// same sender wait.
func TestProbeIsAnother(t *testing.T) {
	for _, c := range []struct{ name, from, to string }{
		{"another sender", "eve@example.com", "dave@example.net"},
		{"another domain", "ada@example.com", "carol@example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &hop{down: errors.New("wait"), answer: func(_ context.Context, d queue.Delivery, n int) queue.Result {
				<-time.After(10 * time.Millisecond)
				if d.Envelope.From.Local == "eve" || d.Envelope.To[0].Local == "carol" {
					return delivered
				}
				return doubt(d, -1, noLogin)
			}}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				g.send(fromTo(t, "ada@example.com", "bob@example.net"))
				for range 30 {
					g.send(fromTo(t, "ada@example.com", "bob@example.net"))
				}
				id := g.send(fromTo(t, c.from, c.to))
				h.set(func(h *hop) { h.down = nil })
				g.Wake()
				pass(60 * time.Millisecond)
				g.wantState(id, queue.StateDelivered, "")
			})
		})
	}
}

// Mail that comes while the lane waits for the sake of one message is tried at once, and when it
// gets through the other's reply was its own, said anew if it is old.
func TestMailThatComesLaterShowsIt(t *testing.T) {
	for _, after := range []time.Duration{5 * time.Second, 10 * time.Minute} {
		h := &hop{answer: bad(noLogin)}
		bubble(t, h, settings(), func(t *testing.T, g *rig) {
			id := g.send(letter(t, "bad@example.net"))
			pass(after)
			g.wantState(id, queue.StateQueued, "530 5.7.0 log in")
			tries := len(h.of(id))
			other := g.send(letter(t, "bob@example.org"))
			pass(2 * time.Second)
			g.wantState(other, queue.StateDelivered, "")
			g.wantState(id, queue.StateFailed, "")
			if n := len(h.of(id)) - tries; n > 1 || n == 1 && after < 30*time.Second {
				t.Errorf("%d more attempts", n)
			}
			if l := g.Status().Lanes[0]; l.State != queue.LaneFlowing {
				t.Errorf("lane %+v", l)
			}
		})
	}
}

// A limit that is over fails nobody who was told of it, whoever gets through first.
func TestEndOfALimitFailsNobody(t *testing.T) {
	var over time.Time
	h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		if time.Now().Before(over) {
			return doubt(d, -1, noQuota)
		}
		return delivered
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		over = time.Now().Add(59 * time.Minute)
		var ids []queue.ID
		for n := range 90 {
			ids = append(ids, g.send(fromTo(t, fmt.Sprintf("%c@example.com", 'a'+n%5), fmt.Sprintf("x@%c.example", 'a'+n%7))))
			pass(time.Minute)
		}
		pass(10 * time.Minute)
		for _, id := range ids {
			g.wantState(id, queue.StateDelivered, "")
		}
	})
}

// A next hop that takes so many a minute and says 550 to more delays mail and fails none, be it
// from one sender or several.
func TestLimitPerMinuteFailsNobody(t *testing.T) {
	for _, senders := range []int{1, 3} {
		minute, n := time.Time{}, 0
		var mu sync.Mutex
		h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
			<-time.After(50 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now().Truncate(time.Minute); !now.Equal(minute) {
				minute, n = now, 0
			}
			if n++; n > 20 {
				return doubt(d, -1, noQuota)
			}
			return delivered
		}}
		bubble(t, h, settings(), func(t *testing.T, g *rig) {
			var ids []queue.ID
			for n := range 200 {
				ids = append(ids, g.send(fromTo(t, fmt.Sprintf("%c@example.com", 'a'+n%senders), fmt.Sprintf("x@%c.example", 'a'+n%senders))))
			}
			pass(2 * time.Hour)
			for _, id := range ids {
				g.wantState(id, queue.StateDelivered, "")
			}
			if tries := len(h.seen()); tries > 200+60 {
				t.Errorf("%d attempts", tries)
			}
		})
	}
}

// A hundred messages of one sender that are refused so among good mail of others neither stop the
// lane nor are tried in a loop.
func TestHundredBadOnesAmongGood(t *testing.T) {
	for name, r := range map[string]queue.Result{"530": noLogin, "450": noRate, "550": noQuota, "421": noService, "busy": tooBusy} {
		t.Run(name, func(t *testing.T) {
			h := &hop{answer: bad(r), down: errors.New("wait")}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				var good, foul []queue.ID
				for n := range 100 {
					foul = append(foul, g.send(fromTo(t, "bad@example.com", fmt.Sprintf("x@%d.example", n))))
					for m := range 3 {
						good = append(good, g.send(fromTo(t, fmt.Sprintf("%c@example.com", 'a'+m), fmt.Sprintf("x@%d.example", n))))
					}
				}
				h.set(func(h *hop) { h.down = nil })
				g.Wake()
				pass(30 * time.Second)
				for _, id := range good {
					g.wantState(id, queue.StateDelivered, "")
				}
				settled := 0
				for _, id := range foul {
					if m := g.record(id); m.Tries() > 0 {
						settled++
					}
				}
				if settled < 80 {
					t.Errorf("%d of 100 counted", settled)
				}
				pass(30 * time.Second)
				tries := slices.DeleteFunc(h.seen(), func(y try) bool { return y.from != "bad@example.com" })
				if n := len(tries); n > 100*6 {
					t.Errorf("%d attempts within a minute", n)
				}
				t.Logf("%d counted, %d attempts, %v", settled, len(tries), h.seen()[len(h.seen())-1].at.Sub(h.seen()[0].at))
			})
		})
	}
}

// Recipients of one message show it of each other at once, but for a limit that may have been
// reached after the last who was taken.
func TestRecipientsShowItOfEachOther(t *testing.T) {
	for _, c := range []struct {
		results []queue.Result
		want    []queue.Outcome
	}{
		{[]queue.Result{delivered, noLogin}, []queue.Outcome{queue.Delivered, queue.Failed}},
		{[]queue.Result{noLogin, delivered}, []queue.Outcome{queue.Failed, queue.Delivered}},
		{[]queue.Result{delivered, noRate}, []queue.Outcome{queue.Delivered, queue.Deferred}},
		{[]queue.Result{noQuota, delivered}, []queue.Outcome{queue.Failed, queue.Delivered}},
		{[]queue.Result{delivered, noQuota}, []queue.Outcome{queue.Delivered, queue.Deferred}},
		{[]queue.Result{refused, noLogin}, []queue.Outcome{queue.Failed, queue.Deferred}},
	} {
		h := &hop{each: func(d queue.Delivery, _ int) []queue.Result {
			if d.Envelope.From.IsNull() {
				return []queue.Result{delivered}
			}
			for i, r := range c.results {
				if inDoubt(r) {
					doubt(d, i, r)
				}
			}
			return slices.Clone(c.results)
		}}
		bubble(t, h, settings(), func(t *testing.T, g *rig) {
			id := g.send(letter(t, "a@example.net", "b@example.net"))
			m := g.record(id)
			for i, want := range c.want {
				if m.Results[i].Outcome != want || m.Results[i].Pause != queue.NoPause {
					t.Errorf("%v: got %+v, want %v", c.results, m.Results[i], want)
				}
			}
			if m.Tries() != 1 {
				t.Errorf("%d tries", m.Tries())
			}
			g.wantLog(0, "lane waits")
		})
	}
}

// What an operator does to a message in doubt holds: it can be held, removed, retried, and a change
// of settings asks anew.
func TestOperatorAndDoubt(t *testing.T) {
	for name, do := range map[string]func(g *rig, id queue.ID) error{
		"hold":   func(g *rig, id queue.ID) error { return g.Hold(id, "look") },
		"remove": func(g *rig, id queue.ID) error { return g.Remove(id, time.Now()) },
		"retry":  func(g *rig, id queue.ID) error { return g.Retry(id) },
		"bounce": func(g *rig, id queue.ID) error { return g.Bounce(id, "") },
		"wake":   func(g *rig, id queue.ID) error { g.Wake(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := &hop{answer: bad(noQuota)}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				id := g.send(letter(t, "bad@example.net"))
				pass(100 * time.Millisecond)
				before := len(h.of(id))
				if err := do(g, id); err != nil {
					t.Fatal(err)
				}
				pass(2 * time.Second)
				m, again := g.record(id), len(h.of(id))-before
				if want := map[bool]int{true: 1}[name == "retry" || name == "wake"]; again != want {
					t.Errorf("%d more attempts, want %d", again, want)
				}
				if name == "hold" || name == "remove" || name == "bounce" {
					pass(5 * time.Minute)
					if l := g.Status().Lanes[0]; l.State != queue.LaneFlowing {
						t.Errorf("the lane waits for nobody: %+v", l)
					}
				}
				other := g.send(letter(t, "bob@example.org"))
				pass(2 * time.Second)
				g.wantState(other, queue.StateDelivered, "")
				m = g.record(id)
				want := map[string]queue.State{"hold": queue.StateHeld, "remove": queue.StateRemoved}[name]
				if want == "" {
					want = queue.StateFailed
				}
				if m.State() != want {
					t.Errorf("%s, want %s", m.State(), want)
				}
			})
		})
	}
}

// A message in doubt fails when its lifetime is over on the waiting lane, and a restart just tries
// it again.
func TestDoubtEnds(t *testing.T) {
	dir, h, cfg := t.TempDir(), &hop{answer: bad(noQuota)}, settings()
	cfg.Lifetime = 2 * time.Hour
	var id queue.ID
	synctest.Test(t, func(t *testing.T) {
		s, shut := openStore(t, dir)
		g := run(t, s, h, cfg)
		id = g.send(letter(t, "bad@example.net"))
		pass(time.Second)
		g.stop()
		shut()
	})
	bubbleIn(t, dir, h, cfg, func(t *testing.T, g *rig) {
		pass(time.Second)
		g.wantState(id, queue.StateQueued, "daily limit")
		if n := len(h.of(id)); n != 2 {
			t.Errorf("%d attempts, want one after the restart", n)
		}
		pass(2*time.Hour + 2*time.Minute)
		m := g.record(id)
		if m.State() != queue.StateFailed || m.Results[0].Status != "4.4.7" {
			t.Errorf("%+v", m.Results)
		}
	})
}

// With very many of one sender waiting, those of another are found, and all get through in time.
func TestOneBadAmongVeryMany(t *testing.T) {
	h := &hop{answer: bad(noRate), down: errors.New("wait")}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bad@example.net"))
		for range 1000 {
			if _, err := g.Submit(context.Background(), letter(t, "bob@example.net")); err != nil {
				t.Fatal(err)
			}
		}
		h.set(func(h *hop) { h.down = nil })
		g.Wake()
		pass(50 * time.Second)
		if m := g.record(id); m.Tries() != 1 || g.Status().Delivered != 1000 {
			t.Errorf("%d tries, %d delivered", m.Tries(), g.Status().Delivered)
		}
		g.wantLog(0, "lane waits", "quota")
	})
}
