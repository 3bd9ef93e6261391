package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dinkymail/queue/lane"
)

// attempt is one try to hand a message on, and what came of it.
type attempt struct {
	m       Message        // as it was when the attempt began
	claim   Claim          // on the leg, or on all of them
	tried   []int          // the recipients tried, as indexes into m.Envelope.To
	results []Result       // one per tried
	own     map[int]Result // what those of results are, by index, that are in doubt, if they are about this message alone
	at      time.Time
	took    time.Duration
	local   bool // the next hop was not asked, so this tells nothing of the lane
	swept   bool // it was not tried: its lifetime ended on a lane that waits, or an operator gave it up

	dialogue string

	next  time.Time // set by settle: when what is deferred is tried again
	ended time.Time // set by settle
	late  bool      // set by record: it was removed meanwhile, after the next hop had taken it
}

// newAttempt is of the recipients that are not settled, of the leg that was claimed.
func newAttempt(m Message, c Claim) *attempt {
	a := &attempt{m: m, claim: c, at: time.Now()}
	if c.Leg == AllLegs {
		a.tried = m.open()
	} else {
		a.tried = m.openOf(c.Leg)
	}
	return a
}

// attempt hands a message on to next; nil when it is gone.
func (q *Queue) attempt(ctx context.Context, next Deliverer, a *attempt, handing *atomic.Int64) *attempt {
	m := &a.m
	body, err := q.store.Body(m.ID)
	if err != nil {
		if errors.Is(err, ErrNotFound) && q.gone(m.ID, ErrLost) {
			q.log.Info("message was removed before its attempt", "id", m.ID)
			return nil
		}
		q.log.Error("body cannot be read", "id", m.ID, "err", err)
		a.fail(Result{Text: "the message cannot be read from our disk: " + err.Error()})
		return a
	}
	defer body.Close()
	handing.Add(1)
	defer handing.Add(-1)
	q.deliver(ctx, next, a, Delivery{ID: m.ID, Envelope: m.Envelope, Facts: m.Facts, Size: m.Size, Body: body,
		Dialogue: a.said, Own: a.mayBeOwn})
	a.took = time.Since(a.at)
	if ctx.Err() != nil {
		a.cutOff()
	}
	a.compare()
	return a
}

// deliver asks the Deliverer. A panic in it concerns this message alone.
func (q *Queue) deliver(ctx context.Context, next Deliverer, a *attempt, d Delivery) {
	defer func() {
		if r := recover(); r != nil {
			q.log.Error("attempt panicked", "id", a.m.ID, "err", fmt.Sprint(r), "stack", string(debug.Stack()))
			a.fail(Result{Text: "internal error"})
		}
	}()
	if len(a.tried) < len(d.Envelope.To) {
		d.Envelope.To = nil
		for _, i := range a.tried {
			d.Envelope.To = append(d.Envelope.To, a.m.Envelope.To[i])
		}
	}
	if len(a.tried) > 0 {
		a.results = next.Deliver(ctx, d)
	}
	for len(a.results) < len(a.tried) { // a Deliverer that forgets a recipient delays it
		a.results = append(a.results, Result{Text: "no result"})
	}
	a.results = a.results[:len(a.tried)]
	for i := range a.results {
		a.results[i].bound(textLimit(len(a.m.Envelope.To)))
	}
}

// fail gives every recipient tried the result r, which is not the next hop's.
func (a *attempt) fail(r Result) {
	a.results = slices.Repeat([]Result{r}, len(a.tried))
	a.local = true
}

// cutOff marks what a cut off attempt left open as not tried.
func (a *attempt) cutOff() {
	for i := range a.results {
		if r := &a.results[i]; r.Outcome == Deferred {
			r.Pause = PauseUnreachable
		}
	}
}

// fruitless reports whether there is nothing to write, because every result is about the lane.
func (a *attempt) fruitless() bool {
	for i := range a.results {
		if a.results[i].Pause == NoPause {
			return false
		}
	}
	return len(a.results) > 0
}

// compare settles what is in doubt about some recipients where others of the same message were
// answered. A recipient who was taken shows that the reply about another is about him alone; but a
// limit may have been reached after the last who was taken, and fails nobody. Where it shows
// nothing, the recipient is tried again by himself.
func (a *attempt) compare() {
	if len(a.own) == 0 {
		return
	}
	last, answered := -1, false // the last recipient who was taken, and whether any reply is beyond doubt
	for i := range a.results {
		if a.results[i].Outcome == Delivered {
			last = i
		}
		if a.results[i].Pause == NoPause {
			answered = true
			delete(a.own, i)
		}
	}
	if !answered {
		return
	}
	for i, r := range a.own {
		if last < 0 || i > last && a.results[i].Pause != PauseCredentials {
			r.Outcome = Deferred
		}
		a.results[i] = r
		delete(a.own, i)
	}
}

// mayBeOwn notes what a result is if it is about this message alone.
func (a *attempt) mayBeOwn(i int, r Result) {
	if a.own == nil {
		a.own = make(map[int]Result, 1)
	}
	if i < len(a.tried) {
		a.own[i] = r
	}
}

// report is what the attempt says of its lane, besides what is known of it already.
func (a *attempt) report(l lane.Report) lane.Report {
	for i := range a.results {
		r := &a.results[i]
		switch {
		case r.Pause == NoPause:
			l.Passed = true
			l.Good = l.Good || r.Outcome != Deferred
			l.Taken = l.Taken || r.Outcome == Delivered
		case l.Kind == NoPause:
			l.Kind, l.Text, l.Remedy = r.Pause, strings.TrimPrefix(r.Remote+": "+r.reply(), ": "), r.Remedy
		}
		// What is said to RCPT is most likely a recipient's.
		about := r.Pause != NoPause && r.Pause != PauseCredentials && (len(a.own) == 0 || r.Stage != stageRcpt)
		l.Busy = l.Busy || r.Pause == PauseBusy || r.Code == 421 || about && r.Code/100 == 4
	}
	l.Took = a.took
	l.Light = a.m.Size <= lane.LightBytes && len(a.tried) <= lane.LightRecipients
	return l
}

// counts reports whether the attempt is one of those the retry table counts: not when all it left
// open is so because of the lane.
func (a *attempt) counts() bool {
	paused := false
	for i := range a.results {
		switch r := &a.results[i]; {
		case r.Pause != NoPause:
			paused = true
		case r.Outcome == Deferred:
			return true
		}
	}
	return !paused && !a.swept
}

// record is the change an attempt makes to its message's record.
func (a *attempt) record(m *Message) {
	for i, at := range a.tried {
		if a.results[i].Pause == NoPause && m.Results[at].Outcome == Deferred {
			m.Results[at] = a.results[i]
		}
	}
	m.History = append(m.History, Attempt{At: a.at, Took: a.took, Answers: a.answers(), Dialogue: a.dialogue})
	if a.counts() {
		m.Legs[a.claim.Leg].Tries++
		m.Legs[a.claim.Leg].Next = a.next
	}
	if !m.restLegs() {
		return
	}
	m.Finished, m.Held = a.ended, ""
	if a.late = !m.Removed.IsZero() && m.delivered(); a.late {
		m.Removed = time.Time{}
	}
}

// delivered reports whether the next hop took m for all its recipients.
func (m *Message) delivered() bool {
	return !slices.ContainsFunc(m.Results, func(r Result) bool { return r.Outcome != Delivered && r.Outcome != Dropped })
}

// keptDialogues is how many of the newest attempts of a message keep what was said.
const keptDialogues = 5

// said keeps what was said.
func (a *attempt) said(lines string) { a.dialogue = strings.Clone(lastLines(lines)) }

// lastLines cuts what was said to MaxDialogue bytes. The first lines are left out, for what went
// wrong is at the end.
func lastLines(lines string) string {
	over := len(lines) - MaxDialogue
	if over <= 0 {
		return lines
	}
	_, whole, ok := strings.Cut(lines[over-1:], "\n")
	if lines = lines[over:]; ok {
		lines = whole
	}
	return lines
}

// answers puts recipients that were answered alike together, in the order of the first of each.
func (a *attempt) answers() []Answer {
	if len(a.results) == 1 && a.results[0].Pause == NoPause {
		return []Answer{{Result: a.results[0], To: a.tried}}
	}
	var all []Answer
	seen := make(map[Result]int, 1)
	for i, r := range a.results {
		if r.Pause != NoPause {
			continue
		}
		n, ok := seen[r]
		if !ok {
			n = len(all)
			seen[r] = n
			all = append(all, Answer{Result: r})
		}
		all[n].To = append(all[n].To, a.tried[i])
	}
	return all
}

// reply is a result as one line: "550 5.1.1 no such user".
func (r *Result) reply() string {
	s := r.Text
	if r.Status != "" && r.Code != 0 {
		s = r.Status + " " + s
	}
	if r.Code != 0 {
		s = strconv.Itoa(r.Code) + " " + s
	}
	return s
}
