package queue

import (
	"sync/atomic"
	"time"
)

const (
	startPace = 4                     // attempts at a time to begin with
	headStart = 20 * time.Millisecond // how much work the workers find ready beyond what they have in hand
	epoch     = 5 * time.Minute       // how long the best time of an attempt is remembered, and at most twice that

	patienceFirst = time.Second // before a step above what is known to be safe
	patienceMost  = time.Minute // after many that went wrong
	patienceLeast = 50 * time.Millisecond

	// A limit that is too high by one shows in every round, which is as many attempts as are made at a time. What comes less
	// than once in strayRounds of them has other reasons, and strayMost such may come together.
	strayRounds = 4
	strayMost   = 4

	lightBytes      = 64 << 10 // attempts of more than that, or with more than lightRecipients, take long for their own sake
	lightRecipients = 10
)

// pace finds out how many attempts the next hop takes at a time. It begins with a few and doubles while attempts succeed in the
// same time and more wait. Where there was trouble it halves, doubles again to a little below, and from there grows by one at a
// time; a step that goes wrong is taken back, and the next one waits twice as long, while after each that holds the next waits
// half as long. Trouble is a 421 or another 4xx about the lane, unless it is a stray among many that succeeded at this limit.
// When even the quickest of as many attempts as are made at a time takes far longer than the best did, it halves too, and grows
// by one at a time from there. The dispatcher owns it; workers see width.
type pace struct {
	most  int
	limit int
	width *atomic.Pointer[width]

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
	over     bool          // nothing changes any more
}

// width is how many workers may take jobs. It is replaced as a whole.
type width struct {
	limit   int
	cuts    int           // how often the limit was lowered; an attempt knows only of those before it
	changed chan struct{} // closed when there is a newer one
}

// newPace begins with what w says.
func newPace(most int, w *atomic.Pointer[width]) pace {
	return pace{most: most, limit: w.Load().limit, safe: most, patience: patienceFirst, width: w}
}

func newWidth(most int) *width {
	return &width{limit: min(startPace, most), changed: make(chan struct{})}
}

// set changes the limit.
func (p *pace) set(limit, cuts int) {
	old := p.width.Load()
	p.limit, p.trust, p.good, p.quickest = limit, 0, 0, 0
	p.width.Store(&width{limit: limit, cuts: old.cuts + cuts, changed: make(chan struct{})})
	close(old.changed)
}

// allow changes how many attempts may be made at a time at most; running is how many go on. What the next hop has shown to take
// less of stays.
func (p *pace) allow(most, running int) {
	if p.safe == p.most {
		p.safe = most
	}
	p.most, p.safe = most, min(p.safe, most)
	if p.limit > most {
		p.older = running
		p.set(most, 1)
	}
}

// end lets every worker see that there are no more jobs.
func (p *pace) end() {
	p.over = true
	p.set(MaxWorkers, 0)
}

// hear takes in what an attempt says of the pace; running is how many others go on, and more says that there is more to do than
// the limit allows. It reports whether the next hop is to be left in peace for a moment, and whether it is busy though only one
// attempt is made at a time: then the lane itself has to rest.
func (p *pace) hear(h hearing, running int, more bool, now time.Time) (busy, alone bool) {
	switch {
	case p.over:
		return false, false
	case h.cuts != p.width.Load().cuts: // it says nothing of the limit of now
		p.older = max(p.older-1, 0)
		return h.busy, false
	case h.busy && p.older > 0: // nor does this, since more went on than the limit allows
		return true, false
	case h.busy:
		return p.refused(running, now)
	case !h.good:
		return false, false
	}
	p.trust = min(p.trust+1, strayMost*strayRounds*p.limit)
	p.good++
	if h.light {
		p.typical = average(p.typical, h.took)
		p.quickest = least(p.quickest, h.took)
	}
	if p.good >= p.limit {
		p.look(running, more, now)
	}
	return false, false
}

// refused pays for a stray with the trust that the limit has earned. When there is not enough the limit is too high.
func (p *pace) refused(running int, now time.Time) (busy, alone bool) {
	if p.trust -= strayRounds * p.limit; p.trust >= 0 {
		return false, false
	}
	alone = p.limit == 1
	if p.limit > p.safe {
		p.patience = min(2*p.patience, patienceMost)
	} else {
		p.safe = max(p.limit-max(p.limit/8, 1), 1)
	}
	p.lower(p.safe, running, now)
	return true, alone
}

// look decides once as many attempts have succeeded as may be made at a time.
func (p *pace) look(running int, more bool, now time.Time) {
	took := p.quickest
	p.good, p.quickest = 0, 0
	best := p.best(took, now)
	switch {
	case took > 3*best+200*time.Millisecond && p.limit == 1: // it is not for our sake that it is slow
		p.lately, p.before = took, 0
	case took > 3*best+200*time.Millisecond:
		p.lower(p.limit/2, running, now)
	case !more, took > 2*best+50*time.Millisecond:
	case p.limit < p.safe:
		p.set(min(2*p.limit, p.safe), 0)
	case !now.Before(p.rest):
		p.step(now)
	}
}

// step goes one beyond what is safe. The step before, if there was one, has held until now.
func (p *pace) step(now time.Time) {
	if p.limit > p.safe {
		p.safe, p.patience = p.limit, max(min(p.patience/2, patienceFirst), patienceLeast)
	}
	if p.limit < p.most {
		p.rest = now.Add(p.patience)
		p.set(p.limit+1, 0)
	}
}

// lower halves the limit. It doubles again up to safe, and goes no further before a while.
func (p *pace) lower(safe, running int, now time.Time) {
	p.patience = max(p.patience, patienceFirst)
	p.safe, p.rest, p.older = safe, now.Add(p.patience), running
	p.set(max(p.limit/2, 1), 1)
}

// best is the shortest time that an attempt took within the last epochs, the latest included.
func (p *pace) best(took time.Duration, now time.Time) time.Duration {
	if now.Sub(p.since) >= epoch {
		p.before, p.lately, p.since = p.lately, 0, now
	}
	p.lately = least(p.lately, took)
	return least(p.before, p.lately)
}

// ahead is how many messages beyond the limit are to be at hand, so that a worker that is done finds the next one and yet a
// message that comes now is not behind many.
func (p *pace) ahead() int {
	if p.typical <= 0 {
		return p.limit
	}
	return int(min(max(time.Duration(p.limit)*headStart/p.typical, 1), time.Duration(p.limit)))
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
