package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Why a verb is refused. The words are for the operator.
var (
	errCaptured   = errors.New("message is captured: it never leaves the machine")
	errInTrash    = errors.New("message is in the trash; restore it first")
	errNotInTrash = errors.New("message is not in the trash")
	errHeld       = errors.New("message is held; release it first")
	errNotHeld    = errors.New("message is not held")
)

// ReasonHeld is why a message is held when the operator does not say.
const ReasonHeld = "held by the operator"

// statusGivenUp is the status of recipients an operator gave up: other security or policy status
// (RFC 3463, 3.8).
const statusGivenUp = "5.7.0"

// Hold keeps a message back, with a reason, until Release: it is not tried and does not expire. An
// attempt that goes on ends first, and what it leaves open is held. Of a message that is held
// already it changes the reason. It returns ErrNotFound, ErrSettled, or an error that says why the
// message cannot be held: it is captured, or in the trash.
func (q *Queue) Hold(id ID, reason string) error {
	reason = cmp.Or(reason, ReasonHeld)
	m, err := q.change(id, (*Message).waits, func(m *Message) { m.Held = reason })
	if err != nil {
		return err
	}
	q.did("held", EventHeld, &m, reason)
	return nil
}

// Release ends a Hold. The message is tried when its next attempt is due, which is at once if that
// was to be meanwhile.
func (q *Queue) Release(id ID) error {
	may := func(m *Message) error {
		if err := m.waits(); err != nil {
			return err
		}
		if m.Held == "" {
			return errNotHeld
		}
		return nil
	}
	m, err := q.change(id, may, func(m *Message) { m.Held = "" })
	if errors.Is(err, errNotHeld) {
		return q.notHeld(id)
	}
	if err != nil {
		return err
	}
	q.did("released", EventReleased, &m, "")
	q.nudgeLanes(&m)
	return nil
}

// notHeld says of a message that is not held what it waits for instead.
func (q *Queue) notHeld(id ID) error {
	m, err := q.store.Get(id)
	if err != nil {
		return errNotHeld
	}
	if _, why := q.State(&m); why != "" {
		return fmt.Errorf("%w: it %s", errNotHeld, why)
	}
	return errNotHeld
}

// Retry makes the next attempt due now, whatever the retry table or NotBefore say, and has a lane
// that waits probed. A held message must be released first.
func (q *Queue) Retry(id ID) error {
	may := func(m *Message) error {
		if err := m.waits(); err != nil {
			return err
		}
		if m.Held != "" {
			return errHeld
		}
		return nil
	}
	m, err := q.change(id, may, func(m *Message) { m.dueAt(time.Now()) })
	if err != nil {
		return err
	}
	q.did("retried", EventRetried, &m, "")
	q.nudgeLanes(&m)
	for i := range m.Legs {
		if d := q.lanes.get(m.Legs[i].Lane); d != nil {
			poke(d.probe)
		}
	}
	return nil
}

// Remove puts a message into the trash, whatever its state; at is the time it is said to have been
// removed, the same for all that one action removes. It stays there for Config.TrashRetention. A
// message that is there already is left as it is. When the next hop takes the message for all its
// recipients in an attempt that goes on, it was too late, and the message is finished; whom it
// refuses then stays open, and nobody is told.
func (q *Queue) Remove(id ID, at time.Time) error {
	was := false
	m, err := q.change(id, nil, func(m *Message) {
		if was = !m.Removed.IsZero(); !was {
			m.Removed = at
		}
	})
	if err == nil && !was {
		q.did("removed", EventRemoved, &m, "")
	}
	return err
}

// Restore takes a message out of the trash. It goes on as if it had never been there: what waits is
// tried when it is due.
func (q *Queue) Restore(id ID) error {
	may := func(m *Message) error {
		if m.Removed.IsZero() {
			return errNotInTrash
		}
		return nil
	}
	m, err := q.change(id, may, func(m *Message) { m.Removed = time.Time{} })
	if err != nil {
		return err
	}
	q.did("restored", EventRestored, &m, "")
	q.nudgeLanes(&m)
	return nil
}

// Bounce gives a message up: every recipient that is not settled fails with status 5.7.0 and the
// reason, and the sender is told as of any failure, before the message is finished. An attempt that
// goes on is waited for, for some seconds; then it is ErrActive. When the notice cannot be stored
// nothing changes.
func (q *Queue) Bounce(id ID, reason string) error {
	return q.alone(id, func(c Claim, m Message) error {
		a := q.giveUp(m, c, reason)
		q.notify(context.Background(), a)
		if slices.ContainsFunc(a.results, func(r Result) bool { return r.Outcome == Deferred }) {
			return errors.New("the notice to the sender cannot be stored, so the message stays; see the log")
		}
		m, err := q.store.Settle(c, a.record)
		if err != nil {
			return fmt.Errorf("bounce: %w", err)
		}
		q.count.failed.Add(uint64(len(a.results)))
		q.did("bounced", EventFailed, &m, a.results[0].Text)
		return nil
	})
}

// giveUp is an attempt that was never made, which fails what m has left.
func (q *Queue) giveUp(m Message, c Claim, reason string) *attempt {
	text := "given up by the operator"
	if reason != "" {
		text += ": " + reason
	}
	a := newAttempt(m, c)
	a.local, a.swept, a.ended = true, true, a.at
	for _, i := range a.tried {
		r := m.Results[i]
		if last := r.reply(); last != "" {
			r.Text = text + "; last reply: " + last
		} else {
			r.Text = text
		}
		r.Outcome, r.Code, r.Status, r.Pause = Failed, 0, statusGivenUp, NoPause
		a.results = append(a.results, r)
	}
	return a
}

// waits says why nothing can be done about a delivery of m, or nil.
func (m *Message) waits() error {
	switch {
	case !m.Removed.IsZero():
		return errInTrash
	case m.Captured:
		return errCaptured
	case !m.Finished.IsZero():
		return ErrSettled
	default:
		return nil
	}
}

// change applies an operator's change to a message if it may be made, and otherwise returns why
// not. An attempt that is under way may write its result before or after.
func (q *Queue) change(id ID, may func(*Message) error, change func(*Message)) (Message, error) {
	if may == nil {
		may = func(*Message) error { return nil }
	}
	// What is refused need not be written.
	m, err := q.store.Get(id)
	if err == nil {
		err = may(&m)
	}
	if err != nil {
		return Message{}, err
	}
	m, failed := q.store.Update(id, func(m *Message) {
		if err = may(m); err == nil {
			change(m)
		}
	})
	return m, errors.Join(failed, err)
}

// How long an operator's change waits for an attempt that goes on, and how often it looks.
const (
	patience  = 5 * time.Second
	lookAgain = 5 * time.Millisecond
)

// alone does something to a message that waits, under a claim on all of it: no attempt of it goes
// on meanwhile and none begins. What is refused as the message is now need not wait for that.
func (q *Queue) alone(id ID, do func(c Claim, m Message) error) error {
	m, err := q.store.Get(id)
	if err == nil {
		err = m.waits()
	}
	if err != nil {
		return err
	}
	end := time.Now().Add(patience)
	for c := (Claim{}); ; <-time.After(lookAgain) {
		if c.Token == 0 {
			if c, err = q.store.ClaimOne(id); err == nil {
				defer q.store.Release(c)
			}
		}
		if err == nil {
			m, err = q.store.Begin(c)
		}
		if err == nil {
			err = m.waits()
		}
		switch {
		case err == nil:
			return do(c, m)
		case errors.Is(err, ErrLost): // to another operator
			c = Claim{}
		case !errors.Is(err, ErrActive):
			return err
		}
		if !time.Now().Before(end) {
			return ErrActive
		}
		err = nil
	}
}

// did logs and tells what an operator did to a message.
func (q *Queue) did(what string, kind EventKind, m *Message, reason string, more ...slog.Attr) {
	attrs := append(make([]slog.Attr, 0, 4), slog.String("id", string(m.ID)))
	if reason != "" {
		attrs = append(attrs, slog.String("reason", reason))
	}
	q.log.LogAttrs(context.Background(), slog.LevelInfo, what, append(attrs, more...)...)
	q.tell(kind, m, reason)
}
