package queue

import (
	"context"
	"slices"
	"time"
)

// doubt takes in an attempt whose replies may be about its message alone, and weighs them unless they are for the pace to mind. It
// reports whether the message waits for a verdict; if not it is simply tried again.
func (d *dispatcher) doubt(e event, weigh bool, now time.Time) bool {
	s := &suspect{a: e.suspect, seq: d.seq, heard: now, pause: e.heard.pause}
	s.text, s.remedy = e.heard.text+s.whose(), e.heard.remedy
	current := e.heard.era == d.lane.era
	recent := now.Sub(d.doubts.good) <= freshFor
	if !weigh { // but one message must not be told for ever that the next hop is busy
		n := d.doubts.strikes[e.id] + 1
		d.doubts.strike(e.id, n)
		return n >= busyMost && recent && d.convict(s, now)
	}
	d.due = true
	beside := s.lenient() && !d.doubts.good.Before(s.a.at) // another was taken while it was refused
	if (beside || s.before() || d.doubts.strikes[e.id] >= busyMost && recent) && d.convict(s, now) {
		return true
	}
	if len(d.doubts.list) >= maxDoubted {
		d.tryAgain(d.doubts.list[0])
	}
	known := d.doubts.alike(s, now)
	d.doubts.list = append(d.doubts.list, s)
	d.q.log.Info("reply in doubt", "id", e.id, "kind", e.heard.pause.String(), "text", e.heard.text)
	switch {
	case !current:
	case d.lane.waits():
		d.doubts.same |= d.doubts.probe
		d.doubts.shared = d.doubts.shared || d.lane.doubt == NoPause && d.doubts.several()
		if d.lane.doubt == NoPause {
			d.lane.pause(s.pause, s.text, s.remedy, now)
		}
	case known && len(d.doubts.list) <= maxAtLarge:
	default:
		d.suspect(s, now)
	}
	return true
}

// suspect makes the next attempt a probe. What stands ready for the workers goes back.
func (d *dispatcher) suspect(s *suspect, now time.Time) {
	d.spoil(int64(d.lane.era))
	d.lane.suspect(s.pause, s.text, s.remedy, now)
	d.due = true
}

// unanswered reports whether a lane that flows has messages in doubt and nothing else to do that could show whose the replies were.
func (d *dispatcher) unanswered() bool {
	return len(d.doubts.list) > 0 && !d.lane.waits() && d.begun == 0 && !d.due && !d.q.lanePaused()
}

// whose says whose reply it was, to stand behind it.
func (s *suspect) whose() string {
	to := s.a.m.Envelope.To[s.a.tried[0]].String()
	if len(s.a.tried) > 1 {
		to += " and others"
	}
	from := s.from()
	if from == "" {
		from = "<>"
	}
	return " (said of message " + string(s.a.m.ID) + " from " + from + " to " + to + ")"
}

// taken takes in that a message was delivered: what was said of others before is about them alone.
func (d *dispatcher) taken(e event, now time.Time) {
	d.doubts.good = now
	delete(d.doubts.strikes, e.id)
	if len(d.doubts.list) == 0 {
		return
	}
	m, err := d.q.store.Get(e.id)
	if err != nil {
		return // another one will do
	}
	how := d.doubts.differs(&m)
	for _, s := range slices.Clone(d.doubts.list) {
		switch after := e.heard.seq > s.seq; {
		case !after && !s.lenient():
		case how&^d.doubts.same == 0: // others were told the same, so it was the lane
			d.tryAgain(s)
		case now.Sub(s.heard) > freshFor, d.doubts.shared && !s.lenient(): // a limit may have ended meanwhile
			d.tryAgain(s)
			d.doubts.strike(s.a.m.ID, busyMost)
		case !d.convict(s, now):
			d.tryAgain(s)
		}
	}
	if len(d.doubts.list) == 0 && d.lane.doubt != NoPause && !d.lane.probing {
		d.lane.open(now)
	}
	d.due = true
}

// convict has what was said of a message written as a result of its own, unless too much waits to be written.
func (d *dispatcher) convict(s *suspect, now time.Time) bool {
	if len(d.verdicts) == cap(d.verdicts) {
		return false
	}
	d.doubts.note(s, now)
	d.doubts.drop(s.a.m.ID)
	delete(d.doubts.strikes, s.a.m.ID)
	for i, r := range s.a.own {
		s.a.results[i] = r
	}
	d.q.log.Info("reply is the message's own", "id", s.a.m.ID)
	d.inflight[s.a.m.ID] = false
	d.verdicts <- s.a
	return true
}

// tryAgain lets a message out of doubt as if nothing had been said of it.
func (d *dispatcher) tryAgain(s *suspect) {
	d.doubts.drop(s.a.m.ID)
	d.q.store.Release(s.a.m.ID)
	d.due = true
}

// acquit lets all messages out of doubt.
func (d *dispatcher) acquit() {
	for len(d.doubts.list) > 0 {
		d.tryAgain(d.doubts.list[0])
	}
}

// forgive begins anew: what was said may have been for the sake of settings that changed.
func (d *dispatcher) forgive(now time.Time) {
	d.acquit()
	looked := d.doubts.looked
	d.doubts = newDoubts()
	d.doubts.looked = looked
	if d.lane.doubt != NoPause {
		d.lane.open(now)
	}
}

// carryOut has verdicts written. Messages that an operator changed meanwhile are tried again.
func (c *crew) carryOut(attempts context.Context) {
	for a := range c.verdicts {
		if c.q.unchanged(a) {
			c.hand(attempts, a)
		} else {
			c.events <- event{id: a.m.ID, settled: true, release: true}
		}
	}
}

// unchanged takes a message in hand if it is as it was when it was tried.
func (q *Queue) unchanged(a *attempt) bool {
	if !q.hands.tryTake(a.m.ID) {
		return false
	}
	edits := q.edits.Load()
	if edits == a.edits {
		return true
	}
	m, err := q.store.Get(a.m.ID)
	if err != nil || m.waits() != nil || m.Held != "" || !slices.Equal(m.Results, a.m.Results) {
		q.hands.let(a.m.ID)
		return false
	}
	a.edits = edits
	return true
}
