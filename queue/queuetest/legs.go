package queuetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// withLegs is a message with a recipient for each lane, each a leg of its own that is due at once.
func withLegs(lanes ...string) queue.Message {
	m := Message("bob")
	m.Envelope.To, m.Results, m.Legs = nil, make([]queue.Result, len(lanes)), nil
	for i, lane := range lanes {
		to := message.Address{Local: "bob", Domain: lane + ".example"}
		m.Envelope.To = append(m.Envelope.To, message.Recipient{Address: to})
		m.Legs = append(m.Legs, queue.Leg{Lane: lane, To: []int{i}, Next: m.Accepted, Tries: i})
	}
	return m
}

// deliver notes that a leg was delivered, and that the message is finished when all are.
func deliver(leg int) func(m *queue.Message) {
	return func(m *queue.Message) {
		m.Legs[leg].Next = time.Time{}
		for _, to := range m.Legs[leg].To {
			m.Results[to] = queue.Result{Outcome: queue.Delivered, Code: 250}
		}
		if !slices.ContainsFunc(m.Results, func(r queue.Result) bool { return r.Outcome == queue.Deferred }) {
			m.Finished = time.Now()
		}
	}
}

func lanes(s queue.Store) []string { return slices.Sorted(slices.Values(s.Lanes())) }

// Legs are kept as they are: with the recipients, times and tries of each, in their order, none at
// all, and one for all recipients.
func legsAreKept(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	several, none, other := withLegs("a", "b", "a"), Message("bob"), Message("bob")
	several.Legs[1].Next = time.Time{}
	none.Legs = nil
	other.Legs[0].Lane = "other \xff"
	single, captured, second := withLegs(Lane), Message("bob"), withLegs("a", "a")
	captured.Captured, captured.Legs[0] = true, queue.Leg{Lane: Lane}
	second.Legs[0].Next = time.Time{}
	all := []queue.Message{several, none, other, single, captured, second}
	for i, m := range all {
		all[i] = put(t, s, m, "x")
		m.Size = 1
		if !same(all[i], m) {
			t.Fatalf("got  %+v\nwant %+v", plain(all[i]), plain(m))
		}
	}
	for range 2 {
		for _, m := range all {
			expect(t, "message", get(t, s, m.ID), m)
		}
		expect(t, "held", s.Stats().Held, 1)
		expect(t, "lanes", lanes(s), []string{"a", "other \xff", Lane})
		s, close = reopen(t, open, dir, close)
	}
	close()
}

// What is due on a lane is claimed there alone, and a leg that is given another lane is due on that
// one.
func lanesAreApart(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, close := open(t, dir)
		start := time.Now()
		first := put(t, s, withLegs("a", "b", "b"), "x").ID
		later := withLegs("c")
		later.Legs[0].Next = start.Add(time.Hour)
		second := put(t, s, later, "x").ID
		for range 2 {
			expect(t, "lanes", lanes(s), []string{"a", "b", "c"})
			for lane, want := range map[string]time.Time{"a": start, "b": start, "c": start.Add(time.Hour), "d": {}} {
				if got, ok := s.NextDue(lane); ok == want.IsZero() || ok && !got.Equal(want) {
					t.Fatalf("next on %s: %v %v, want %v", lane, got, ok, want)
				}
			}
			a, b := claim(t, s, "a", 9), claim(t, s, "b", 9)
			expect(t, "on a", []any{idsOf(a), a[0].Leg}, []any{[]queue.ID{first}, 0})
			expect(t, "on b", []any{idsOf(b), b[0].Leg, b[1].Leg}, []any{[]queue.ID{first, first}, 1, 2})
			expect(t, "on others", len(claim(t, s, "c", 9))+len(claim(t, s, "d", 9)), 0)
			expect(t, "lanes of what is not claimed", lanes(s), []string{"c"})
			s, close = reopen(t, open, dir, close)
		}
		update(t, s, first, func(m *queue.Message) { m.Legs[0].Lane, m.Legs[2].Lane = "d", "a" })
		update(t, s, second, func(m *queue.Message) { m.Legs = withLegs("c", "c").Legs })
		for range 2 {
			expect(t, "lanes", lanes(s), []string{"a", "b", "c", "d"})
			for lane, legs := range map[string][]int{"a": {2}, "b": {1}, "c": {0, 1}, "d": {0}} {
				got := []int{}
				for _, c := range claim(t, s, lane, 9) {
					got = append(got, c.Leg)
				}
				expect(t, "legs on "+lane, got, legs)
			}
			s, close = reopen(t, open, dir, close)
		}
		update(t, s, second, func(m *queue.Message) { m.Legs = m.Legs[:1] })
		s, close = reopen(t, open, dir, close)
		expect(t, "without its second leg", len(claim(t, s, "c", 9)), 1)
		close()
	})
}

// The legs of a message are claimed, begun and settled apart, in whatever order, and it keeps its
// body until the last is.
func legsSettleApart(t *testing.T, open Open) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		dir := t.TempDir()
		s, close := open(t, dir)
		id := put(t, s, withLegs("a", "b", "b"), "body").ID
		for n, leg := range order {
			of := map[int]queue.Claim{}
			for _, c := range append(claim(t, s, "a", 9), claim(t, s, "b", 9)...) {
				of[c.Leg] = c
			}
			expect(t, "claims", len(of), len(order)-n)
			for _, left := range order[n:] {
				expect(t, "record", begin(t, s, of[left]).Finished.IsZero(), true)
			}
			expect(t, "body", body(t, s, id), "body")
			got := settle(t, s, of[leg], deliver(leg))
			expect(t, "finished", got.Finished.IsZero(), n < len(order)-1)
			expectOver(t, s, of[leg])
			for _, left := range order[n+1:] {
				expect(t, "record", begin(t, s, of[left]).Results[order[n]].Outcome, queue.Delivered)
			}
			if n == 0 {
				s, close = reopen(t, open, dir, close)
			} else {
				s.Release(of[order[len(order)-1]])
			}
		}
		expect(t, "stats", s.Stats(), queue.Stats{Finished: 1})
		_, err := s.Body(id)
		expectError(t, "Body", err, queue.ErrNotFound)
		expect(t, "lanes", lanes(s), nil)
		close()
	}
}

// Who slept for too long and lost its claim changes nothing any more, whatever it tries, and
// whoever has the claim now is not disturbed. It is so again and again.
func oldClaimIsRefused(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		id := putAt(t, s, time.Now())
		var old []queue.Claim
		for range 3 {
			now := claim(t, s, Lane, 1)
			expect(t, "claimed", idsOf(now), []queue.ID{id})
			begin(t, s, now[0])
			for _, c := range old {
				expectOver(t, s, c)
			}
			renew(t, s, now[0])
			expect(t, "claimed by two", claimed(t, s, 1), []queue.ID{})
			expect(t, "begun", s.Begun(id), true)
			old = append(old, now[0], queue.Claim{ID: id, Leg: 1, Token: now[0].Token}, queue.Claim{ID: id, Leg: queue.AllLegs, Token: now[0].Token})
			pass(queue.ClaimTime)
		}
		last := claim(t, s, Lane, 1)[0]
		settle(t, s, last, finish)
		for _, c := range append(old, last) {
			expectOver(t, s, c)
		}
	})
}

// A claim that is renewed holds for as long as it is; one that is begun holds from then on.
func renewedClaimHolds(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		putAt(t, s, time.Now())
		c := claim(t, s, Lane, 1)[0]
		for _, extend := range []func(){func() { begin(t, s, c) }, func() { renew(t, s, c) }, func() { renew(t, s, c) }} {
			pass(queue.ClaimTime - time.Second)
			extend()
			pass(2 * time.Second)
			expect(t, "claimed by two", claimed(t, s, 1), []queue.ID{})
		}
		settle(t, s, c, finish)
	})
}

// A claim that lapsed goes on as if it had not, as long as nobody else asked for the leg.
func lapsedClaimMayGoOn(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		for _, again := range []func(c queue.Claim){
			func(c queue.Claim) { renew(t, s, c) },
			func(c queue.Claim) { begin(t, s, c) },
			func(c queue.Claim) { settle(t, s, c, finish) },
		} {
			id := putAt(t, s, time.Now())
			c := claim(t, s, Lane, 1)[0]
			pass(queue.ClaimTime)
			if _, due := s.NextDue(Lane); !due {
				t.Fatal("what lapsed is not due")
			}
			again(c)
			expect(t, "claimed by two", claimed(t, s, 1), []queue.ID{})
			expectNothingDue(t, s)
			if get(t, s, id).Finished.IsZero() {
				settle(t, s, c, finish)
			}
		}
		id := putAt(t, s, time.Now())
		c := claim(t, s, Lane, 1)[0]
		pass(queue.ClaimTime)
		s.NextDue(Lane)
		s.Release(c)
		expect(t, "released late", claimed(t, s, 9), []queue.ID{id})
	})
}

// Who changes a record without a claim ends those that nobody has begun. What was begun goes on,
// sees the change, and is claimed by nobody else before its end; then it comes when the record
// says.
func updateEndsClaims(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		id := put(t, s, withLegs(Lane, Lane, Lane), "x").ID
		claims := claim(t, s, Lane, 3)
		begin(t, s, claims[0])
		begin(t, s, claims[1])
		soon := time.Now().Add(time.Minute)
		update(t, s, id, func(m *queue.Message) { m.Legs[0].Next, m.Legs[1].Next, m.Tags = soon, soon, []string{"new"} })
		expectOver(t, s, claims[2])
		again := claim(t, s, Lane, 3)
		expect(t, "claimed", []int{len(again), again[0].Leg}, []int{1, 2})
		pass(30 * time.Second)
		for _, c := range claims[:2] {
			renew(t, s, c)
			expect(t, "change", begin(t, s, c).Tags, []string{"new"})
		}
		pass(30 * time.Second)
		got := claim(t, s, Lane, 3)
		expect(t, "leg whose claim lapsed", []int{len(got), got[0].Leg}, []int{1, 2})
		s.Release(claims[0])
		settle(t, s, claims[1], func(m *queue.Message) { m.Legs[1].Next = soon.Add(time.Minute) })
		got = claim(t, s, Lane, 3)
		expect(t, "leg that was released", []int{len(got), got[0].Leg}, []int{1, 0})
		pass(time.Minute)
		legs := []int{}
		for _, c := range claim(t, s, Lane, 3) {
			legs = append(legs, c.Leg)
		}
		slices.Sort(legs)
		expect(t, "a minute later", legs, []int{0, 1, 2})
	})
}

// Settling one leg leaves the claims on the others alone, begun or not, and an operator's, too.
func settleLeavesOthers(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	id := put(t, s, withLegs(Lane, Lane, Lane), "x").ID
	claims := claim(t, s, Lane, 3)
	begin(t, s, claims[0])
	begin(t, s, claims[1])
	settle(t, s, claims[0], deliver(0))
	renew(t, s, claims[2])
	expect(t, "record", begin(t, s, claims[2]).Results[0].Outcome, queue.Delivered)
	s.Rest(claims[2])
	all := claimOne(t, s, id)
	expectOver(t, s, claims[2])
	settle(t, s, claims[1], deliver(1))
	expect(t, "record", begin(t, s, all).Results[1].Outcome, queue.Delivered)
	expect(t, "claimed", claimed(t, s, 9), []queue.ID{})
	settle(t, s, all, deliver(2))
	expect(t, "stats", s.Stats(), queue.Stats{Finished: 1})
}

// A claim on a whole message takes over what nobody has begun, and lets nobody claim a leg before
// it ends. Another one takes its place unless it is begun.
func claimOneTakesOver(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	id := put(t, s, withLegs(Lane, "other"), "x").ID
	leg := claim(t, s, Lane, 1)[0]
	first := claimOne(t, s, id)
	expectOver(t, s, leg)
	free := func(want int) {
		t.Helper()
		claims := append(claim(t, s, Lane, 9), claim(t, s, "other", 9)...)
		expect(t, "claimed", len(claims), want)
		s.Release(claims...)
	}
	free(0)
	expectNothingDue(t, s)
	s.Release(first)
	free(2)
	first = claimOne(t, s, id)
	second := claimOne(t, s, id)
	expectOver(t, s, first)
	free(0)
	begin(t, s, second)
	if _, err := s.ClaimOne(id); !errors.Is(err, queue.ErrActive) {
		t.Fatalf("ClaimOne while another is begun: %v", err)
	}
	update(t, s, id, func(m *queue.Message) { m.Tags = []string{"new"} })
	free(0)
	settle(t, s, second, func(m *queue.Message) { m.Legs[0].Next = time.Now().Add(time.Hour) })
	free(1)
	third := claimOne(t, s, id)
	update(t, s, id, func(m *queue.Message) { m.Legs[0].Next = time.Now() })
	expectOver(t, s, third)
	free(2)
	fourth := claimOne(t, s, id)
	if err := s.Remove(id); err != nil {
		t.Fatal(err)
	}
	expectOver(t, s, fourth)
	for _, change := range []func(m *queue.Message){finish, func(m *queue.Message) { m.Held = "wait" },
		func(m *queue.Message) { m.Removed = time.Now() }} {
		id := put(t, s, withLegs(Lane, "other"), "x").ID
		update(t, s, id, change)
		c := claimOne(t, s, id)
		begin(t, s, c)
		s.Release(c)
		free(0)
	}
}

// Legs that are begun when a message is claimed as a whole go on to their end, and that claim
// cannot be begun before.
func claimOneWaitsForBegun(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	id := put(t, s, withLegs(Lane, Lane, Lane), "x").ID
	claims := claim(t, s, Lane, 2)
	begin(t, s, claims[0])
	begin(t, s, claims[1])
	all := claimOne(t, s, id)
	busy := func() {
		t.Helper()
		if _, err := s.Begin(all); !errors.Is(err, queue.ErrActive) {
			t.Fatalf("Begin while a leg is tried: %v", err)
		}
		expect(t, "claimed", claimed(t, s, 9), []queue.ID{})
		expect(t, "begun", s.Begun(id), true)
	}
	busy()
	renew(t, s, claims[0])
	s.Release(claims[0])
	busy()
	settle(t, s, claims[1], func(m *queue.Message) { m.Legs[1].Tries = 7 })
	expect(t, "claimed", claimed(t, s, 9), []queue.ID{})
	expect(t, "record", begin(t, s, all).Legs[1].Tries, 7)
	s.Release(all)
	expect(t, "claimed", claimed(t, s, 9), []queue.ID{id, id, id})
}

// A claim on a whole message ends like any other when it is not renewed, and so do the claims of
// legs that it waits for.
func claimOneLapses(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		id := put(t, s, withLegs(Lane, Lane), "x").ID
		all := claimOne(t, s, id)
		begin(t, s, all)
		pass(queue.ClaimTime)
		if _, due := s.NextDue(Lane); !due {
			t.Fatal("the claim is over, so it is due")
		}
		renew(t, s, all) // nobody has asked
		expect(t, "claimed", claimed(t, s, 9), []queue.ID{})
		pass(queue.ClaimTime)
		legs := claim(t, s, Lane, 1)
		expect(t, "claimed", idsOf(legs), []queue.ID{id})
		expectOver(t, s, all)
		begin(t, s, legs[0])
		pass(queue.ClaimTime)
		all = claimOne(t, s, id)
		expectOver(t, s, legs[0])
		begin(t, s, all)
		pass(queue.ClaimTime)
		next := claimOne(t, s, id)
		expectOver(t, s, all)
		s.Release(next)
		legs = claim(t, s, Lane, 2)
		expect(t, "claimed", idsOf(legs), []queue.ID{id, id})
		begin(t, s, legs[0])
		all = claimOne(t, s, id)
		pass(queue.ClaimTime / 2)
		renew(t, s, all)
		pass(queue.ClaimTime / 2)
		begin(t, s, all) // whose holder of the leg sleeps
		expectOver(t, s, legs[0])
		settle(t, s, all, finish)
	})
}

// What rests is claimed by nobody else, may be taken over by an operator, and else goes on where it
// was.
func restLetsOthersIn(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	id := putAt(t, s, time.Now())
	rested := func() queue.Claim {
		t.Helper()
		c := claim(t, s, Lane, 1)[0]
		begin(t, s, c)
		expect(t, "begun", s.Begun(id), true)
		s.Rest(c)
		expect(t, "begun", s.Begun(id), false)
		expect(t, "claimed by two", claimed(t, s, 1), []queue.ID{})
		renew(t, s, c)
		return c
	}
	c := rested()
	begin(t, s, c)
	expect(t, "begun", s.Begun(id), true)
	s.Release(c)
	c = rested()
	settle(t, s, c, func(m *queue.Message) { m.Legs[0].Tries++ })
	c = rested()
	update(t, s, id, func(m *queue.Message) { m.Legs[0].Tries++ })
	expectOver(t, s, c)
	c = rested()
	all := claimOne(t, s, id)
	expectOver(t, s, c)
	s.Release(all)
	c = claim(t, s, Lane, 1)[0]
	begin(t, s, c)
	all = claimOne(t, s, id)
	s.Rest(c) // the operator waits for it
	begin(t, s, all)
	expectOver(t, s, c)
	s.Rest(all)
	second := claimOne(t, s, id)
	expectOver(t, s, all)
	s.Release(second)
	expect(t, "claimed", claimed(t, s, 9), []queue.ID{id})
}

// Those who settle the legs of one message at a time all see what the others did, while somebody
// else changes it, too; exactly one of them finishes it. Of two who settle under one claim, one
// does.
func settlesDoNotOverwrite(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	const n = 20
	var names []string
	for range n {
		names = append(names, Lane)
	}
	m := withLegs(names...)
	id := put(t, s, m, "x").ID
	var mu sync.Mutex
	var all sync.WaitGroup
	settled, refused, finished := 0, 0, 0
	for _, c := range claim(t, s, Lane, n) {
		begin(t, s, c)
		for range 2 {
			all.Go(func() {
				m, err := s.Settle(c, deliver(c.Leg))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					settled++
				case errors.Is(err, queue.ErrLost):
					refused++
				default:
					t.Errorf("Settle: %v", err)
				}
				if !m.Finished.IsZero() {
					finished++
				}
			})
		}
	}
	for range 5 {
		all.Go(func() { update(t, s, id, func(m *queue.Message) { m.Tags = append(m.Tags, "x") }) })
	}
	all.Wait()
	expect(t, "settled, refused, finished", []int{settled, refused, finished}, []int{n, n, 1})
	got := get(t, s, id)
	expect(t, "state, tags", []any{got.State(), len(got.Tags)}, []any{queue.StateDelivered, len(m.Tags) + 5})
}

// Several who share a store, of whom some sleep for too long now and then, and one stops dead,
// settle every leg once: whoever lost its claim is told so at the latest when it settles, and what
// it did is not kept.
func sharedBySeveral(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		const messages = 20
		for range messages {
			put(t, s, withLegs(Lane, Lane, Lane), "x")
		}
		var mu sync.Mutex
		settled, lost := map[queue.Claim]int{}, 0
		work := func(r *rand.Rand, c queue.Claim) {
			if m, err := s.Begin(c); err != nil || m.Legs[c.Leg].Next.IsZero() {
				t.Errorf("Begin: %v, leg %+v", err, m.Legs)
			}
			for range r.IntN(4) {
				pass(time.Duration(r.IntN(90)) * time.Second)
				if err := s.Renew(c); err != nil {
					break
				}
			}
			_, err := s.Settle(c, deliver(c.Leg))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				settled[queue.Claim{ID: c.ID, Leg: c.Leg}]++
			case errors.Is(err, queue.ErrLost):
				lost++
			default:
				t.Errorf("Settle: %v", err)
			}
		}
		begin(t, s, claim(t, s, Lane, 1)[0]) // its holder is never heard of again
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(n), 1))
				for s.Stats().Waiting > 0 {
					claims, err := s.Claim(Lane, 1)
					if err != nil {
						t.Error(err)
						return
					}
					for _, c := range claims {
						work(r, c)
					}
					pass(time.Second)
				}
			})
		}
		all.Wait()
		expect(t, "stats", s.Stats(), queue.Stats{Finished: messages})
		expect(t, "legs", len(settled), 3*messages)
		for c, n := range settled {
			if n != 1 {
				t.Errorf("%+v settled %d times", c, n)
			}
		}
		if lost == 0 {
			t.Error("nobody lost a claim, so nothing was tried")
		}
	})
}
