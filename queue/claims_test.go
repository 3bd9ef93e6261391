package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/memstore"
)

// stores are those that several queues may share.
var stores = map[string]func(t *testing.T) queue.Store{
	"mem":  func(*testing.T) queue.Store { return memstore.New() },
	"bolt": func(t *testing.T) queue.Store { s, _ := openStore(t, t.TempDir()); return s },
}

// exclusive is a next hop that notices when one message is handed over twice at a time, by
// whomever.
type exclusive struct {
	hop
	*handed
}

// handed is what several next hops are being handed.
type handed struct {
	mu  sync.Mutex
	now map[queue.ID]int
	bad []queue.ID
}

func (e *exclusive) Deliver(ctx context.Context, d queue.Delivery) []queue.Result {
	e.hand(d.ID, 1)
	defer e.hand(d.ID, -1)
	<-time.After(time.Second + time.Duration(d.ID[15])*time.Millisecond)
	return e.hop.Deliver(ctx, d)
}

func (h *handed) hand(id queue.ID, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now[id] += n; h.now[id] > 1 {
		h.bad = append(h.bad, id)
	}
}

// Two queues on one store share the work, and no message is handed over by both: neither at a time,
// nor once it is delivered. What one of them does an operator of the other sees.
func TestTwoQueuesOnOneStore(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				both := &handed{now: map[queue.ID]int{}}
				one, two := &exclusive{handed: both}, &exclusive{handed: both}
				a, b := run(t, s, one, settings()), run(t, s, two, settings())
				one.answer = func(_ context.Context, _ queue.Delivery, n int) queue.Result {
					if n == 1 {
						return later
					}
					return delivered
				}
				two.answer = one.answer
				var ids []queue.ID
				for range 100 {
					ids = append(ids, a.send(letter(t, "bob@example.net")), b.send(letter(t, "eve@example.net")))
				}
				if err := errors.Join(a.Hold(ids[199], ""), b.Release(ids[199])); err != nil {
					t.Error(err)
				}
				pass(2 * time.Hour)
				for _, id := range ids {
					a.wantState(id, queue.StateDelivered, "")
					if m := b.record(id); m.Tries() < 1 || m.Tries() > 3 || len(m.History) != m.Tries() {
						t.Errorf("%s after %d attempts: %+v", id, m.Tries(), m.History)
					}
				}
				if len(both.bad) > 0 {
					t.Errorf("handed over twice at a time: %v", both.bad)
				}
				if len(one.seen()) < 20 || len(two.seen()) < 20 {
					t.Errorf("%d attempts by one, %d by the other", len(one.seen()), len(two.seen()))
				}
			})
		})
	}
}

// asleep is a store whose holder cannot renew its claims, as one that was stopped for long.
type asleep struct {
	queue.Store
	mu  sync.Mutex
	now bool
}

func (s *asleep) set(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

func (s *asleep) Claim(lane string, n int) ([]queue.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now {
		return nil, nil
	}
	return s.Store.Claim(lane, n)
}

func (s *asleep) Renew(c queue.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now {
		return errors.New("asleep")
	}
	return s.Store.Renew(c)
}

// A queue that sleeps for longer than its claims hold loses them: another one tries the message,
// what the first one heard is not recorded, and once it is awake its attempt is cut off.
func TestHolderThatSleptLosesItsClaim(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				cut := make(chan struct{})
				first := &hop{answer: func(ctx context.Context, _ queue.Delivery, _ int) queue.Result {
					select {
					case <-ctx.Done():
						close(cut)
						return later
					case <-time.After(time.Hour):
						return refused
					}
				}}
				sleeper := &asleep{Store: s}
				a := run(t, sleeper, first, settings())
				id := a.send(letter(t, "bob@example.net"))
				pass(time.Second)
				sleeper.set(true)
				second := &hop{answer: func(context.Context, queue.Delivery, int) queue.Result {
					<-time.After(10 * time.Minute)
					return delivered
				}}
				b := run(t, s, second, settings())
				pass(queue.ClaimTime - 2*time.Second)
				if n := len(second.seen()); n != 0 {
					t.Errorf("%d attempts by another while the claim holds", n)
				}
				pass(6 * time.Minute)
				if n := len(second.seen()); n != 1 {
					t.Errorf("%d attempts by another once the claim is over", n)
				}
				sleeper.set(false)
				pass(time.Minute)
				select {
				case <-cut:
				default:
					t.Error("the lost attempt goes on")
				}
				a.wantLog(1, "claim lost")
				pass(20 * time.Minute)
				b.wantState(id, queue.StateDelivered, "")
				if m := b.record(id); len(m.History) != 1 || len(first.seen()) != 1 || len(second.seen()) != 1 {
					t.Errorf("history %+v, %d and %d attempts", m.History, len(first.seen()), len(second.seen()))
				}
			})
		})
	}
}

// byDomain routes by the domain of the recipient.
type byDomain struct{}

func (byDomain) Route(m *queue.Message) (legs []queue.Leg) {
	at := map[string]int{}
	for i, to := range m.Envelope.To {
		n, ok := at[to.Domain]
		if !ok {
			n = len(legs)
			at[to.Domain] = n
			legs = append(legs, queue.Leg{Lane: to.Domain})
		}
		legs[n].To = append(legs[n].To, i)
	}
	return legs
}

// lanesOf is a queue whose lanes are next hops by name.
func lanesOf(t *testing.T, s queue.Store, hops map[string]*hop, cfg queue.Config) *rig {
	t.Helper()
	cfg.Router = byDomain{}
	return runLanes(t, s, func(name string) (queue.Deliverer, error) {
		if h := hops[name]; h != nil {
			return h, nil
		}
		return nil, fmt.Errorf("no lane %s", name)
	}, cfg)
}

// A message whose recipients take two lanes is tried on each by itself: one that waits does not
// stop the other, each has its own attempts, and the message is finished once both are done.
func TestLegs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := openStore(t, t.TempDir())
		quick, slow := &hop{}, &hop{answer: always(silent)}
		sender := &hop{}
		g := lanesOf(t, s, map[string]*hop{"quick.example": quick, "slow.example": slow, "example.com": sender}, settings())
		id := g.send(letter(t, "a@quick.example", "b@slow.example", "c@quick.example"))
		other := g.send(letter(t, "d@quick.example"))
		pass(time.Second)
		g.wantState(other, queue.StateDelivered, "")
		g.wantState(id, queue.StateDeferred, "waits for the slow.example: "+
			"mx.example.net:25: connection refused; mail flows when it answers; if it never does, check SMTP_RELAY_HOST, SMTP_RELAY_PORT and the network")
		if m := g.record(id); m.Results[0].Outcome != queue.Delivered || m.Results[1].Outcome != queue.Deferred ||
			m.Results[2].Outcome != queue.Delivered || len(quick.of(id)) != 1 || !m.Finished.IsZero() || m.NextAttempt().IsZero() {
			t.Errorf("%+v", m)
		}
		if g.Lane(ptr(g.record(id))) != "quick.example,slow.example" {
			t.Errorf("lane %q", g.Lane(ptr(g.record(id))))
		}
		slow.set(func(h *hop) { h.answer = always(later) })
		pass(2 * time.Minute)
		if m := g.record(id); m.Legs[0].Tries != 1 || m.Legs[1].Tries < 1 {
			t.Errorf("legs %+v", m.Legs)
		}
		slow.set(func(h *hop) { h.answer = always(refused) })
		pass(time.Hour)
		g.wantState(id, queue.StatePartial, "")
		if n := len(quick.of(id)); n != 1 {
			t.Errorf("%d attempts on the lane that took it", n)
		}
		pass(time.Second)
		if n := len(sender.notices()); n != 1 {
			t.Errorf("%d notices", n)
		}
	})
}

func ptr(m queue.Message) *queue.Message { return &m }

// Operators meet legs as they meet messages: a change of recipients waits for the attempts of all,
// and routes anew.
func TestEditRoutesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := openStore(t, t.TempDir())
		a := &hop{answer: func(context.Context, queue.Delivery, int) queue.Result {
			<-time.After(2 * time.Second)
			return later
		}}
		b := &hop{}
		g := lanesOf(t, s, map[string]*hop{"a.example": a, "b.example": b}, settings())
		id := g.send(letter(t, "x@a.example"))
		pass(time.Second)
		begin := time.Now()
		if err := g.Redirect(id, address(t, "y@b.example")); err != nil || time.Since(begin) < time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		pass(time.Second)
		g.wantState(id, queue.StateDelivered, "")
		if len(a.of(id)) != 1 || len(b.of(id)) != 1 {
			t.Errorf("%d and %d attempts", len(a.of(id)), len(b.of(id)))
		}
	})
}

// Legs whose lane is gone take the one that the rules give them now; where there is none the
// message is held, and says so.
func TestLaneGone(t *testing.T) {
	dir := t.TempDir()
	var moved, left queue.ID
	hops := map[string]*hop{"old.example": {answer: always(later)}, "new.example": {answer: always(later)}}
	synctest.Test(t, func(t *testing.T) {
		s, shut := openStore(t, dir)
		defer shut()
		g := lanesOf(t, s, hops, settings())
		moved, left = g.send(letter(t, "a@old.example")), g.send(letter(t, "b@new.example"))
		pass(time.Second)
		g.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		pass(24 * time.Hour)
		s, shut := openStore(t, dir)
		defer shut()
		up := &hop{}
		cfg := settings()
		cfg.Router = routes{"old.example": queue.Upstream}
		g := runLanes(t, s, func(name string) (queue.Deliverer, error) {
			if name != queue.Upstream {
				return nil, fmt.Errorf("%s is not set", name)
			}
			return up, nil
		}, cfg)
		defer g.stop()
		pass(time.Second)
		g.wantState(moved, queue.StateDelivered, "")
		g.wantState(left, queue.StateHeld, `its lane "new.example" is gone`)
	})
}

// A lane that goes while the queue runs begins nothing more: what waits on it takes another one, which is opened for it.
func TestLaneGoesWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := openStore(t, t.TempDir())
		old, fresh := &hop{answer: always(later)}, &hop{}
		var gone atomic.Bool
		cfg := settings()
		cfg.Router = routes{}
		g := runLanes(t, s, func(name string) (queue.Deliverer, error) {
			switch {
			case name == "new.example":
				return fresh, nil
			case name == "old.example" && gone.Load():
				return nil, errors.New("it is not set any more")
			}
			return old, nil
		}, cfg)
		id := g.send(letter(t, "a@old.example"))
		pass(time.Second)
		gone.Store(true)
		cfg.Router = routes{"old.example": "new.example"}
		g.Use(cfg)
		pass(time.Hour)
		g.wantState(id, queue.StateDelivered, "")
		if len(old.of(id)) != 1 || len(fresh.of(id)) != 1 {
			t.Errorf("%d attempts on the lane that is gone, %d on the other", len(old.of(id)), len(fresh.of(id)))
		}
		cfg.Lanes = []string{queue.Upstream, "new.example", "third.example"}
		g.Use(cfg)
		pass(time.Second)
		if st := g.Status(); len(st.Lanes) != 3 || st.Lanes[2].Name != "third.example" {
			t.Errorf("lanes %+v", st.Lanes)
		}
	})
}

// routes gives recipients of a domain a lane, or that of the domain's name.
type routes map[string]string

func (r routes) Route(m *queue.Message) []queue.Leg {
	lane := m.Envelope.To[0].Domain
	if r[lane] != "" {
		lane = r[lane]
	}
	return []queue.Leg{{Lane: lane}}
}

// Lanes are made when something is due on them and dropped when they were idle for long, however
// many there are, and all of them together make no more than MaxWorkers attempts at a time.
func TestManyLanes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		var now, most atomic.Int64
		h := &hop{answer: func(context.Context, queue.Delivery, int) queue.Result {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-time.After(time.Millisecond)
			return delivered
		}}
		cfg := settings()
		cfg.Router = byDomain{}
		g := runLanes(t, s, queue.One(h), cfg)
		const n = 2000
		for i := range n {
			g.send(letter(t, fmt.Sprintf("x@d%d.example", i)))
		}
		pass(time.Second)
		if st := g.Status(); st.Delivered != n || len(st.Lanes) < n {
			t.Errorf("%d delivered on %d lanes", st.Delivered, len(st.Lanes))
		}
		if n := most.Load(); n > queue.MaxWorkers {
			t.Errorf("%d attempts at a time", n)
		}
		pass(3 * time.Hour)
		if st := g.Status(); len(st.Lanes) != 1 || st.Lanes[0].Name != queue.Upstream {
			t.Errorf("%d lanes are left", len(st.Lanes))
		}
		id := g.send(letter(t, "again@d7.example"))
		pass(time.Second)
		g.wantState(id, queue.StateDelivered, "")
	})
}

// careless routes as no Router should: it names some twice, some not at all, and some that are not there.
type careless struct{}

func (careless) Route(*queue.Message) []queue.Leg {
	return []queue.Leg{{Lane: "a.example", To: []int{0, 0, 7, -1}}, {Lane: "b.example", To: []int{0, 1}}}
}

// Whatever a Router says, each recipient is in one leg: nobody is forgotten, and nobody is sent to twice.
func TestNobodyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hop{}
		cfg := settings()
		cfg.Router = careless{}
		g := runLanes(t, memstore.New(), queue.One(h), cfg)
		id := g.send(letter(t, "a@example.net", "b@example.net", "c@example.net"))
		pass(time.Second)
		g.wantState(id, queue.StateDelivered, "")
		given := map[string]int{}
		for _, y := range h.of(id) {
			for _, to := range y.to {
				given[to]++
			}
		}
		if len(given) != 3 || len(h.of(id)) != 3 {
			t.Errorf("handed over: %v", given)
		}
	})
}
