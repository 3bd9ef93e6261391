// Package measure counts how long things take, for metrics.
//
// # What it promises
//
// Observe costs a few nanoseconds, allocates nothing, and may be called from any goroutine. A
// Spread read while it is observed may lack the newest observations, and its parts may differ by
// them.
package measure

import (
	"math"
	"sync/atomic"
	"time"
)

// buckets is how many spans a Durations tells apart; the last has no upper bound.
const buckets = 26

// first is the upper bound of the first bucket; each bound is twice the one before, which ends
// beyond nine hours.
const first = time.Millisecond

// Durations gathers how long something took. The zero value is ready.
type Durations struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Observe adds one duration. A negative one, which a clock that was set back makes, counts as zero.
func (d *Durations) Observe(took time.Duration) {
	took = max(took, 0)
	i, bound := 0, first
	for took > bound && i < buckets-1 {
		i, bound = i+1, 2*bound
	}
	d.counts[i].Add(1)
	d.sum.Add(int64(took))
}

// Spread is what was observed: how many took at most so long.
type Spread struct {
	Count uint64
	Sum   float64            // seconds
	UpTo  map[float64]uint64 // seconds → how many took at most that
}

// Spread is what was observed so far.
func (d *Durations) Spread() Spread {
	s := Spread{UpTo: make(map[float64]uint64, buckets-1)}
	bound := first
	for i := range d.counts {
		s.Count += d.counts[i].Load()
		if i < buckets-1 {
			s.UpTo[bound.Seconds()] = s.Count
		}
		bound *= 2
	}
	s.Sum = time.Duration(d.sum.Load()).Seconds()
	return s
}

// Quantile is the bound that a share q of what was observed did not pass, in seconds: 0.5 for the
// median. It is as exact as the buckets are wide. NaN when nothing was observed.
func (s Spread) Quantile(q float64) float64 {
	if s.Count == 0 {
		return math.NaN()
	}
	best := math.Inf(1)
	for bound, n := range s.UpTo {
		if float64(n) >= q*float64(s.Count) && bound < best {
			best = bound
		}
	}
	return best
}
