package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// Messages of one sender are claimed soonest first, by ID where that is the same, and not before
// they are due.
func claimInOrder(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	now := time.Now()
	third := putAt(t, s, now.Add(-time.Minute))
	first := putAt(t, s, now.Add(-time.Hour))
	fourth := putAt(t, s, now.Add(-time.Minute))
	second := putAt(t, s, now.Add(-2*time.Minute))
	putAt(t, s, now.Add(time.Hour))
	s, close = reopen(t, open, dir, close)
	defer func() { close() }()
	fifth := putAt(t, s, now.Add(-time.Second))
	expect(t, "none", claimed(t, s, 0), []queue.ID{})
	expect(t, "three", claimed(t, s, 3), []queue.ID{first, second, third})
	expect(t, "rest", claimed(t, s, 10), []queue.ID{fourth, fifth})
	expect(t, "nothing", claimed(t, s, 10), []queue.ID{})
}

// putFrom accepts a message of a sender's that is due now.
func putFrom(t failer, s queue.Store, user string) queue.ID {
	t.Helper()
	m := Message("bob")
	m.Origin.User = user
	return put(t, s, m, "body of "+string(m.ID)).ID
}

// A sender with very much to send keeps neither one who sends now and then waiting, nor another
// like itself; those who send now and then do not keep it waiting either. It is so before and after
// closing and opening, and each sender's are in order.
func claimTakesTurns(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	var mailing, other []queue.ID
	for range 200 {
		mailing = append(mailing, putFrom(t, s, "mailing"))
	}
	for range 50 {
		other = append(other, putFrom(t, s, "other"))
	}
	expect(t, "one sender's", len(claimed(t, s, 20)), 20) // both are known to send much
	s, close = reopen(t, open, dir, close)
	defer func() { close() }()
	before := claimed(t, s, 60)
	if n := among(before, other); n < 15 || n > 45 {
		t.Fatalf("%d of the first 60 are of one of two alike", n)
	}
	expect(t, "in order", inOrder(before, mailing) && inOrder(before, other), true)
	form := putFrom(t, s, "form")
	if got := claimed(t, s, 2); among(got, []queue.ID{form}) != 1 {
		t.Fatal("a single message does not go ahead of those who send much")
	}
	var forms []queue.ID
	for i := range 100 {
		forms = append(forms, putFrom(t, s, fmt.Sprint("form ", i)))
	}
	if n := among(claimed(t, s, 40), forms); n < 20 || n > 35 {
		t.Fatalf("%d of 40 are single messages: most should be, and not all", n)
	}
}

// among counts those of some that are also in others.
func among(some, others []queue.ID) (n int) {
	for _, id := range some {
		if slices.Contains(others, id) {
			n++
		}
	}
	return n
}

// inOrder reports whether those of got that are also in all are its first, in its order.
func inOrder(got, all []queue.ID) bool {
	for _, id := range got {
		if slices.Contains(all, id) {
			if all[0] != id {
				return false
			}
			all = all[1:]
		}
	}
	return true
}

// However many ask at a time, each message is claimed by one of them, with a token of its own.
func claimIsExclusive(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	const n = 200
	for range n {
		putAt(t, s, time.Now())
	}
	var mu sync.Mutex
	times, tokens := map[queue.ID]int{}, map[uint64]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				claims, err := s.Claim(Lane, 3)
				if err != nil {
					t.Errorf("Claim: %v", err)
				}
				if len(claims) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claims {
					times[c.ID]++
					tokens[c.Token] = true
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for id, k := range times {
		if k != 1 {
			t.Fatalf("%s claimed %d times", id, k)
		}
	}
	expect(t, "claimed", len(times), n)
	expect(t, "tokens", len(tokens), n)
}

// A claim that nobody gives back or renews is over after ClaimTime.
func claimEndsWithLease(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		id := putAt(t, s, time.Now())
		expect(t, "claimed", claimed(t, s, 1), []queue.ID{id})
		for range 3 {
			pass(queue.ClaimTime - time.Second)
			expect(t, "held", claimed(t, s, 1), []queue.ID{})
			expectNothingDue(t, s)
			pass(time.Second)
			if _, due := s.NextDue(Lane); !due {
				t.Fatal("the claim is over, so it is due")
			}
			expect(t, "again", claimed(t, s, 1), []queue.ID{id})
		}
	})
}

// Update and Release give claims back; an updated message comes when its record says, a released
// one at once.
func updateAndReleaseGiveBack(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		s, close := open(t, t.TempDir())
		defer close()
		a := putAt(t, s, time.Now())
		b := putAt(t, s, time.Now())
		claims := claim(t, s, Lane, 2)
		expect(t, "claimed", idsOf(claims), []queue.ID{a, b})
		s.Release(claims[0], claims[1], claims[1])
		expect(t, "released", claimed(t, s, 2), []queue.ID{a, b})
		update(t, s, a, func(m *queue.Message) { m.Legs[0].Next = time.Now().Add(time.Hour) })
		update(t, s, b, func(m *queue.Message) { m.Legs[0].Tries++ })
		expect(t, "updated", claimed(t, s, 2), []queue.ID{b})
		pass(time.Hour)
		expect(t, "an hour later", claimed(t, s, 2), []queue.ID{b, a})
		update(t, s, a, func(m *queue.Message) { m.Legs[0].Next = time.Time{} })
		pass(1000 * time.Hour)
		expect(t, "never", claimed(t, s, 2), []queue.ID{b})
	})
}

// NextDue is the soonest of one sender's that nobody has claimed.
func nextDue(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, close := open(t, dir)
		next := func(want time.Time) {
			t.Helper()
			got, ok := s.NextDue(Lane)
			if ok == want.IsZero() || !got.Equal(want) {
				t.Fatalf("got %v %v, want %v", got, ok, want)
			}
		}
		next(time.Time{})
		start := time.Now()
		later := putAt(t, s, start.Add(2*time.Hour))
		next(start.Add(2 * time.Hour))
		soon := putAt(t, s, start.Add(time.Hour))
		next(start.Add(time.Hour))
		s, close = reopen(t, open, dir, close)
		next(start.Add(time.Hour))
		pass(time.Hour)
		taken := claim(t, s, Lane, 5)
		expect(t, "claimed", idsOf(taken), []queue.ID{soon})
		next(start.Add(2 * time.Hour))
		update(t, s, later, func(m *queue.Message) { m.Legs[0].Next = start.Add(30 * time.Minute) })
		next(start.Add(30 * time.Minute))
		if err := s.Remove(later); err != nil {
			t.Fatal(err)
		}
		next(time.Time{})
		s.Release(taken...)
		next(start.Add(time.Hour))
		update(t, s, soon, finish)
		next(time.Time{})
		close()
	})
}

// A claim is not on the disk: whoever opens the store may have all of them.
func reopenGivesClaimsBack(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	id := putAt(t, s, time.Now())
	for range 3 {
		taken := claim(t, s, Lane, 1)
		expect(t, "claimed", idsOf(taken), []queue.ID{id})
		begin(t, s, taken[0])
		expect(t, "claimed again", claimed(t, s, 1), []queue.ID{})
		s, close = reopen(t, open, dir, close)
	}
	close()
}

// pass lets the bubble's clock go on.
func pass(d time.Duration) { <-time.After(d) }
