package queue

import (
	"context"
	"time"
)

// claimPause is how long to leave a store alone that could not be claimed from.
const claimPause = time.Second

// busyPause is how long nothing is claimed after the next hop said that it is busy, for it would say so again.
const busyPause = 50 * time.Millisecond

// dispatcher decides what is tried when. One goroutine owns it.
type dispatcher struct {
	*crew
	lane     lane
	pace     pace
	inflight map[ID]bool // messages in somebody's hands; true: claimed a second time, to be released at the end
	begun    int         // jobs given out and not ended
	due      bool        // there may be something to claim
	rest     time.Time   // no claims before
	deaf     bool        // the last claim went wrong
	benched  ID          // the last probe; still claimed, so that the next one is another message
	doubts   doubts
	seq      uint64 // jobs given out
	timer    *time.Timer
}

func newDispatcher(c *crew) *dispatcher {
	d := &dispatcher{crew: c, inflight: make(map[ID]bool), due: true, doubts: newDoubts(), timer: time.NewTimer(time.Hour)}
	d.pace = newPace(c.q.cfg().Workers, &c.q.width)
	d.staff()
	d.lane = lane{
		name: laneName,
		log:  c.q.log,
		show: func(s LaneStatus) { c.q.lane.Store(&s) },
		tell: func(k EventKind, text string) { c.q.tellLane(k, laneName, text) },
		era:  1,
	}
	if c.q.cfg().Capture {
		d.lane.stop(kindDevelopment, reasonDevelopment, time.Now())
	}
	return d
}

// run gives out work until ctx ends.
func (d *dispatcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		d.dispatch(time.Now())
		select {
		case <-ctx.Done():
		case e := <-d.events:
			d.learn(e)
			d.learnMore()
		case <-d.q.nudge:
			d.due = true
		case <-d.timer.C:
			d.due = true
		case a := <-d.asks:
			a.granted <- d.grant(a.m)
		case <-d.q.wake:
			d.staff()
			d.forgive(time.Now())
			d.lane.wake(time.Now())
			d.due = true
		case <-d.q.probe:
			d.lane.hurry(time.Now())
			d.due = true
		}
	}
	d.timer.Stop()
}

// staff sees to it that there are as many workers as the settings allow attempts. Those there were too many of wait.
func (d *dispatcher) staff() {
	most := d.q.cfg().Workers
	for ; d.hired < most; d.hired++ {
		d.hire(d.hired)
	}
	d.pace.allow(most, int(d.q.count.handing.Load()))
}

// windUp takes back the jobs that nobody has begun and waits for the others.
func (d *dispatcher) windUp(abandon func()) {
	close(d.jobs)
	d.pace.end()
	grace := time.NewTimer(d.q.cfg().Grace)
	defer grace.Stop()
	for len(d.inflight) > 0 || d.begun > 0 {
		select {
		case e := <-d.events:
			d.learn(e)
		case <-grace.C:
			abandon()
		}
	}
	close(d.verdicts)
}

// dispatch claims what can be begun soon and sets the timer for what cannot.
func (d *dispatcher) dispatch(now time.Time) {
	d.fill(now)
	if d.unanswered() {
		d.suspect(d.doubts.list[0], now)
		d.fill(now)
	}
	d.setTimer(now)
}

// fill claims what can be begun soon.
func (d *dispatcher) fill(now time.Time) {
	for d.due {
		room := d.room(now)
		if room == 0 {
			break
		}
		edits := d.q.edits.Load()
		batch, err := d.claim(room, now)
		if err != nil {
			if !d.deaf { // once, not every second
				d.q.log.Error("no mail can be fetched from the queue; it is tried again every second", "err", err)
			}
			d.deaf, d.rest = true, now.Add(claimPause)
			break
		}
		d.deaf = false
		d.due = len(batch) == room || d.benched != ""
		d.q.brake.claimed(len(batch), !d.due)
		d.unbench()
		for _, m := range batch {
			d.begin(m, edits)
		}
	}
}

// room is how many messages may be claimed now: as many as the pace allows and some ahead, so that no worker waits, or one for a
// probe.
func (d *dispatcher) room(now time.Time) int {
	if d.q.cfg().Capture || d.q.sick.on.Load() || d.q.lanePaused() || now.Before(d.rest) {
		return 0
	}
	d.lane.ready(d.q.next.Ready(), now)
	limit, ahead := d.pace.limit, d.pace.ahead()
	switch {
	case d.lane.waits() && (d.lane.mayProbe(now) || d.mayLook(now)) && d.begun < cap(d.jobs):
		return 1
	case d.lane.waits(), d.begun > limit+ahead/2: // claims in batches, not one by one
		return 0
	default:
		return limit + ahead - d.begun
	}
}

// claim takes messages from the store. The benched one is among them only when there is no other.
func (d *dispatcher) claim(room int, now time.Time) ([]Message, error) {
	if d.lane.waits() && len(d.doubts.list) > 0 {
		return d.another(now)
	}
	d.doubts.probe = 0
	batch, err := d.q.store.Claim(room, lease)
	if err == nil && len(batch) == 0 && d.benched != "" {
		d.unbench()
		batch, err = d.q.store.Claim(room, lease)
	}
	return batch, err
}

func (d *dispatcher) unbench() {
	if d.benched != "" {
		d.q.store.Release(d.benched)
		d.benched = ""
	}
}

// begin gives a claimed message to a worker. A captured one is not due in any Store; should it be in one, it stays here.
func (d *dispatcher) begin(m Message, edits uint64) {
	if m.Captured {
		return
	}
	if _, busy := d.inflight[m.ID]; busy {
		d.inflight[m.ID] = true
		return
	}
	d.doubts.drop(m.ID) // an operator, or the end of the lease, gave it back
	d.inflight[m.ID] = false
	d.begun++
	probe := d.lane.waits()
	d.lane.probing = probe
	d.seq++
	d.jobs <- job{m: &m, era: d.lane.era, seq: d.seq, probe: probe, edits: edits}
}

// learn takes in what became of a message.
func (d *dispatcher) learn(e event) {
	now, weigh := time.Now(), false
	if e.ended {
		d.begun--
		busy, alone := d.pace.hear(e.heard, int(d.q.count.handing.Load()), d.due || d.begun >= d.pace.limit, now)
		if e.heard.good && e.heard.light {
			d.q.brake.sent(d.pace.typical, d.pace.limit, now)
		}
		if alone && e.heard.pause != NoPause && e.suspect == nil { // or else the lane goes on, and so do its jobs
			d.spoil(int64(e.heard.era))
		}
		if busy && e.heard.pause == PauseBusy {
			d.rest = later(d.rest, now.Add(busyPause))
		}
		if e.heard.taken {
			d.taken(e, now)
		}
		switch alone = alone || e.heard.probe; {
		case e.suspect != nil && (e.heard.pause != PauseBusy || alone):
			weigh = true
			d.lane.ended(e.heard)
		case e.heard.pause != PauseBusy || alone:
			if d.lane.hear(e.heard, now); e.heard.pause != NoPause && d.lane.waits() {
				d.acquit() // it was the lane
			}
		}
		if !d.lane.waits() {
			d.doubts.same, d.doubts.shared = 0, false
		}
		d.due = d.due || d.lane.doubt != NoPause
	}
	if !e.settled {
		return
	}
	again := d.inflight[e.id]
	delete(d.inflight, e.id)
	switch {
	case e.suspect != nil && !again && d.doubt(e, weigh, now):
	case e.release && e.heard.probe && d.benched == "":
		d.benched = e.id
		d.due = true
	case e.release || again:
		d.q.store.Release(e.id)
		d.due = true
	}
}

// learnMore takes in what else has been reported, so that one look at the store serves it all.
func (d *dispatcher) learnMore() {
	for {
		select {
		case e := <-d.events:
			d.learn(e)
		default:
			return
		}
	}
}

// grant gives the janitor those of m that are in nobody's hands while their lane waits.
func (d *dispatcher) grant(m []Message) []Message {
	var free []Message
	for i := range m {
		if _, busy := d.inflight[m[i].ID]; !busy && d.lane.waits() {
			d.doubts.drop(m[i].ID)
			d.inflight[m[i].ID] = false
			free = append(free, m[i])
		}
	}
	return free
}

// setTimer wakes the dispatcher when the next thing can be done that no event will announce.
func (d *dispatcher) setTimer(now time.Time) {
	at, ok := now, d.due
	if !d.due {
		at, ok = d.q.store.NextDue()
	}
	if !ok && d.lane.waits() && len(d.doubts.list) > 0 { // those are claimed
		at, ok = now, true
	}
	switch {
	case !ok, d.q.cfg().Capture, d.q.lanePaused(): // the end of a pause is an event
		return
	case now.Before(d.rest):
		at = later(at, d.rest)
	case d.lane.kind == kindNotConfigured:
		at = later(at, now.Add(recheck))
	case d.lane.waits() && (d.lane.probing || d.lane.probe.IsZero()):
		return // the probe's end is an event
	case d.lane.waits():
		at = later(at, d.lane.probe)
		if look := later(now, d.doubts.looked.Add(lookEvery)); d.due && d.doubts.open() && look.Before(at) {
			at = look
		}
	case d.due:
		return // for want of a free worker, or for a sick disk: both end with an event
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
