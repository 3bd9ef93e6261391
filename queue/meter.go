package queue

import (
	"strconv"
	"sync/atomic"

	"dinkymail/internal/measure"
)

// meter counts what attempts do, for metrics.
type meter struct {
	delivery measure.Durations               // from the acceptance of a message to the delivery to each recipient
	attempt  measure.Durations               // of one attempt
	results  [Dropped][classes]atomic.Uint64 // an attempt drops nobody
}

// Meters is what attempts did since the start.
type Meters struct {
	Delivery measure.Spread // from a message's acceptance, or its NotBefore, to the delivery to each recipient
	Attempt  measure.Spread // how long attempts took
	Results  []ResultCount  // those that happened
	Sync     measure.Spread // how long the disk took to keep what was written; empty when the store does not tell
}

// ResultCount is how often a recipient of an attempt had an outcome for a reason of a class.
type ResultCount struct {
	Outcome Outcome
	Class   string // "2xx", "4xx" or "5xx" for replies, "network" without one, "local" for our own, or what Pause says
	N       uint64
}

// Classes of results: replies by their first digit, then what no reply is behind, then those of
// Pause.
const (
	classNetwork = 6
	classLocal   = 7
	classPause   = 8 // + Pause
	classes      = classPause + int(PauseBusy) + 1
)

func classOf(r *Result, local bool) int {
	switch {
	case local:
		return classLocal
	case r.Pause > NoPause && r.Pause <= PauseBusy:
		return classPause + int(r.Pause)
	case 200 <= r.Code && r.Code < 600:
		return r.Code / 100
	}
	return classNetwork
}

func className(class int) string {
	switch {
	case class == classLocal:
		return "local"
	case class >= classPause:
		return Pause(class - classPause).String()
	case class == classNetwork:
		return "network"
	}
	return strconv.Itoa(class) + "xx"
}

// settled takes in an attempt whose result was written.
func (t *meter) settled(a *attempt) {
	if !a.swept {
		t.attempt.Observe(a.took)
	}
	from := a.m.Accepted
	if a.m.NotBefore.After(from) {
		from = a.m.NotBefore
	}
	for i := range a.results {
		r := &a.results[i]
		t.results[min(r.Outcome, Failed)][classOf(r, a.local)].Add(1)
		if r.Outcome == Delivered {
			t.delivery.Observe(a.at.Add(a.took).Sub(from))
		}
	}
}

// Meters is what attempts did since the start.
func (q *Queue) Meters() Meters {
	m := Meters{Delivery: q.meter.delivery.Spread(), Attempt: q.meter.attempt.Spread()}
	for outcome := range q.meter.results {
		for class := range q.meter.results[outcome] {
			if n := q.meter.results[outcome][class].Load(); n > 0 {
				m.Results = append(m.Results, ResultCount{Outcome(outcome), className(class), n})
			}
		}
	}
	if s, ok := q.store.(interface{ Syncs() measure.Spread }); ok {
		m.Sync = s.Syncs()
	}
	return m
}
