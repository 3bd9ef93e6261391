package queue

import (
	"sync/atomic"
	"time"
)

const (
	startPace = 4                     // attempts at a time to begin with
	headStart = 20 * time.Millisecond // how much work the workers find ready beyond what they have in hand
	epoch     = 5 * time.Minute       // how long the best time of an attempt is remembered, and at most twice that

	patienceFirst = time.Second // between two steps above what is known to be safe
	patienceMost  = time.Minute

	lightBytes      = 64 << 10 // attempts of more than that, or with more than lightRecipients, take long for their own sake
	lightRecipients = 10
)

// pace finds out how many attempts the next hop takes at a time. It begins with a few and doubles while attempts succeed in the
// same time and more wait; where there was trouble it halves, and from there it grows by one at a time. Trouble is a 421, another
// 4xx about the lane, and even the quickest of as many attempts as are made at a time taking far longer than the best did. The
// dispatcher owns it; workers see width.
type pace struct {
	most  int
	limit int
	width *atomic.Pointer[width]

	safe     int           // up to here it doubles
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
	p.limit, p.good, p.quickest = limit, 0, 0
	p.width.Store(&width{limit: limit, cuts: old.cuts + cuts, changed: make(chan struct{})})
	close(old.changed)
}

// end lets every worker see that there are no more jobs.
func (p *pace) end() {
	p.over = true
	p.set(p.most, 0)
}

// hear takes in what an attempt says of the pace; running is how many others go on, and more says that there is more to do than
// the limit allows. It reports whether the next hop is busy though only one attempt is made at a time: then the lane itself has
// to rest.
func (p *pace) hear(h hearing, running int, more bool, now time.Time) bool {
	switch {
	case p.over:
		return false
	case h.cuts != p.width.Load().cuts: // it says nothing of the limit of now
		p.older = max(p.older-1, 0)
		return false
	case h.busy && p.older > 0: // nor does this, since more went on than the limit allows
		return false
	case h.busy:
		alone := p.limit == 1
		p.patience = min(2*p.patience, patienceMost)
		p.lower(running, now.Add(p.patience))
		return alone
	case !h.good:
		return false
	}
	p.good++
	if h.light {
		p.typical = average(p.typical, h.took)
		p.quickest = least(p.quickest, h.took)
	}
	if p.good >= p.limit {
		p.look(running, more, now)
	}
	return false
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
		p.lower(running, now.Add(patienceFirst))
	case p.limit == p.most:
		p.patience = patienceFirst
	case !more, took > 2*best+50*time.Millisecond:
	case p.limit < p.safe:
		p.set(min(2*p.limit, p.safe), 0)
	case !now.Before(p.rest):
		p.rest = now.Add(p.patience)
		p.set(p.limit+1, 0)
	}
}

// lower halves the limit and lets it be until rest.
func (p *pace) lower(running int, rest time.Time) {
	p.rest, p.older = rest, running
	p.safe = max(p.limit/2, 1)
	p.set(p.safe, 1)
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
