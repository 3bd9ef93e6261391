// Package lane is the state of one way out: whether it flows or waits and why, when a probe may go,
// and how many attempts may be made at a time.
//
// A lane waits when something concerns all of its mail: nobody answers, the credentials are
// refused, a quota is used up. A probe is then an ordinary attempt of what is due, one at a time,
// at growing intervals: a second to a minute where nobody answers, a minute to a quarter of an hour
// otherwise. Everything flows the moment one gets through. What an attempt learned counts only
// within the generation it began in: a timeout that began before the lane was mended does not stop
// it again.
//
// Concurrency finds out how many attempts the next hop takes at a time. It begins with a few and
// doubles while attempts succeed in the same time and more wait. Where there was trouble it halves,
// doubles again to a little below, and from there grows by one at a time; a step that goes wrong is
// taken back, and the next one waits twice as long, while after each that holds the next waits half
// as long. Trouble is a 421 or another 4xx about the lane, unless it is a stray among many that
// succeeded at this limit. When even the quickest of as many attempts as are made at a time takes
// far longer than the best did, it halves too, and grows by one at a time from there.
//
// It is state and nothing else: no clock, no goroutine, no lock. One goroutine owns it.
package lane

import (
	"log/slog"
	"time"
)

// busyPause is how long nothing is begun after the next hop said that it is busy, for it would say
// so again.
const busyPause = 50 * time.Millisecond

// Recheck is how often a lane that is not configured is looked at again.
const Recheck = 5 * time.Second

// Status is a lane's state as others may see it.
type Status struct {
	Kind      Kind
	Reason    string    // a sentence for the operator: what is wrong and what to do
	Since     time.Time // when it began to wait
	NextProbe time.Time // zero when probes would not help
}

// Lane flows, or waits and is probed.
type Lane struct {
	Status
	Concurrency
	name string
	log  *slog.Logger
	show func(Status)
	tell func(flows bool, reason string)

	wait    time.Duration // between the last two probes; 0 before the first
	probing bool          // a probe is under way
	asked   time.Time     // when an operator last wanted one
	rest    time.Time     // nothing is to be begun before, since the next hop said that it is busy
	doubt   bool          // it waits without a word until another message shows whose reply it was
	// generation grows when the lane is stopped, opened or woken.
	generation int
}

// Report is what an attempt learned about its lane.
type Report struct {
	Generation int  // of the lane when it began
	Cuts       int  // how often the concurrency had been lowered then
	Probe      bool // it was one
	Passed     bool // the next hop said something about the message
	Kind       Kind // it said something about the lane
	Text       string
	Remedy     string // what the operator can do, from whoever knows; empty: the general one

	Busy  bool // the next hop wants less at a time
	Good  bool // a recipient was settled
	Taken bool // a recipient was delivered to
	Light bool // it was a message of the usual kind
	Took  time.Duration
}

// New makes a lane that flows, with at most most attempts at a time. Show is given its status after
// each change, and tell what an operator should hear of.
func New(name string, most int, log *slog.Logger, show func(Status), tell func(flows bool, reason string)) Lane {
	return Lane{Concurrency: newConcurrency(most), name: name, log: log, show: show, tell: tell, generation: 1}
}

// Waits reports whether only probes may go.
func (l *Lane) Waits() bool { return l.Kind != None }

// InDoubt reports whether it waits for another message to show whose reply it was.
func (l *Lane) InDoubt() bool { return l.doubt }

// Probing reports whether a probe is under way.
func (l *Lane) Probing() bool { return l.probing }

// Begins is the Report of an attempt that begins now, before it has learned anything.
func (l *Lane) Begins() Report {
	return Report{Generation: l.generation, Cuts: l.cuts, Probe: l.Waits()}
}

// Room is how many legs may be claimed now while begun are claimed and not done: as many as may be
// tried at a time and some ahead, so that no attempt waits for one, or one for a probe. Look allows
// a probe before its time.
func (l *Lane) Room(begun int, look bool, now time.Time) int {
	switch ahead := l.ahead(); {
	case now.Before(l.rest):
		return 0
	case l.Waits() && !l.probing && (look && !l.NextProbe.IsZero() || l.MayProbe(now)):
		return 1
	case l.Waits(), begun > l.limit+ahead/2: // claims in batches, not one by one
		return 0
	default:
		return l.limit + ahead - begun
	}
}

// Until is when something can be begun that is due at a time; false when an event will tell.
func (l *Lane) Until(due, now time.Time) (time.Time, bool) {
	if now.Before(l.rest) {
		return later(due, l.rest), true
	}
	switch {
	case l.Kind == NotConfigured:
		return later(due, now.Add(Recheck)), true
	case l.Waits() && (l.probing || l.NextProbe.IsZero()):
		return due, false // the probe's end is an event
	case l.Waits():
		return later(due, l.NextProbe), true
	}
	return due, true
}

// MayProbe reports whether a probe may go now, in a lane that waits.
func (l *Lane) MayProbe(now time.Time) bool {
	return !l.probing && !l.NextProbe.IsZero() && !now.Before(l.NextProbe)
}

// Probe says that an attempt of a lane that waits begins, or is about to.
func (l *Lane) Probe() { l.probing = true }

// NotBegun takes back what Probe said.
func (l *Lane) NotBegun() { l.probing = false }

// Hear takes in what an attempt learned, while running others go on and more says that there is
// more to do than may be tried at a time. With inDoubt what it says of the lane may be about its
// message alone, and nothing is made of it. It reports whether it is heeded: a next hop that is
// busy lowers the concurrency, and concerns the lane only when it says so to one attempt at a time.
func (l *Lane) Hear(r Report, inDoubt bool, running int, more bool, now time.Time) (heeded bool) {
	busy, alone := l.hear(r, running, more, now)
	if busy && r.Kind == Busy {
		l.rest = later(l.rest, now.Add(busyPause))
	}
	if r.Kind == Busy && !alone && !r.Probe {
		return false
	}
	if r.Generation != l.generation {
		return true
	}
	l.probing = l.probing && !r.Probe
	switch {
	case inDoubt:
	case r.Kind != None:
		l.Pause(r, now)
	case r.Passed && l.Waits():
		l.Open(now)
	}
	return true
}

// Pause makes the lane wait, or sets the next probe of one that does.
func (l *Lane) Pause(r Report, now time.Time) {
	first, most := r.Kind.waits()
	if r.Kind != l.Kind || l.doubt {
		l.wait = 0
		l.Stop(r.Kind, explain(r), now)
	} else {
		l.Reason = explain(r)
	}
	l.wait = min(max(2*l.wait, first), most)
	l.NextProbe = now.Add(l.wait)
	l.log.Debug("lane still waits", "lane", l.name, "kind", l.Kind.String(), "reason", l.Reason, "next", l.wait)
	l.publish()
}

// Stop makes the lane wait, without probes, with a reason that the operator is told once.
func (l *Lane) Stop(kind Kind, reason string, now time.Time) {
	if !l.Waits() {
		l.Since = now
	}
	l.Kind, l.Reason, l.NextProbe, l.probing, l.doubt = kind, reason, time.Time{}, false, false
	l.generation++
	if kind != Development { // the start says that already
		l.log.Warn("lane waits", "lane", l.name, "kind", kind.String(), "reason", reason)
		l.tell(false, reason)
	}
	l.publish()
}

// Doubt makes the next attempt a probe, at once and without a word: a reply spoke of the lane and
// may be about one message.
func (l *Lane) Doubt(r Report, now time.Time) {
	l.Status = Status{Kind: r.Kind, Reason: explain(r), Since: now, NextProbe: now}
	l.wait, l.probing, l.doubt = 0, false, true
	l.generation++
}

// Confirm stops the lane that was in doubt, since nothing speaks for it.
func (l *Lane) Confirm(now time.Time) {
	l.wait, _ = l.Kind.waits()
	l.Stop(l.Kind, l.Reason, now)
	l.NextProbe = now.Add(l.wait)
	l.publish()
}

// Open lets everything flow.
func (l *Lane) Open(now time.Time) {
	silent := l.doubt
	if !silent {
		l.log.Info("lane flows again", "lane", l.name, "kind", l.Kind.String(), "waited", now.Sub(l.Since).Round(time.Millisecond))
	}
	l.Status = Status{}
	l.wait, l.probing, l.doubt = 0, false, false
	l.generation++
	if !silent {
		l.tell(true, "")
	}
	l.publish()
}

// ProbeNow makes a probe due that an operator asks for, at most one a second.
func (l *Lane) ProbeNow(now time.Time) {
	if soon := later(now, l.asked.Add(time.Second)); l.Waits() && soon.Before(l.NextProbe) {
		l.NextProbe, l.asked = soon, soon
		l.publish()
	}
}

// Wake makes a probe due now, since settings changed. One that is under way was begun with the old
// ones, and counts no more.
func (l *Lane) Wake(now time.Time) {
	if l.Waits() && !l.NextProbe.IsZero() {
		l.wait, l.NextProbe, l.probing = 0, now, false
		l.generation++
		l.publish()
	}
}

// Ready takes in what the deliverer says of itself: nil, or why it cannot deliver at all.
func (l *Lane) Ready(err error, now time.Time) {
	switch {
	case err == nil && l.Kind == NotConfigured:
		l.Open(now)
	case err != nil && (l.Kind != NotConfigured || l.Reason != err.Error()):
		l.wait = 0
		l.Stop(NotConfigured, err.Error(), now)
	}
}

func (l *Lane) publish() {
	if !l.doubt { // that lasts for as long as one attempt takes
		l.show(l.Status)
	}
}

// explain is what happened with what the operator can do.
func explain(r Report) string {
	if r.Remedy != "" {
		return r.Text + "; " + r.Remedy + ", " + ThenReload + "; all mail is kept"
	}
	return r.Text + "; " + r.Kind.remedy()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
