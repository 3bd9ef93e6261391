package queue

import (
	"slices"
	"time"
)

// doubt takes in an attempt whose replies may be about its message alone, and weighs them unless
// they are for the concurrency to mind. It reports whether the message waits for a verdict; if not
// it is simply tried again.
func (d *dispatcher) doubt(e event, weigh bool, now time.Time) bool {
	s := &suspect{a: e.suspect, seq: d.seq, heard: now, said: e.heard}
	s.said.Text += s.whose()
	id := e.claim.ID
	current := e.heard.Generation == d.lane.Begins().Generation
	recent := now.Sub(d.doubts.good) <= freshFor
	if !weigh { // but one message must not be told for ever that the next hop is busy
		n := d.doubts.strikes[id] + 1
		d.doubts.strike(id, n)
		if n < busyMost || !recent {
			return false
		}
		d.convict(s, now)
		return true
	}
	d.due = true
	beside := s.lenient() && !d.doubts.good.Before(s.a.at) // another was taken while it was refused
	if beside || s.before() || d.doubts.strikes[id] >= busyMost && recent {
		d.convict(s, now)
		return true
	}
	if len(d.doubts.list) >= maxDoubted {
		d.tryAgain(d.doubts.list[0])
	}
	known := d.doubts.alike(s, now)
	d.q.store.Rest(e.claim)
	d.doubts.list = append(d.doubts.list, s)
	d.q.log.Info("reply in doubt", "id", id, "kind", e.heard.Kind.String(), "text", e.heard.Text)
	switch {
	case !current:
	case d.lane.Waits():
		d.doubts.same |= d.doubts.probe
		d.doubts.shared = d.doubts.shared || !d.lane.InDoubt() && d.doubts.several()
		if !d.lane.InDoubt() {
			d.lane.Pause(s.said, now)
		}
	case known && len(d.doubts.list) <= maxAtLarge:
	default:
		d.suspect(s, now)
	}
	return true
}

// suspect makes the next attempt a probe. What stands ready goes back.
func (d *dispatcher) suspect(s *suspect, now time.Time) {
	d.lane.Doubt(s.said, now)
	d.due = true
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
	delete(d.doubts.strikes, e.claim.ID)
	if len(d.doubts.list) == 0 {
		return
	}
	m, err := d.q.store.Get(e.claim.ID)
	if err != nil {
		return // another one will do
	}
	how := d.doubts.differs(&m)
	for _, s := range slices.Clone(d.doubts.list) {
		switch after := e.seq > s.seq; {
		case !after && !s.lenient():
		case how&^d.doubts.same == 0: // others were told the same, so it was the lane
			d.tryAgain(s)
		case now.Sub(s.heard) > freshFor, d.doubts.shared && !s.lenient(): // a limit may have ended meanwhile
			d.tryAgain(s)
			d.doubts.strike(s.a.m.ID, busyMost)
		default:
			d.convict(s, now)
		}
	}
	if len(d.doubts.list) == 0 && d.lane.InDoubt() && !d.lane.Probing() {
		d.lane.Open(now)
	}
	d.due = true
}

// convict has what was said of a message written as a result of its own.
func (d *dispatcher) convict(s *suspect, now time.Time) {
	d.doubts.note(s, now)
	d.doubts.drop(s.a.claim)
	delete(d.doubts.strikes, s.a.m.ID)
	for i, r := range s.a.own {
		s.a.results[i] = r
	}
	d.q.log.Info("reply is the message's own", "id", s.a.m.ID)
	go d.carryOut(s)
}

// tryAgain lets a message out of doubt as if nothing had been said of it.
func (d *dispatcher) tryAgain(s *suspect) {
	d.doubts.drop(s.a.claim)
	d.hold.release(s.a.claim)
	d.due = true
}

// regained lets a leg out of doubt that was claimed anew: an operator gave it back, or the claim
// was over.
func (d *dispatcher) regained(c Claim) {
	if old := d.doubts.drop(c); old != nil {
		d.hold.release(old.a.claim)
	}
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
	if d.lane.InDoubt() {
		d.lane.Open(now)
	}
}
