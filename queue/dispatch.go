package queue

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"dinkymail/queue/lane"
)

const (
	claimPause = time.Second           // how long a store is left alone that could not be claimed from
	busyPause  = 50 * time.Millisecond // how long nothing is begun after the next hop said that it is busy
	renewEvery = ClaimTime / 3         // how often claims are renewed
)

// dispatcher decides what is tried when on one lane. The goroutine of run owns what stands below next.
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
	slots    lane.Concurrency
	attempts context.Context              // of all attempts; it ends after Config.Grace
	claims   map[Claim]context.CancelFunc // all that are held, with the end of the attempt that goes on
	ready    []Claim                      // of those: not begun
	running  int                          // attempts that were begun and have not ended
	last     *Claim                       // the last probe's, kept so that the next one is of another message
	doubts   doubts
	seq      uint64    // attempts begun
	due      bool      // there may be something to claim
	rest     time.Time // nothing is claimed before
	renewed  time.Time // when all claims were
	faulty   bool      // the last claim went wrong
	timer    *time.Timer
	tick     *time.Timer // to renew claims
	ticking  bool
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
	d.attempts, d.timer = attempts, time.NewTimer(time.Hour)
	d.tick = time.NewTimer(renewEvery)
	defer d.tick.Stop()
	for idle := time.Now(); ctx.Err() == nil; {
		now := time.Now()
		d.dispatch(now)
		if d.q.cfg().always(d.name) || d.busy() {
			idle = now
		} else if now.Sub(idle) >= idleTime {
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
		case <-d.tick.C:
			d.ticking, d.due = false, true
			d.tick.Reset(ClaimTime) // what others claimed and left may be claimed again
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
	d.putBack()
	d.forgetLast()
	grace := time.NewTimer(d.q.cfg().Grace)
	defer grace.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for len(d.claims) > len(d.doubts.list) || d.running > 0 {
		select {
		case e := <-d.events:
			d.learn(e)
			d.forgetLast()
		case <-renew.C:
			d.renew(time.Now())
		case <-grace.C:
			abandon()
		}
	}
	d.acquit()
}

// dispatch claims what can be begun soon, begins what can be now, and sets the timer for the rest.
func (d *dispatcher) dispatch(now time.Time) {
	d.fill(now)
	if len(d.doubts.list) > 0 && !d.lane.Waits() && d.running+len(d.ready) == 0 && !d.due && !d.paused() {
		d.suspect(d.doubts.list[0], now) // nothing else could show whose the replies were
		d.fill(now)
	}
	if len(d.claims) > 0 && !d.ticking {
		d.ticking = true
		d.tick.Reset(renewEvery)
	}
	d.concurrency.Store(int64(d.slots.Limit()))
	d.setTimer(now)
}

// fill claims what can be begun soon, and begins what can be now.
func (d *dispatcher) fill(now time.Time) {
	if !d.q.cfg().Capture {
		d.lane.Ready(d.next.Ready(), now)
	}
	if d.stopped() || d.lane.Waits() && !d.lane.Probing() {
		d.putBack()
	}
	if now.Sub(d.renewed) >= renewEvery { // or else what lapsed while we slept would be claimed a second time
		d.renew(now)
	}
	for n := d.room(now); d.due && n > 0; n = d.room(now) {
		batch, err := d.claim(n, now)
		if err != nil {
			d.cannotRead(err, now)
			break
		}
		d.due = len(batch) == n || d.last != nil
		d.inflow.claimed(len(batch), !d.due)
		d.forgetLast()
		for _, c := range batch {
			d.regained(c)
			d.claims[c] = nil
			d.ready = append(d.ready, c)
		}
		if d.lane.Waits() && len(batch) > 0 {
			d.lane.Probe()
		}
	}
	for len(d.ready) > 0 && d.running < d.slots.Limit() {
		d.begin(d.ready[0])
		d.ready = d.ready[1:]
	}
}

// cannotRead leaves a store alone that does not give out what it has.
func (d *dispatcher) cannotRead(err error, now time.Time) {
	if !d.faulty { // once, not every second
		d.q.log.Error("no mail can be fetched from the queue; it is tried again every second", "lane", d.name, "err", err)
	}
	d.faulty, d.rest = true, now.Add(claimPause)
}

// room is how many legs may be claimed now: as many as may be tried at a time and some ahead, so that none of those waits, or one
// for a probe.
func (d *dispatcher) room(now time.Time) int {
	limit, ahead, begun := d.slots.Limit(), d.slots.Ahead(), d.running+len(d.ready)
	switch {
	case d.stopped() || now.Before(d.rest):
		return 0
	case d.lane.Waits() && (d.lane.MayProbe(now) || d.mayLook(now)):
		return 1
	case d.lane.Waits(), begun > limit+ahead/2: // claims in batches, not one by one
		return 0
	default:
		return limit + ahead - begun
	}
}

// stopped reports whether nothing is to be begun on the lane at all.
func (d *dispatcher) stopped() bool { return d.q.cfg().Capture || d.q.fault.on.Load() || d.paused() }

// paused reports whether an operator paused the lane.
func (d *dispatcher) paused() bool { return d.q.pauses.get(d.name) != nil }

// busy reports whether there is something to be done on the lane, now or once a wait is over.
func (d *dispatcher) busy() bool {
	_, later := d.q.store.NextDue(d.name)
	return later || len(d.claims) > 0 || d.running > 0 || d.lane.Waits()
}

// claim takes legs from the store. That of the last probe is among them only when there is no other.
func (d *dispatcher) claim(n int, now time.Time) ([]Claim, error) {
	if d.lane.Waits() && len(d.doubts.list) > 0 {
		return d.another(now)
	}
	d.doubts.probe = 0
	batch, err := d.q.store.Claim(d.name, n)
	if err == nil && len(batch) == 0 && d.last != nil {
		d.forgetLast()
		batch, err = d.q.store.Claim(d.name, n)
	}
	return batch, err
}

// begin makes an attempt.
func (d *dispatcher) begin(c Claim) {
	attempt, end := context.WithCancel(d.attempts)
	d.claims[c] = end
	d.running++
	d.seq++
	e := event{claim: c, seq: d.seq, heard: lane.Report{Generation: d.lane.Generation(), Cuts: d.slots.Cuts(), Probe: d.lane.Waits()}}
	go d.try(attempt, e)
}

// learn takes in what became of a claim.
func (d *dispatcher) learn(e event) {
	now, weigh := time.Now(), false
	switch {
	case e.err != nil:
		d.cannotRead(e.err, now)
	case e.settled:
		d.faulty = false
	}
	if e.ended {
		weigh = d.ended(e, now)
	}
	if !e.settled {
		return
	}
	if end := d.claims[e.claim]; end != nil {
		end()
	}
	delete(d.claims, e.claim)
	switch {
	case e.suspect != nil && d.doubt(e, weigh, now):
		d.claims[e.claim] = nil
	case e.release && e.heard.Probe && d.last == nil:
		d.claims[e.claim], d.last, d.due = nil, &e.claim, true
		d.q.store.Rest(e.claim)
	case e.release:
		d.q.store.Release(e.claim)
		d.due = true
	}
}

// ended takes in what an attempt says of the lane. It reports whether what is in doubt is to be weighed.
func (d *dispatcher) ended(e event, now time.Time) (weigh bool) {
	d.running--
	r := e.heard
	busy, alone := d.slots.Hear(r, d.running, d.due || d.running+len(d.ready) >= d.slots.Limit(), now)
	if r.Good && r.Light {
		d.inflow.sent(d.slots.Typical(), d.slots.Limit(), now)
	}
	if busy && r.Kind == lane.Busy {
		d.rest = later(d.rest, now.Add(busyPause))
	}
	if r.Taken {
		d.taken(e, now)
	}
	heed := r.Kind != lane.Busy || alone || r.Probe
	switch {
	case e.suspect != nil && heed:
		d.lane.Ended(r)
		weigh = true
	case heed:
		if d.lane.Hear(r, now); r.Kind != lane.None && d.lane.Waits() {
			d.acquit() // it was the lane
		}
	}
	if !d.lane.Waits() {
		d.doubts.same, d.doubts.shared = 0, false
	}
	d.due = d.due || d.lane.InDoubt()
	return weigh
}

// putBack releases what was claimed and not begun.
func (d *dispatcher) putBack() {
	for _, c := range d.ready {
		delete(d.claims, c)
	}
	d.q.store.Release(d.ready...)
	if len(d.ready) > 0 {
		d.ready, d.due = nil, true
		d.lane.Ended(lane.Report{Generation: d.lane.Generation(), Probe: true})
	}
}

func (d *dispatcher) forgetLast() {
	if d.last != nil {
		delete(d.claims, *d.last)
		d.q.store.Release(*d.last)
		d.last = nil
	}
}

// renew lets all claims hold, and ends the attempts of those that are lost: somebody else makes them.
func (d *dispatcher) renew(now time.Time) {
	d.renewed = now
	for c, end := range d.claims {
		if err := d.q.store.Renew(c); errors.Is(err, ErrLost) && end != nil {
			d.q.log.Warn("claim lost during the attempt: another process may try the message again", "id", c.ID, "lane", d.name)
			end()
		}
	}
}

// useSettings takes in that the settings changed.
func (d *dispatcher) useSettings(now time.Time) {
	if next, err := d.q.deliverer(d.name); err == nil {
		d.next = next
	}
	d.slots.Allow(d.q.cfg().Workers, d.running)
	d.forgive(now)
	d.lane.Wake(now)
	d.due = true
}

// setTimer wakes the dispatcher when the next thing can be done that no event will announce.
func (d *dispatcher) setTimer(now time.Time) {
	at, ok := now, d.due
	if !d.due {
		at, ok = d.q.store.NextDue(d.name)
	}
	if !ok && d.lane.Waits() && len(d.doubts.list) > 0 { // those are claimed
		at, ok = now, true
	}
	switch {
	case !ok && !d.q.cfg().always(d.name):
		at = now.Add(idleTime)
	case !ok, d.q.cfg().Capture, d.paused(): // the end of a pause is an event
		return
	case now.Before(d.rest):
		at = later(at, d.rest)
	case d.lane.Kind == lane.NotConfigured:
		at = later(at, now.Add(lane.Recheck))
	case d.lane.Waits() && (d.lane.Probing() || d.lane.NextProbe.IsZero()):
		return // the probe's end is an event
	case d.lane.Waits():
		at = later(at, d.lane.NextProbe)
		if look := later(now, d.doubts.looked.Add(lookEvery)); d.due && d.doubts.open() && look.Before(at) {
			at = look
		}
	case d.due:
		return // for want of a slot, or for a fault of the store: both end with an event
	}
	// A claim just found nothing due, so a moment's patience loses nothing and keeps a store that contradicts itself from
	// spinning us.
	d.timer.Reset(max(at.Sub(now), time.Millisecond))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
