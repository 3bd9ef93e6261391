package lane

import "time"

const (
	startWith = 4                     // attempts at a time to begin with
	headStart = 20 * time.Millisecond // how much work the workers find ready beyond what they have in hand
	epoch     = 5 * time.Minute       // how long the best time of an attempt is remembered, and at most twice that

	patienceFirst = time.Second // before a step above what is known to be safe
	patienceMost  = time.Minute // after many that went wrong
	patienceLeast = 50 * time.Millisecond

	// A limit that is too high by one shows in every round, which is as many attempts as are made
	// at a time. What comes less than once in strayRounds of them has other reasons, and strayMost
	// such may come together.
	strayRounds = 4
	strayMost   = 4

	// LightBytes and LightRecipients bound a message of the usual kind. Attempts of more take long
	// for their own sake.
	LightBytes      = 64 << 10
	LightRecipients = 10
)

// Concurrency is how many attempts may be made at a time: see the package. Lane has one.
type Concurrency struct {
	most  int
	limit int
	cuts  int // how often the limit was lowered; an attempt knows only of those before it

	safe     int           // up to here it doubles; one more is a step that has yet to prove itself
	trust    int           // attempts that succeeded at this limit, less what was paid for strays
	patience time.Duration // before the next step beyond safe
	rest     time.Time     // no such step before
	older    int           // attempts that go on from before the limit was lowered

	good     int           // attempts that succeeded since the limit was looked at
	quickest time.Duration // of those; 0: not known
	typical  time.Duration // of late; 0: not known
	lately   time.Duration // the best of this epoch
	before   time.Duration // and of the one before
	since    time.Time     // when the epoch began
}

// newConcurrency begins with a few, and with most at most.
func newConcurrency(most int) Concurrency {
	return Concurrency{most: most, limit: min(startWith, most), safe: most, patience: patienceFirst}
}

// Limit is how many attempts may be made at a time now.
func (c *Concurrency) Limit() int { return c.limit }

// Typical is how long attempts take of late; 0 when that is not known.
func (c *Concurrency) Typical() time.Duration { return c.typical }

// set changes the limit.
func (c *Concurrency) set(limit, cuts int) {
	c.limit, c.cuts, c.trust, c.good, c.quickest = limit, c.cuts+cuts, 0, 0, 0
}

// Allow changes how many attempts may be made at a time at most; running is how many go on. What
// the next hop has shown to take less of stays.
func (c *Concurrency) Allow(most, running int) {
	if c.safe == c.most {
		c.safe = most
	}
	c.most, c.safe = most, min(c.safe, most)
	if c.limit > most {
		c.older = running
		c.set(most, 1)
	}
}

// hear takes in what an attempt says of it; running is how many others go on, and more says that
// there is more to do than the limit allows. It reports whether the next hop is to be left in peace
// for a moment, and whether it is busy though only one attempt is made at a time: then the lane
// itself has to rest.
func (c *Concurrency) hear(r Report, running int, more bool, now time.Time) (busy, alone bool) {
	switch {
	case r.Cuts != c.cuts: // it says nothing of the limit of now
		c.older = max(c.older-1, 0)
		return r.Busy, false
	case r.Busy && c.older > 0: // nor does this, since more went on than the limit allows
		return true, false
	case r.Busy:
		return c.refused(running, now)
	case !r.Good:
		return false, false
	}
	c.trust = min(c.trust+1, strayMost*strayRounds*c.limit)
	c.good++
	if r.Light {
		c.typical = average(c.typical, r.Took)
		c.quickest = least(c.quickest, r.Took)
	}
	if c.good >= c.limit {
		c.look(running, more, now)
	}
	return false, false
}

// refused pays for a stray with the trust that the limit has earned. When there is not enough the
// limit is too high.
func (c *Concurrency) refused(running int, now time.Time) (busy, alone bool) {
	if c.trust -= strayRounds * c.limit; c.trust >= 0 {
		return false, false
	}
	alone = c.limit == 1
	if c.limit > c.safe {
		c.patience = min(2*c.patience, patienceMost)
	} else {
		c.safe = max(c.limit-max(c.limit/8, 1), 1)
	}
	c.lower(c.safe, running, now)
	return true, alone
}

// look decides once as many attempts have succeeded as may be made at a time.
func (c *Concurrency) look(running int, more bool, now time.Time) {
	took := c.quickest
	c.good, c.quickest = 0, 0
	best := c.best(took, now)
	switch {
	case took > 3*best+200*time.Millisecond && c.limit == 1: // it is not for our sake that it is slow
		c.lately, c.before = took, 0
	case took > 3*best+200*time.Millisecond:
		c.lower(c.limit/2, running, now)
	case !more, took > 2*best+50*time.Millisecond:
	case c.limit < c.safe:
		c.set(min(2*c.limit, c.safe), 0)
	case !now.Before(c.rest):
		c.step(now)
	}
}

// step goes one beyond what is safe. The step before, if there was one, has held until now.
func (c *Concurrency) step(now time.Time) {
	if c.limit > c.safe {
		c.safe, c.patience = c.limit, max(min(c.patience/2, patienceFirst), patienceLeast)
	}
	if c.limit < c.most {
		c.rest = now.Add(c.patience)
		c.set(c.limit+1, 0)
	}
}

// lower halves the limit. It doubles again up to safe, and goes no further before a while.
func (c *Concurrency) lower(safe, running int, now time.Time) {
	c.patience = max(c.patience, patienceFirst)
	c.safe, c.rest, c.older = safe, now.Add(c.patience), running
	c.set(max(c.limit/2, 1), 1)
}

// best is the shortest time that an attempt took within the last epochs, the latest included.
func (c *Concurrency) best(took time.Duration, now time.Time) time.Duration {
	if now.Sub(c.since) >= epoch {
		c.before, c.lately, c.since = c.lately, 0, now
	}
	c.lately = least(c.lately, took)
	return least(c.before, c.lately)
}

// ahead is how many messages beyond the limit are to be at hand, so that a worker that is done
// finds the next one and yet a message that comes now is not behind many.
func (c *Concurrency) ahead() int {
	if c.typical <= 0 {
		return c.limit
	}
	return int(min(max(time.Duration(c.limit)*headStart/c.typical, 1), time.Duration(c.limit)))
}

// least is the smaller one of two times; 0 is none.
func least(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func average(old, now time.Duration) time.Duration {
	if old == 0 {
		return now
	}
	return old + (now-old)/8
}
