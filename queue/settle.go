package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// How long to wait before a result that could not be written is written again: doubling, from the
// one to the other.
const (
	rewriteFirst = time.Second
	rewriteMost  = 30 * time.Second
)

// statusExpired is delivery time expired (RFC 3463, 3.5).
const statusExpired = "4.4.7"

// settle writes an attempt's result: notices first, then the record. It goes on until that has
// succeeded or ctx ends.
func (q *Queue) settle(ctx context.Context, a *attempt) {
	a.ended = time.Now()
	a.next = q.cfg().retryAt(&a.m, a.tries()+1, a.ended)
	if expires := !a.ended.Before(q.cfg().deadline(&a.m)); expires || a.fails() {
		switch m, err := q.store.Get(a.m.ID); {
		case err == nil && !m.Removed.IsZero():
			a.spare()
		case expires && (err != nil || m.Held == ""):
			q.expire(a)
		}
	}
	q.notify(ctx, a)
	m, ok := q.write(ctx, a)
	if !ok {
		return
	}
	q.meter.settled(a)
	for i := range a.results {
		switch r := &a.results[i]; {
		case r.Pause != NoPause:
		case r.Outcome == Delivered:
			q.count.delivered.Add(1)
		case r.Outcome == Failed:
			q.count.failed.Add(1)
		default:
			q.count.deferred.Add(1)
		}
	}
	q.logAttempt(ctx, a, &m)
	q.tellAttempt(a, &m)
	if a.late {
		q.log.Info("removed too late: the next hop had taken it", "id", m.ID)
	}
}

// tries is how many attempts of the leg counted before.
func (a *attempt) tries() int {
	if a.claim.Leg == AllLegs {
		return a.m.Tries()
	}
	return a.m.Legs[a.claim.Leg].Tries
}

// fails reports whether a recipient failed.
func (a *attempt) fails() bool {
	return slices.ContainsFunc(a.results, func(r Result) bool { return r.Outcome == Failed })
}

// spare leaves open what failed: nobody is to hear of a message that was removed, and one that is
// restored is tried again.
func (a *attempt) spare() {
	for i := range a.results {
		if a.results[i].Outcome == Failed {
			a.results[i].Outcome = Deferred
		}
	}
}

// expire fails what the attempt left deferred beyond the message's lifetime.
func (q *Queue) expire(a *attempt) {
	for i := range a.results {
		if r := &a.results[i]; r.Outcome == Deferred && r.Pause == NoPause {
			*r = q.expired(*r)
		}
	}
}

// expired is what becomes of a recipient whose latest result was last, when its lifetime is over.
func (q *Queue) expired(last Result) Result {
	last.Outcome, last.Pause = Failed, NoPause
	if last.Code == 0 && last.Status == statusExpired {
		return last // it was over before, but the bounce could not be stored
	}
	text := "not delivered within " + q.cfg().Lifetime.String()
	if s := last.reply(); s != "" {
		text += "; last reply: " + s
	}
	last.Code, last.Status, last.Text = 0, statusExpired, text
	return last
}

// write brings an attempt's result to the disk. While it cannot, delivery stands still. False means
// that there is no record any more, or that ctx ended first.
func (q *Queue) write(ctx context.Context, a *attempt) (Message, bool) {
	stuck := false
	defer func() {
		if stuck && q.fault.end() {
			q.log.Info("results can be written again: delivery goes on")
		}
	}()
	for wait := rewriteFirst; ; wait = min(2*wait, rewriteMost) {
		m, err := q.store.Settle(a.claim, a.record)
		switch {
		case err == nil:
			return m, true
		case q.gone(a.m.ID, err):
			q.log.Info("message was removed during its attempt", "id", a.m.ID)
			return m, false
		case errors.Is(err, ErrLost):
			q.log.Error("claim lost before the result was written: another process may have tried the message again", "id", a.m.ID)
			return m, false
		case !stuck:
			stuck = true
			if q.fault.begin(err) {
				q.log.Error("result cannot be written: delivery stops until it can, or mail would be sent again and again",
					"id", a.m.ID, "err", err, "remedy", "make room on the disk of DATA_DIR and see that it is writable; "+
						"if that does not help, restart")
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			q.log.Error("result was not written before the end: this attempt will be repeated", "id", a.m.ID, "err", err)
			return m, false
		}
	}
}

// n is the number of the attempt as the log counts them: those of its leg that counted.
func (a *attempt) n(m *Message) int {
	if a.claim.Leg == AllLegs {
		return m.Tries()
	}
	return m.Legs[a.claim.Leg].Tries
}

// logAttempt writes a line for each answer of an attempt.
func (q *Queue) logAttempt(ctx context.Context, a *attempt, m *Message) {
	if !q.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	one := func(r *Result, to []int) {
		attrs := make([]slog.Attr, 0, 10)
		attrs = append(attrs,
			slog.String("id", string(m.ID)),
			slog.Int("n", a.n(m)),
			slog.String("outcome", r.Outcome.String()))
		if len(to) == 1 {
			attrs = append(attrs, slog.String("rcpt", m.Envelope.To[to[0]].String()))
		} else {
			attrs = append(attrs, slog.Int("rcpts", len(to)))
		}
		attrs = append(attrs,
			slog.String("remote", r.Remote),
			slog.Int("code", r.Code),
			slog.String("status", r.Status),
			slog.String("text", r.Text))
		if r.Outcome == Deferred {
			attrs = append(attrs, slog.String("next", a.next.Sub(a.ended).Round(time.Second).String()))
		}
		q.log.LogAttrs(ctx, slog.LevelInfo, "attempt", attrs...)
	}
	if len(a.results) == 1 {
		one(&a.results[0], a.tried)
		return
	}
	for _, answer := range a.answers() {
		one(&answer.Result, answer.To)
	}
}
