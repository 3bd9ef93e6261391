package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/memstore"
)

// upstream is a next hop that takes time for an answer and so many messages at a time.
type upstream struct {
	mu    sync.Mutex
	takes int                       // at a time
	slow  func(n int) time.Duration // what an answer takes with n at a time
	stray func() *queue.Result      // what it says instead of taking the message; nil: it takes it
	now   int                       // messages being handed over
	tries int
	done  int
	last  map[string]int // how many were done when a sender's latest was
}

var tooMany = queue.Result{Code: 421, Status: "4.7.0", Text: "too many connections", Remote: "mx.example.net:587",
	Stage: "greeting", Pause: queue.PauseBusy}

var notNow = queue.Result{Code: 421, Status: "4.7.0", Text: "try again later", Remote: "mx.example.net:587", Stage: "rcpt"}

// steady answers in the same time, however much it has to do.
func steady(d time.Duration) *upstream {
	return &upstream{takes: 1000, slow: func(int) time.Duration { return d }, last: map[string]int{}}
}

func (u *upstream) set(change func(*upstream)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(u)
}

// seen is how many attempts there were, and how many deliveries.
func (u *upstream) seen() (tries, done int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tries, u.done
}

func (u *upstream) Ready() error { return nil }

func (u *upstream) Deliver(_ context.Context, d queue.Delivery) []queue.Result {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tries++
	if u.now >= u.takes {
		return []queue.Result{tooMany}
	}
	u.now++
	wait := time.After(u.slow(u.now))
	u.mu.Unlock()
	<-wait
	u.mu.Lock()
	u.now--
	if u.stray != nil {
		if r := u.stray(); r != nil {
			return []queue.Result{*r}
		}
	}
	u.done++
	u.last[d.Envelope.From.Local] = u.done
	return []queue.Result{delivered}
}

// from is a letter from a sender.
func from(t testing.TB, sender string) queue.Submission {
	m := letter(t, "bob@example.net")
	m.Envelope.From.Local = sender
	return m
}

// pump runs test while a queue hands n messages of the sender "bulk" to u over so many connections.
func pump(t *testing.T, u *upstream, n, connections int, test func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		cfg := settings()
		cfg.Workers = connections
		g := &rig{Queue: queue.New(s, queue.One(u), cfg, quiet()), t: t, store: s}
		var clients sync.WaitGroup
		for i := range 200 {
			clients.Go(func() {
				for k := i; k < n; k += 200 {
					if _, err := g.Submit(context.Background(), from(t, "bulk")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		test(t, g)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// width checks how many messages may be handed over at a time.
func (g *rig) width(what string, least, most int) {
	g.t.Helper()
	l := g.Status().Lanes[0]
	if l.Concurrency < least || l.Concurrency > most || l.State != queue.LaneFlowing {
		g.t.Errorf("%s: %+v, want a concurrency of %d to %d", what, l, least, most)
	}
}

// One sender with very many messages due does not keep a contact form's waiting for as much as a
// second, be the next hop quick or slow: the form's goes as soon as a connection is free, but for
// the few messages that are at hand already.
func TestMailingDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	for _, slow := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 450 * time.Millisecond} {
		t.Run(slow.String(), func(t *testing.T) {
			many := 20_000
			if testing.Short() {
				many = 4000
			}
			u := steady(slow)
			pump(t, u, many, 10, func(t *testing.T, g *rig) {
				for i := range 5 {
					pass(3*slow + time.Duration(i)*time.Millisecond)
					_, before := u.seen()
					id, err := g.Submit(context.Background(), from(t, "form"))
					if err != nil {
						t.Fatal(err)
					}
					pass(time.Second)
					g.wantState(id, queue.StateDelivered, "")
					u.set(func(u *upstream) {
						if n := u.last["form"] - before; n > 40 {
							t.Errorf("%d others were delivered first", n)
						}
					})
				}
				if st := g.Status().Store; st.Waiting == 0 {
					t.Error("the mailing is at its end: this shows nothing")
				}
			})
		})
	}
}

// A next hop that is quick gets all connections at once.
func TestConcurrencyGrowsAtOnce(t *testing.T) {
	u := steady(time.Millisecond)
	pump(t, u, 4000, 50, func(t *testing.T, g *rig) {
		g.width("at first", 4, 4)
		pass(10 * time.Millisecond)
		g.width("after ten answers' time", 50, 50)
	})
}

// Another Config.Workers takes effect while mail flows, be it more or fewer, and Run still comes to
// its end.
func TestConcurrencyFollowsTheSettings(t *testing.T) {
	u := steady(10 * time.Millisecond)
	pump(t, u, 4000, 5, func(t *testing.T, g *rig) {
		pass(100 * time.Millisecond)
		g.width("at first", 5, 5)
		use := func(workers int) {
			cfg := settings()
			cfg.Workers = workers
			g.Use(cfg)
		}
		use(20)
		pass(300 * time.Millisecond)
		g.width("more", 20, 20)
		use(2)
		pass(300 * time.Millisecond)
		g.width("fewer", 2, 2)
		u.set(func(u *upstream) {
			if u.now > 2 {
				t.Errorf("%d attempts at a time, want 2", u.now)
			}
		})
		use(3)
		pass(300 * time.Millisecond)
		g.width("one more", 3, 3)
	})
}

// Without more to do than the connections can take there is no need for more of them.
func TestConcurrencyWaitsForWork(t *testing.T) {
	u := steady(10 * time.Millisecond)
	pump(t, u, 0, 10, func(t *testing.T, g *rig) {
		for range 50 {
			g.send(from(t, "form"))
			pass(10 * time.Millisecond)
		}
		g.width("one client", 4, 4)
	})
}

// A next hop that takes long for every answer is no busy one: all connections are used, and twice
// as many take twice as much.
func TestSlowUpstreamUsesAllConnections(t *testing.T) {
	rate := func(connections int) (done int) {
		u := steady(150 * time.Millisecond)
		pump(t, u, 4000, connections, func(t *testing.T, g *rig) {
			pass(2 * time.Second)
			g.width("after two seconds", connections, connections)
			_, before := u.seen()
			pass(15 * time.Second)
			_, done = u.seen()
			done -= before
		})
		return done
	}
	if few, many := rate(10), rate(30); few < 900 || many < 2700 {
		t.Errorf("%d and %d messages in 100 answers' time over 10 and 30 connections", few, many)
	}
}

// A next hop that allows fewer connections is soon asked for no more than it allows, is seldom
// asked again, and no message suffers. When it allows more it gets more.
func TestConcurrencyBacksOffWhenTold(t *testing.T) {
	u := steady(10 * time.Millisecond)
	u.takes = 3
	pump(t, u, 20_000, 10, func(t *testing.T, g *rig) {
		pass(time.Second)
		g.width("after a second", 1, 3)
		pass(29 * time.Second)
		tries, done := u.seen()
		if refused := tries - done; refused > 40 || done < 3000 {
			t.Errorf("%d refused, %d delivered in half a minute", refused, done)
		}
		g.width("after half a minute", 1, 3)
		if d := g.Status(); d.Deferred != 0 || d.Failed != 0 {
			t.Errorf("%+v", d)
		}
		u.set(func(u *upstream) { u.takes = 1000; u.slow = func(int) time.Duration { return time.Second } })
		pass(10 * time.Minute)
		g.width("later", 10, 10)
	})
}

// Where more at a time only makes each take longer, fewer are made. That passes as it came.
func TestConcurrencyBacksOffWhenSlow(t *testing.T) {
	u := steady(20 * time.Millisecond)
	pump(t, u, 20_000, 10, func(t *testing.T, g *rig) {
		pass(time.Second)
		g.width("quick", 10, 10)
		u.set(func(u *upstream) {
			u.slow = func(n int) time.Duration {
				if n > 4 {
					return 2 * time.Second
				}
				return 20 * time.Millisecond
			}
		})
		pass(10 * time.Second)
		g.width("overloaded", 1, 8)
		u.set(func(u *upstream) { u.slow = func(int) time.Duration { return 30 * time.Millisecond } })
		pass(20 * time.Second)
		g.width("quick again", 10, 10)
		u.set(func(u *upstream) { u.slow = func(int) time.Duration { return time.Second } })
		pass(2 * time.Minute)
		g.width("slow for its own sake", 10, 10)
	})
}

// A next hop that is too busy for a single message is left alone and probed, and no message's
// attempts are spent.
func TestBusyEvenForOne(t *testing.T) {
	u := steady(time.Millisecond)
	u.takes = 0
	pump(t, u, 50, 10, func(t *testing.T, g *rig) {
		pass(time.Minute)
		l := g.Status().Lanes[0]
		if tries, _ := u.seen(); l.State != queue.LaneWaiting || l.Kind != "busy" || tries > 30 {
			t.Errorf("%d attempts; %+v", tries, l)
		}
		u.set(func(u *upstream) { u.takes = 1000 })
		pass(2 * time.Minute)
		all, err := g.List(context.Background(), queue.Filter{}, "", 100)
		if err != nil || len(all) != 50 {
			t.Fatal(len(all), err)
		}
		for _, m := range all {
			if m.State() != queue.StateDelivered || m.Tries() != 1 {
				t.Errorf("%+v", m)
			}
		}
	})
}

// A next hop that says 421 to every recipient is asked about one message after the other, each of
// which is deferred by itself, and gets them all when it takes them.
func TestNoRecipientIsTaken(t *testing.T) {
	u := steady(time.Millisecond)
	u.stray = func() *queue.Result { return &notNow }
	pump(t, u, 50, 10, func(t *testing.T, g *rig) {
		pass(time.Second)
		g.width("after a second", 1, 1)
		if tries, _ := u.seen(); tries != 50 || g.Status().Deferred != 50 {
			t.Errorf("%d attempts; %+v", tries, g.Status())
		}
		u.set(func(u *upstream) { u.stray = nil })
		pass(2 * time.Minute)
		if n := g.Status().Delivered; n != 50 {
			t.Errorf("%d delivered", n)
		}
	})
}

// A next hop that has taken many for long and then takes none is soon left alone and probed.
func TestBusyAfterLongService(t *testing.T) {
	u := steady(10 * time.Millisecond)
	pump(t, u, 4000, 10, func(t *testing.T, g *rig) {
		pass(2 * time.Second)
		u.set(func(u *upstream) { u.takes = 0 })
		tries, done := u.seen()
		pass(10 * time.Second)
		now, more := u.seen()
		if l := g.Status().Lanes[0]; l.State != queue.LaneWaiting || l.Kind != "busy" || now-tries > 60 {
			t.Errorf("%d attempts; %+v", now-tries-(more-done), l)
		}
	})
}

// mean is the mean number of messages that may be handed over at a time, within so long a time.
func (g *rig) mean(d time.Duration) float64 {
	g.t.Helper()
	const often = 1000
	sum := 0
	for range often {
		pass(d / often)
		sum += g.Status().Lanes[0].Concurrency
	}
	return float64(sum) / often
}

// A next hop that now and then says 421, or that it is busy, without regard to how many connections
// there are, keeps them nearly all.
func TestConcurrencyForgivesStrays(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{10, 50} {
		for name, answer := range map[string]queue.Result{
			"rcpt": notNow,
			"busy": tooMany,
		} {
			t.Run(fmt.Sprint(connections, name), func(t *testing.T) {
				dice := rand.New(rand.NewPCG(1, 1000))
				u := steady(20 * time.Millisecond)
				strays := 0
				u.stray = func() *queue.Result {
					if dice.IntN(1000) > 0 {
						return nil
					}
					strays++
					return &answer
				}
				pump(t, u, 20_000, connections, func(t *testing.T, g *rig) {
					pass(time.Second)
					span := time.Duration(300/connections) * time.Second
					mean := g.mean(span)
					if mean < 0.9*float64(connections) || g.Status().Lanes[0].State != queue.LaneFlowing {
						t.Errorf("on average %.1f of %d at a time", mean, connections)
					}
					u.set(func(u *upstream) {
						if strays < 10 || g.Status().Store.Waiting < connections {
							t.Errorf("%d strays: this shows nothing", strays)
						}
					})
				})
			})
		}
	}
}

// A next hop that takes so many connections and refuses the next gets just so many within a few
// seconds, but for a moment at each trial, and the trials become seldom. So it does when it took
// more before.
func TestConcurrencySettlesAtWhatIsTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		connections, takes int
		within             time.Duration
		refused            int // messages, at most, in the ten seconds after that
	}{{10, 3, 500 * time.Millisecond, 40}, {10, 7, 3 * time.Second, 80}, {50, 30, 5 * time.Second, 300}} {
		for _, first := range []int{c.takes, 1000} {
			t.Run(fmt.Sprint(c.takes, "of", c.connections, "first", first), func(t *testing.T) {
				u := steady(50 * time.Millisecond)
				u.takes = first
				pump(t, u, 15_000, c.connections, func(t *testing.T, g *rig) {
					pass(2 * time.Second)
					u.set(func(u *upstream) { u.takes = c.takes })
					pass(c.within)
					tries, done := u.seen()
					mean := g.mean(10 * time.Second)
					now, more := u.seen()
					refused := now - more - (tries - done)
					if mean < 0.9*float64(c.takes) || mean > float64(c.takes)+0.1 || refused > c.refused {
						t.Errorf("on average %.2f at a time; %d refused, %d delivered", mean, refused, more-done)
					}
				})
			})
		}
	}
}
