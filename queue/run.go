package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// lease is how long the store keeps a claimed message from being claimed again. An attempt may outlast it: the dispatcher knows
// what is in flight.
const lease = time.Hour

// Run delivers mail until ctx ends. Then it begins no further attempt, gives those in flight Config.Grace to finish, writes
// their results, and returns nil with nothing left running. What an attempt cut off by then had not settled stays deferred as
// if it had not been tried. Run is called once.
func (q *Queue) Run(ctx context.Context) error {
	q.warnOfPauses()
	// Attempts outlive ctx: a delivery cut off after DATA would be repeated.
	attempts, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	c := newCrew(q)
	var hands sync.WaitGroup
	c.hire = func(n int) { hands.Go(func() { c.work(ctx, attempts, n) }) }
	hands.Go(func() { c.keepOrder(ctx, attempts) })
	hands.Go(func() { c.carryOut(attempts) })
	d := newDispatcher(c)
	d.run(ctx)
	d.windUp(abandon)
	hands.Wait()
	c.settlers.Wait()
	return nil
}

// crew is what the goroutines of one Run share.
type crew struct {
	q        *Queue
	jobs     chan job      // dispatcher to workers; never full
	verdicts chan *attempt // dispatcher to carryOut
	events   chan event    // workers and settlers to dispatcher
	asks     chan ask      // janitor to dispatcher
	settlers sync.WaitGroup
	hire     func(n int) // adds worker n
	hired    int         // how many there are; the dispatcher's
	// spoiled is the latest era of the lane in which an attempt heard that the lane should pause. Jobs of that era that nobody
	// has begun yet go back.
	spoiled atomic.Int64
}

// job is one message for a worker.
type job struct {
	m     *Message
	era   int
	seq   uint64 // how many were given out before
	probe bool
	edits uint64 // Queue.edits when it was claimed
}

// event tells the dispatcher what became of a message in flight.
type event struct {
	id      ID
	ended   bool // the worker is free again
	settled bool // nothing more of it will be written
	release bool // its record was left as it was
	heard   hearing
	suspect *attempt // what was said may be about this message alone; nothing of it is written yet
}

// ask is the janitor's wish to settle messages that are in nobody's hands. The answer is those it may have; they are in flight
// from then on.
type ask struct {
	m       []Message
	granted chan []Message
}

func newCrew(q *Queue) *crew {
	return &crew{
		q:        q,
		jobs:     make(chan job, 2*MaxWorkers),
		events:   make(chan event, MaxWorkers+2*MaxUnwritten),
		verdicts: make(chan *attempt, 2*maxDoubted),
		asks:     make(chan ask),
	}
}

// work makes attempts, one after the other, while the pace has room for worker n.
func (c *crew) work(ctx, attempts context.Context, n int) {
	for {
		w, jobs := c.q.width.Load(), c.jobs
		if n >= w.limit {
			jobs = nil
		}
		select {
		case j, open := <-jobs:
			if !open {
				return
			}
			c.try(ctx, attempts, j)
		case <-w.changed:
		}
	}
}

// try makes one attempt, or gives it back when the time for it is over.
func (c *crew) try(ctx, attempts context.Context, j job) {
	e := event{id: j.m.ID, ended: true, heard: hearing{era: j.era, seq: j.seq, probe: j.probe, cuts: c.q.width.Load().cuts}}
	stale := !j.probe && int64(j.era) <= c.spoiled.Load()
	if stale || ctx.Err() != nil || c.q.sick.on.Load() || c.q.lanePaused() {
		e.settled, e.release = true, true
		c.events <- e
		return
	}
	c.q.hands.take(j.m.ID, true, nil)
	edits, ok := c.q.refresh(&j)
	if !ok {
		c.q.hands.let(j.m.ID)
		e.settled, e.release = true, true
		c.events <- e
		return
	}
	a := c.q.attempt(attempts, *j.m)
	switch {
	case a == nil:
		e.settled = true
	case a.fruitless():
		e.settled, e.release = true, true
		if a.edits = edits; len(a.own) > 0 && attempts.Err() == nil {
			e.suspect = a
		}
	}
	if a != nil && !a.local && attempts.Err() == nil {
		a.hear(&e.heard)
	}
	if e.heard.pause != NoPause && e.heard.pause != PauseBusy && e.suspect == nil {
		c.spoil(int64(j.era))
	}
	if e.settled {
		c.q.hands.let(j.m.ID)
	} else {
		a.edits = edits
		c.hand(attempts, a)
	}
	c.events <- e
}

// refresh looks again at a message that an operator may have changed since it was claimed, and reports whether it is still to be
// tried. It returns up to which change it looked.
func (q *Queue) refresh(j *job) (edits uint64, ok bool) {
	edits = q.edits.Load()
	if edits == j.edits {
		return edits, true
	}
	m, err := q.store.Get(j.m.ID)
	if err != nil || m.waits() != nil || m.Held != "" || m.NextAttempt.After(time.Now()) {
		return edits, false // what cannot be read now can when it is claimed again, or that says why
	}
	j.m = &m
	return edits, true
}

func (c *crew) spoil(era int64) {
	for old := c.spoiled.Load(); old < era && !c.spoiled.CompareAndSwap(old, era); old = c.spoiled.Load() {
	}
}

// hand has an attempt's result written without waiting for it, unless MaxUnwritten are waiting already. The message is let go then.
func (c *crew) hand(ctx context.Context, a *attempt) {
	c.q.unwritten <- struct{}{}
	c.settlers.Go(func() {
		c.q.settle(ctx, a)
		c.q.hands.let(a.m.ID)
		<-c.q.unwritten
		c.events <- event{id: a.m.ID, settled: true}
	})
}
