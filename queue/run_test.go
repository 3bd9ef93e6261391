package queue_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"dinkymail/queue"
)

// A result that cannot be written stops delivery, is kept, and is written once the disk is well;
// nothing is sent twice meanwhile.
func TestSickDiskStopsDelivery(t *testing.T) {
	h := &hop{}
	sickBubble(t, h, settings(), func(t *testing.T, g *rig, s *sick) {
		s.set(nil, errors.New("input/output error"))
		var ids []queue.ID
		for range 30 {
			ids = append(ids, g.send(letter(t, "bob@example.net")))
		}
		pass(time.Hour)
		if n := len(h.seen()); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
		if err := g.Status().Broken; err == nil || !strings.Contains(err.Error(), "input/output error") || g.Check() == nil {
			t.Errorf("status: %v, check: %v", err, g.Check())
		}
		g.wantState(ids[29], queue.StateQueued, "input/output error")
		g.wantLog(1, "level=ERROR", "result cannot be written", "remedy=")
		s.set(nil, nil)
		pass(time.Minute)
		for _, id := range ids {
			g.wantState(id, queue.StateDelivered, "")
			if n := len(h.of(id)); n != 1 {
				t.Errorf("message %s was sent %d times", id, n)
			}
		}
		if err := g.Status().Broken; err != nil {
			t.Errorf("status: %v", err)
		}
		g.wantLog(1, "delivery goes on")
	})
}

// What stands ready for the workers when a result turns out not to be writable goes back: it is not
// sent first. One worker may have begun another attempt before the disk's answer came.
func TestSickDiskStopsWhatStandsReady(t *testing.T) {
	var begun atomic.Int64
	h := &hop{answer: func(context.Context, queue.Delivery, int) queue.Result {
		pass(time.Duration(begun.Add(1)) * time.Second)
		return queue.Result{Outcome: queue.Delivered, Code: 250, Remote: "mx.example.net:25"}
	}}
	sickBubble(t, h, settings(), func(t *testing.T, g *rig, s *sick) {
		s.set(nil, errors.New("input/output error"))
		for range 30 {
			g.send(letter(t, "bob@example.net"))
		}
		pass(time.Hour)
		if n := len(h.seen()); n < 4 || n > 5 {
			t.Errorf("%d attempts, want those of the 4 workers and at most one more", n)
		}
	})
}

// After a crash between the next hop's answer and our write of it the message is delivered again:
// the documented window.
func TestCrashBeforeTheResultIsWritten(t *testing.T) {
	dir := t.TempDir()
	h := &hop{}
	var id, waiting queue.ID
	synctest.Test(t, func(t *testing.T) {
		b, shut := openStore(t, dir)
		s := &sick{Store: b, update: errors.New("power lost")}
		g := run(t, s, h, settings())
		id = g.send(letter(t, "bob@example.net"))
		waiting = g.send(letter(t, "bob@example.net"))
		g.stop()
		g.wantLog(1, "level=ERROR", "will be repeated", string(id))
		shut()
	})
	bubbleIn(t, dir, h, settings(), func(t *testing.T, g *rig) {
		synctest.Wait()
		g.wantState(id, queue.StateDelivered, "")
		g.wantState(waiting, queue.StateDelivered, "")
	})
	if len(h.of(id)) != 2 || len(h.of(waiting)) != 1 {
		t.Errorf("attempts: %d and %d, want 2 and 1", len(h.of(id)), len(h.of(waiting)))
	}
}

// When Run is told to end, attempts in flight finish within the grace and are recorded; those that
// do not are cut off and count as not made; none begins.
func TestShutdown(t *testing.T) {
	h := &hop{answer: func(ctx context.Context, d queue.Delivery, _ int) queue.Result {
		wait := 5 * time.Second
		if d.Envelope.To[0].Local == "slow" {
			wait = time.Hour
		}
		select {
		case <-time.After(wait):
			return delivered
		case <-ctx.Done():
			return later
		}
	}}
	cfg := settings()
	cfg.Workers = 2
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		quick := g.send(letter(t, "quick@example.net"))
		slow := g.send(letter(t, "slow@example.net"))
		rest := g.send(letter(t, "quick@example.net"))
		pass(time.Second)
		if n := g.Status().Lanes[0].InFlight; n != 2 {
			t.Errorf("%d in flight", n)
		}
		begin := time.Now()
		g.stop()
		if took := time.Since(begin); took != cfg.Grace {
			t.Errorf("took %v", took)
		}
		g.wantState(quick, queue.StateDelivered, "")
		for _, id := range []queue.ID{slow, rest} {
			if m := g.record(id); m.Tries() != 0 || len(m.History) != 0 || !m.Finished.IsZero() {
				t.Errorf("record: %+v", m)
			}
		}
		if n := len(h.seen()); n != 2 {
			t.Errorf("%d attempts", n)
		}
	})
}

// A message that an operator removes while it is handed over is no sick disk.
func TestRemovedInFlight(t *testing.T) {
	h := &hop{answer: func(context.Context, queue.Delivery, int) queue.Result {
		<-time.After(time.Minute)
		return delivered
	}}
	cfg := settings()
	cfg.Workers = 1
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		first := g.send(letter(t, "bob@example.net"))
		second := g.send(letter(t, "bob@example.net"))
		for _, id := range []queue.ID{first, second} {
			if err := g.store.Remove(id); err != nil {
				t.Fatal(err)
			}
		}
		pass(2 * time.Minute)
		g.wantLog(1, "level=INFO", "removed during its attempt", string(first))
		if err := g.Status().Broken; err != nil || len(h.seen()) != 1 {
			t.Errorf("status %v after %d attempts", err, len(h.seen()))
		}
	})
}

// The slow write of one result does not keep the worker from the next message, and no more than
// MaxUnwritten are behind.
func TestWritingDoesNotHoldWorkers(t *testing.T) {
	h := &hop{}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, _ := openStore(t, dir)
		s := &slow{Store: b, open: make(chan struct{})}
		cfg := settings()
		g := run(t, s, h, cfg)
		for range 2 * g.Window() {
			g.send(letter(t, "bob@example.net"))
		}
		if n := len(h.seen()); n != g.Window() || n != queue.MaxUnwritten+cfg.Workers {
			t.Errorf("%d attempts before a result was written, want %d", n, g.Window())
		}
		close(s.open)
		synctest.Wait()
		if n := g.Status(); n.Delivered != uint64(2*g.Window()) || n.Store.Waiting != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// An attempt may last longer than a claim does: the message is not tried a second time meanwhile.
func TestAttemptOutlastsItsClaim(t *testing.T) {
	h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		if d.Envelope.To[0].Local == "slow" {
			<-time.After(5 * time.Hour)
		}
		return later
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "slow@example.net"))
		g.send(letter(t, "bob@example.net"))
		pass(5 * time.Hour)
		if n := len(h.of(id)); n != 1 {
			t.Errorf("%d attempts at a time", n)
		}
		pass(2 * time.Minute)
		if n := len(h.of(id)); n != 2 {
			t.Errorf("%d attempts, want a second after the first", n)
		}
		h.set(func(h *hop) { h.answer = nil })
	})
}

// A store that cannot be claimed from is asked again and reported once.
func TestClaimFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, _ := openStore(t, dir)
		s := &deaf{Store: b}
		s.fails.Store(true)
		g := run(t, s, &hop{}, settings())
		id := g.send(letter(t, "bob@example.net"))
		pass(time.Minute)
		g.wantLog(1, "level=ERROR", "no mail can be fetched")
		s.fails.Store(false)
		pass(time.Second)
		g.wantState(id, queue.StateDelivered, "")
	})
}

// deaf is a store that cannot be claimed from while fails is set.
type deaf struct {
	queue.Store
	fails atomic.Bool
}

func (s *deaf) Claim(lane string, n int) ([]queue.Claim, error) {
	if s.fails.Load() {
		return nil, errors.New("input/output error")
	}
	return s.Store.Claim(lane, n)
}

// With many submitters and workers at once every message is handed over exactly once, and Run
// leaves nothing behind.
func TestManyAtOnce(t *testing.T) {
	const clients, each = 20, 50
	s, _ := openStore(t, t.TempDir())
	h := &hop{}
	g := run(t, s, h, settings())
	var submitters sync.WaitGroup
	for range clients {
		submitters.Go(func() {
			for range each {
				if _, err := g.Submit(context.Background(), letter(t, "bob@example.net")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	submitters.Wait()
	deadline, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for g.Status().Delivered < clients*each && deadline.Err() == nil {
		<-tick.C
	}
	g.stop()
	ids := map[queue.ID]bool{}
	for _, y := range h.seen() {
		ids[y.id] = true
	}
	if st := s.Stats(); len(ids) != clients*each || len(h.seen()) != clients*each || st.Waiting != 0 || st.Finished != clients*each {
		t.Errorf("%d messages in %d attempts; %+v", len(ids), len(h.seen()), st)
	}
}

// A message whose body cannot be read is deferred, says so, and keeps nothing else from going out.
func TestBodyCannotBeRead(t *testing.T) {
	h := &hop{}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, _ := openStore(t, dir)
		g := run(t, &torn{Store: b}, h, settings())
		s := letter(t, "bob@example.net")
		s.ID = tornID
		g.send(s)
		id := g.send(letter(t, "bob@example.net"))
		g.wantState(id, queue.StateDelivered, "")
		g.wantState(tornID, queue.StateDeferred, "")
		if r := g.record(tornID).Results[0]; !strings.Contains(r.Text, "bad sector") || len(h.of(tornID)) != 0 {
			t.Errorf("result %+v", r)
		}
		g.wantLog(1, "level=ERROR", "body cannot be read", string(tornID))
		pass(6 * 24 * time.Hour)
		g.wantState(tornID, queue.StateFailed, "")
		if n := h.notices(); len(n) != 1 || !strings.Contains(n[0].body, "bad sector") {
			t.Errorf("notices: %+v", n)
		}
	})
}

const tornID queue.ID = "0123456789abcdef"

// torn is a store that cannot read the body of tornID.
type torn struct{ queue.Store }

func (s *torn) Body(id queue.ID) (io.ReadSeekCloser, error) {
	if id == tornID {
		return nil, errors.New("bad sector")
	}
	return s.Store.Body(id)
}

// A message that an operator removes before a worker gets to it is not missed.
func TestRemovedBeforeItsAttempt(t *testing.T) {
	h := &hop{answer: func(context.Context, queue.Delivery, int) queue.Result {
		<-time.After(time.Minute)
		return delivered
	}}
	cfg := settings()
	cfg.Workers = 1
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		g.send(letter(t, "bob@example.net"))
		id := g.send(letter(t, "bob@example.net")) // claimed ahead
		if err := g.store.Remove(id); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if n := len(h.of(id)); n != 0 || g.Status().Broken != nil {
			t.Errorf("%d attempts; %v", n, g.Status().Broken)
		}
		g.wantLog(1, "level=INFO", "removed before its attempt", string(id))
	})
}

// slow is a store whose Update waits for the test.
type slow struct {
	queue.Store
	open chan struct{}
}

func (s *slow) Settle(c queue.Claim, change func(*queue.Message)) (queue.Message, error) {
	<-s.open
	return s.Store.Settle(c, change)
}

// Whatever the next hop does, every recipient ends delivered or failed, exactly as the next hop
// said last, is never handed over again after that, and each failure is told once.
func TestEveryRecipientIsSettledOnce(t *testing.T) {
	t.Parallel()
	outcomes := []queue.Result{delivered, refused, later, silent,
		{Code: 535, Text: "no", Pause: queue.PauseCredentials}, {Code: 452, Text: "quota", Pause: queue.PauseQuota},
		{Code: 421, Text: "too many connections", Pause: queue.PauseBusy}, noLogin, noRate, noQuota, noService, tooBusy}
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, len(outcomes)-1), 1, 12), 1, 12).Draw(rt, "script")
		var mu sync.Mutex
		settled := map[queue.ID]map[string]queue.Outcome{}
		doubtful := map[string]bool{} // by ID and recipient: what was said last fails him if it is his own
		var wrong []string
		h := &hop{each: func(d queue.Delivery, n int) []queue.Result {
			mu.Lock()
			defer mu.Unlock()
			if settled[d.ID] == nil {
				settled[d.ID] = map[string]queue.Outcome{}
			}
			var results []queue.Result
			for i, to := range d.Envelope.To {
				r := delivered
				if at := int(to.Local[0] - 'a'); !d.Envelope.From.IsNull() && n <= len(script[at]) {
					r = outcomes[script[at][n-1]]
				}
				if settled[d.ID][to.String()] != queue.Deferred {
					wrong = append(wrong, "tried again: "+to.String())
				}
				settled[d.ID][to.String()] = r.Outcome
				doubtful[string(d.ID)+to.String()] = inDoubt(r) && own(r).Outcome == queue.Failed
				if inDoubt(r) {
					doubt(d, i, r)
				}
				results = append(results, r)
			}
			return results
		}}
		synctest.Test(t, func(t *testing.T) {
			s, shut := openStore(t, dir)
			defer shut()
			g := run(t, s, h, settings())
			defer g.stop()
			var ids []queue.ID
			for i := range script {
				to := string(rune('a'+i)) + "@example.net"
				ids = append(ids, g.send(letter(t, to, string(rune('a'+(i+1)%len(script)))+"2@example.net")))
			}
			pass(4 * 24 * time.Hour)
			failures := 0
			for _, id := range ids {
				m := g.record(id)
				for i, r := range m.Results {
					want := settled[id][m.Envelope.To[i].String()]
					if doubtful[string(id)+m.Envelope.To[i].String()] && r.Outcome == queue.Failed {
						want = queue.Failed
					}
					if m.Finished.IsZero() || r.Outcome == queue.Deferred || r.Outcome != want {
						wrong = append(wrong, m.Envelope.To[i].String()+" is "+r.Outcome.String()+", want "+want.String())
					}
					if r.Outcome == queue.Failed {
						failures++
					}
				}
			}
			told := 0
			for _, n := range h.notices() {
				told += strings.Count(n.body, "Final-Recipient:")
			}
			if told != failures {
				wrong = append(wrong, "failures were not told once")
			}
			if st := g.Status(); st.Store.Waiting != 0 || st.Broken != nil {
				wrong = append(wrong, "mail is left")
			}
			for _, id := range ids {
				if err := g.store.Remove(id); err != nil {
					wrong = append(wrong, err.Error())
				}
			}
		})
		if len(wrong) > 0 {
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// BenchmarkDrain is a message from Submit to settled, with the real store, as fast as submitters
// and workers go.
func BenchmarkDrain(b *testing.B) {
	s, _ := openStore(b, b.TempDir())
	var left sync.WaitGroup
	left.Add(b.N)
	cfg := settings()
	q := queue.New(s, queue.One(&counting{left: &left}), cfg, quiet())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	body := text + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 62)
	b.ReportAllocs()
	b.SetParallelism(25)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := letter(b, "bob@example.net")
			m.Body = strings.NewReader(body)
			if _, err := q.Submit(ctx, m); err != nil {
				b.Error(err)
			}
		}
	})
	left.Wait()
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// counting delivers everything at once.
type counting struct{ left *sync.WaitGroup }

func (counting) Ready() error { return nil }

func (c *counting) Deliver(_ context.Context, d queue.Delivery) []queue.Result {
	c.left.Done()
	return slices.Repeat([]queue.Result{delivered}, len(d.Envelope.To))
}
