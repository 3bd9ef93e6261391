package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/queue/lane"
)

// claimPause is how long a store is left alone that could not be read from.
const claimPause = time.Second

// lookEvenIdle is how often a lane is looked at on which nothing is to be done: what another
// process claimed and left there may be claimed again.
const lookEvenIdle = 5 * time.Minute

// dispatcher decides what is tried when on one lane. The goroutine of run owns what stands from
// next on.
type dispatcher struct {
	q           *Queue
	name        string
	nudge       chan struct{} // holds one: there may be something to claim
	wake        chan struct{} // holds one: settings changed
	probe       chan struct{} // holds one: an operator wants a waiting lane probed
	events      chan event
	status      atomic.Pointer[lane.Status]
	concurrency atomic.Int64
	handing     atomic.Int64 // messages being handed over now
	inflow      inflow

	next     Deliverer
	lane     lane.Lane
	hold     hold
	doubts   doubts
	attempts context.Context // of all attempts; it ends after Config.Grace
	running  int             // attempts that were begun and have not ended
	seq      uint64          // attempts begun
	due      bool            // there may be something to claim
	jobs     chan job        // to goroutines that made attempts before; nil: each attempt has a new one
	workers  sync.WaitGroup
	gone     bool      // there is no such lane any more
	faulty   bool      // the store could not be read from
	rest     time.Time // nothing is claimed before, for that
	timer    *time.Timer
	alarm    time.Time // when it goes off
}

// event tells the dispatcher what became of a claim.
type event struct {
	claim   Claim
	seq     uint64 // attempts begun before it
	ended   bool   // its attempt is over
	settled bool   // nothing more of it will be written
	release bool   // its record was left as it was
	err     error  // its record could not be read
	heard   lane.Report
	suspect *attempt // what was said may be about this message alone; nothing of it is written yet
}

// run gives out work until ctx ends, or the lane has been idle for long.
func (d *dispatcher) run(ctx context.Context) {
	// Attempts outlive ctx: a delivery cut off after DATA would be repeated.
	attempts, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	d.attempts, d.timer = attempts, time.NewTimer(0)
	defer d.timer.Stop()
	defer d.workers.Wait()
	if d.q.cfg().always(d.name) {
		d.jobs = make(chan job)
		defer close(d.jobs)
	}
	if d.q.cfg().Capture {
		d.lane.Stop(lane.Development, reasonDevelopment, time.Now())
	}
	for idle := time.Now(); ctx.Err() == nil; {
		d.dispatch(time.Now())
		switch {
		case d.gone && len(d.hold.all) == 0 && d.running == 0:
			d.q.quit(d)
			return
		case d.q.cfg().always(d.name) || d.busy():
			idle = time.Now()
		case time.Since(idle) >= idleTime:
			d.q.quit(d)
			return
		}
		select {
		case <-ctx.Done():
		case e := <-d.events:
			d.learn(e)
			for len(d.events) > 0 { // one look at the store serves them all
				d.learn(<-d.events)
			}
		case <-d.nudge:
			d.due = true
		case <-d.timer.C:
			d.due = true
		case <-d.wake:
			d.useSettings(time.Now())
		case <-d.probe:
			d.lane.ProbeNow(time.Now())
			d.due = true
		}
	}
	d.drain(abandon)
}

// drain gives back what was not begun and waits for the rest.
func (d *dispatcher) drain(abandon func()) {
	d.hold.putBack()
	grace, renew := time.NewTimer(d.q.cfg().Grace), time.NewTicker(renewEvery)
	defer grace.Stop()
	defer renew.Stop()
	for d.hold.forgetLast(); len(d.hold.all) > len(d.doubts.list) || d.running > 0; d.hold.forgetLast() {
		select {
		case e := <-d.events:
			d.learn(e)
		case <-renew.C:
			d.hold.renew(time.Now())
		case <-grace.C:
			abandon()
		}
	}
	d.acquit()
}

// dispatch claims what can be begun soon, begins what can be now, and sets the timer for the rest.
func (d *dispatcher) dispatch(now time.Time) {
	d.fill(now)
	if len(d.doubts.list) > 0 && !d.lane.Waits() && d.begun() == 0 && !d.due && !d.paused() {
		d.suspect(d.doubts.list[0], now) // nothing else could show whose the replies were
		d.fill(now)
	}
	d.concurrency.Store(int64(d.lane.Limit()))
	if at := d.until(now); at.Before(d.alarm) || !now.Before(d.alarm) { // to come too early costs a look
		d.alarm = later(at, now.Add(time.Millisecond))
		d.timer.Reset(d.alarm.Sub(now))
	}
}

// fill claims what can be begun soon, and begins what can be now.
func (d *dispatcher) fill(now time.Time) {
	if !d.q.cfg().Capture {
		d.lane.Ready(d.next.Ready(), now)
	}
	if (d.stopped() || d.lane.Waits() && !d.lane.Probing()) && d.hold.putBack() {
		d.lane.NotBegun()
		d.due = true
	}
	d.hold.renew(now) // or else what lapsed while we slept would be claimed a second time
	for d.due && !d.stopped() && !now.Before(d.rest) {
		n := d.lane.Room(d.begun(), d.mayLook(now), now)
		if n == 0 {
			break
		}
		batch, err := d.claim(n, now)
		if d.fault(err, now); err != nil {
			break
		}
		d.due = len(batch) == n || d.hold.last != nil
		d.inflow.claimed(len(batch), !d.due)
		d.hold.forgetLast()
		for _, c := range batch {
			d.regained(c)
		}
		if d.hold.add(batch); d.lane.Waits() && len(batch) > 0 {
			d.lane.Probe()
		}
	}
	for len(d.hold.ready) > 0 && d.running < d.lane.Limit() {
		attempt, c := d.hold.begin(d.attempts)
		d.running++
		d.seq++
		d.start(job{attempt, d.next, event{claim: c, seq: d.seq, heard: d.lane.Begins()}})
	}
}

// begun is how many claims are tried now or soon.
func (d *dispatcher) begun() int { return d.running + len(d.hold.ready) }

// stopped reports whether nothing is to be begun on the lane at all.
func (d *dispatcher) stopped() bool {
	return d.gone || d.q.cfg().Capture || d.q.fault.on.Load() || d.paused()
}

// paused reports whether an operator paused the lane.
func (d *dispatcher) paused() bool { return d.q.pauses.get(d.name) != nil }

// busy reports whether there is something to be done on the lane, now or once a wait is over.
func (d *dispatcher) busy() bool {
	_, later := d.q.store.NextDue(d.name)
	return later || len(d.hold.all) > 0 || d.running > 0 || d.lane.Waits()
}

// claim takes legs from the store. That of the last probe is among them only when there is no
// other.
func (d *dispatcher) claim(n int, now time.Time) ([]Claim, error) {
	if d.lane.Waits() && len(d.doubts.list) > 0 {
		return d.another(now)
	}
	d.doubts.probe = 0
	batch, err := d.q.store.Claim(d.name, n)
	if err == nil && len(batch) == 0 && d.hold.last != nil {
		d.hold.forgetLast()
		batch, err = d.q.store.Claim(d.name, n)
	}
	return batch, err
}

// fault leaves a store alone for a moment that does not give out what it has, and says so once.
func (d *dispatcher) fault(err error, now time.Time) {
	if err != nil {
		if !d.faulty {
			d.q.log.Error("no mail can be fetched from the queue; it is tried again every second", "lane", d.name, "err", err)
		}
		d.rest = now.Add(claimPause)
	}
	d.faulty = err != nil
}

// learn takes in what became of a claim.
func (d *dispatcher) learn(e event) {
	now, weigh := time.Now(), false
	if e.ended {
		weigh = d.ended(e, now)
	}
	if !e.settled {
		return
	}
	d.hold.ended(e.claim)
	d.fault(e.err, now)
	switch {
	case e.suspect != nil && d.doubt(e, weigh, now):
	case e.release && e.heard.Probe && d.hold.last == nil && !d.gone:
		d.hold.keepLast(e.claim)
		d.due = true
	default:
		d.hold.release(e.claim)
		d.due = d.due || e.release
	}
}

// ended takes in what an attempt says of the lane. It reports whether what is in doubt is to be
// weighed.
func (d *dispatcher) ended(e event, now time.Time) (heeded bool) {
	d.running--
	r := e.heard
	if r.Taken {
		d.taken(e, now)
	}
	heeded = d.lane.Hear(r, e.suspect != nil, d.running, d.due || d.begun() >= d.lane.Limit(), now)
	if r.Good && r.Light {
		d.inflow.sent(d.lane.Typical(), d.lane.Limit(), now)
	}
	if heeded && e.suspect == nil && r.Kind != lane.None && d.lane.Waits() {
		d.acquit() // it was the lane
	}
	if !d.lane.Waits() {
		d.doubts.same, d.doubts.shared = 0, false
	}
	d.due = d.due || d.lane.InDoubt()
	return heeded
}

// until is when to look again, if no event comes first.
func (d *dispatcher) until(now time.Time) time.Time {
	look := now.Add(lookEvenIdle)
	if len(d.hold.all) > 0 {
		look = now.Add(renewEvery)
	}
	at, ok := now, d.due || d.lane.Waits() && len(d.doubts.list) > 0 // those are claimed
	if !ok {
		at, ok = d.q.store.NextDue(d.name)
	}
	switch {
	case !ok, d.stopped(): // the end of a pause or a fault is an event
		return look
	case now.Before(d.rest):
		return later(at, d.rest)
	}
	if at, ok = d.lane.Until(at, now); !ok || d.due && !d.lane.Waits() && !at.After(now) { // for want of a slot: its end is an event
		return look
	}
	if again := later(now, d.doubts.looked.Add(lookEvery)); d.due && d.lane.Waits() && d.doubts.open() && again.Before(at) {
		at = again
	}
	if at.Before(look) {
		return at
	}
	return look
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
