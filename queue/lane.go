package queue

import (
	"log/slog"
	"time"
)

// laneName is the name of the one lane there is: the way to the upstream.
const laneName = "upstream"

// Why a lane waits, besides the words of Pause.
const (
	kindNotConfigured = "not configured"
	kindDevelopment   = "development"

	reasonDevelopment = "development mode: nothing leaves the machine"
)

// recheck is how often a Deliverer that is not ready is asked again without a Wake.
const recheck = 5 * time.Second

// lane is the state of the way to one next hop: it flows, or it waits and is probed. A probe is an ordinary attempt of a message
// that is due, one at a time. The dispatcher owns it; others see what show is given after each change.
type lane struct {
	name string
	log  *slog.Logger
	show func(LaneStatus)
	tell func(EventKind, string)

	kind    string // why it waits; "" when it flows
	reason  string
	since   time.Time     // since when it waits
	wait    time.Duration // between the last two probes; 0 before the first
	probe   time.Time     // when the next one may go; zero: none will
	probing bool          // one is under way
	asked   time.Time     // when an operator last wanted one
	doubt   Pause         // what it waits for without a word until another message shows whose reply it was; NoPause otherwise
	// era grows when the lane is stopped, opened or woken. What an attempt learned counts only within the era it began in: a
	// timeout that began before the lane was mended does not stop it again.
	era int
}

// hearing is what an attempt learned about its lane.
type hearing struct {
	era    int
	seq    uint64 // the job's
	probe  bool
	passed bool   // the next hop said something about the message
	pause  Pause  // it said something about the lane
	text   string // what it said
	remedy string // what the operator can do, from whoever knows; empty: the general one

	cuts  int  // how often the pace had been lowered when it began
	busy  bool // the next hop wants less at a time
	good  bool // a recipient was settled
	taken bool // a recipient was delivered to
	light bool // it was a message of the usual kind
	took  time.Duration
}

// waits reports whether only probes may go.
func (l *lane) waits() bool { return l.kind != "" }

// mayProbe reports whether a probe may go now, in a lane that waits.
func (l *lane) mayProbe(now time.Time) bool {
	return !l.probing && !l.probe.IsZero() && !now.Before(l.probe)
}

// hear takes in what an attempt learned.
func (l *lane) hear(h hearing, now time.Time) {
	if h.era != l.era {
		return
	}
	l.ended(h)
	switch {
	case h.pause != NoPause:
		l.pause(h.pause, h.text, h.remedy, now)
	case h.passed && l.waits():
		l.open(now)
	}
}

// ended takes in that a probe is over.
func (l *lane) ended(h hearing) {
	if h.probe && h.era == l.era {
		l.probing = false
	}
}

// pause makes the lane wait, or sets the next probe of one that does.
func (l *lane) pause(p Pause, text, remedy string, now time.Time) {
	first, most := p.waits()
	if p.String() != l.kind || l.doubt != NoPause {
		l.wait = 0
		l.stop(p.String(), p.explain(text, remedy), now)
	} else {
		l.reason = p.explain(text, remedy)
	}
	l.wait = min(max(2*l.wait, first), most)
	l.probe = now.Add(l.wait)
	l.log.Debug("lane still waits", "lane", l.name, "kind", l.kind, "reason", l.reason, "next", l.wait)
	l.publish()
}

// stop makes the lane wait, with a reason that the operator is told once.
func (l *lane) stop(kind, reason string, now time.Time) {
	if !l.waits() {
		l.since = now
	}
	l.kind, l.reason, l.probing, l.doubt = kind, reason, false, NoPause
	l.probe = time.Time{}
	l.era++
	if kind != kindDevelopment { // the start says that already
		l.log.Warn("lane waits", "lane", l.name, "kind", kind, "reason", reason)
		l.tell(EventLaneWaits, reason)
	}
	l.publish()
}

// suspect makes the next attempt a probe, at once and without a word: a reply spoke of the lane and may be about one message.
func (l *lane) suspect(p Pause, text, remedy string, now time.Time) {
	l.kind, l.reason, l.since, l.wait, l.probe, l.probing, l.doubt = p.String(), p.explain(text, remedy), now, 0, now, false, p
	l.era++
}

// confirm stops the lane that was suspected, since nothing speaks for it.
func (l *lane) confirm(now time.Time) {
	first, _ := l.doubt.waits()
	l.stop(l.kind, l.reason, now)
	l.wait, l.probe = first, now.Add(first)
	l.publish()
}

// open lets everything flow.
func (l *lane) open(now time.Time) {
	silent := l.doubt != NoPause
	if !silent {
		l.log.Info("lane flows again", "lane", l.name, "kind", l.kind, "waited", now.Sub(l.since).Round(time.Millisecond))
	}
	l.kind, l.reason, l.since, l.wait, l.probe, l.probing, l.doubt = "", "", time.Time{}, 0, time.Time{}, false, NoPause
	l.era++
	if !silent {
		l.tell(EventLaneFlows, "")
	}
	l.publish()
}

// hurry makes a probe due that an operator asks for, at most one a second.
func (l *lane) hurry(now time.Time) {
	if soon := later(now, l.asked.Add(time.Second)); l.waits() && soon.Before(l.probe) {
		l.probe, l.asked = soon, soon
		l.publish()
	}
}

// wake makes a probe due now. One that is under way was begun with the old settings; it counts no more.
func (l *lane) wake(now time.Time) {
	if l.waits() && !l.probe.IsZero() {
		l.wait, l.probe, l.probing = 0, now, false
		l.era++
		l.publish()
	}
}

// ready takes in what the Deliverer says of itself: nil, or why it cannot deliver at all.
func (l *lane) ready(err error, now time.Time) {
	switch {
	case err == nil && l.kind == kindNotConfigured:
		l.open(now)
	case err != nil && (l.kind != kindNotConfigured || l.reason != err.Error()):
		l.wait = 0
		l.stop(kindNotConfigured, err.Error(), now)
	}
}

func (l *lane) publish() {
	if l.doubt != NoPause { // for as long as one attempt takes
		return
	}
	state := LaneFlowing
	if l.waits() {
		state = LaneWaiting
	}
	l.show(LaneStatus{Name: l.name, State: state, Kind: l.kind, Reason: l.reason, Since: l.since, NextProbe: l.probe})
}

// waits is how long to wait before the first probe, and at most.
func (p Pause) waits() (first, most time.Duration) {
	if p == PauseUnreachable || p == PauseBusy {
		return time.Second, time.Minute
	}
	return time.Minute, 15 * time.Minute
}

// explain is what happened with what the operator can do.
func (p Pause) explain(text, remedy string) string {
	if remedy != "" {
		return text + "; " + remedy + ", " + thenReload + "; all mail is kept"
	}
	return text + "; " + p.remedy()
}

// thenReload is what a change of the settings takes.
const thenReload = "then dinkymail reload (in a container: docker compose up -d)"

// remedy is what the operator can do.
func (p Pause) remedy() string {
	switch p {
	case PauseCredentials:
		return "correct SMTP_RELAY_USERNAME and SMTP_RELAY_PASSWORD, " + thenReload + "; all mail is kept"
	case PauseQuota:
		return "mail flows when the provider allows more; raise the limit there if this is too slow; all mail is kept"
	case PauseBusy:
		return "mail flows when it takes more; if this comes often, lower SMTP_RELAY_CONNECTIONS; all mail is kept"
	default:
		return "mail flows when it answers; if it never does, check SMTP_RELAY_HOST, SMTP_RELAY_PORT and the network"
	}
}
