package queue

import (
	"context"
	"sync/atomic"
	"time"
)

// When the answer to new mail is held back, and for how long.
const (
	inflowFrom  = 8 * time.Millisecond   // a queue that is empty within this holds up nobody
	inflowUpTo  = 250 * time.Millisecond // with more than this to do, waiting would help nobody
	inflowMost  = 10 * time.Millisecond  // the longest wait
	inflowLeast = time.Millisecond       // a shorter one is not worth a timer
	inflowQuick = 10 * time.Millisecond  // a next hop whose attempts take longer is not waited for
	inflowStale = 50 * time.Millisecond  // what was found longer ago says nothing of now
)

// inflow keeps those who hand in mail from running ahead of a next hop that is quick. Where mail
// comes in faster than it goes out, each message soon stands behind hundreds of others and gains
// nothing by having come early. So when new mail would take more than a few milliseconds to set
// out, the answer to it is held back until the sending has about caught up; by then it is on the
// disk. A next hop that is slow, away, or far behind is never waited for.
type inflow struct {
	ahead atomic.Int64 // messages accepted and not claimed since nothing was due
	each  atomic.Int64 // time for one of them, in nanoseconds; 0: not to be waited for
	found atomic.Int64 // when that was found, in nanoseconds since 1970
}

// accepted counts a message that may be claimed from now on.
func (b *inflow) accepted() { b.ahead.Add(1) }

// claimed takes in that n messages were claimed, and whether nothing else is due. What was not
// counted when it came, such as mail from before a restart, makes the count too low rather than too
// high.
func (b *inflow) claimed(n int, all bool) {
	if left := b.ahead.Add(int64(-n)); left < 0 || all {
		b.ahead.Store(0)
	}
}

// sent takes in that an attempt succeeded, how long attempts take of late, and how many are made at
// a time.
func (b *inflow) sent(typical time.Duration, limit int, now time.Time) {
	if typical > inflowQuick {
		typical = 0
	}
	b.each.Store(int64(typical) / int64(limit))
	b.found.Store(now.UnixNano())
}

// hold waits for as long as new mail should, at most until ctx ends.
func (b *inflow) hold(ctx context.Context) {
	behind := time.Duration(b.ahead.Load() * b.each.Load())
	wait := min(behind-inflowFrom, inflowMost)
	if wait < inflowLeast || behind > inflowUpTo || time.Since(time.Unix(0, b.found.Load())).Abs() > inflowStale {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
