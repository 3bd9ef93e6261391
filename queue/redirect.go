package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dinkymail/message"
)

var (
	errNoOneLeft = errors.New("nobody would be left to deliver to; remove or bounce the message instead")
	errNoAddress = errors.New("no address given")
)

// Redirect sends a message to another address instead of to those of its recipients that are not
// settled. Those stay in the record as Dropped, and with them what was tried, so that indexes into
// Envelope.To keep their meaning; the new address is added behind them and tried at once, unless
// the message is held. If it replaces one recipient, it inherits what that asked to be notified of
// and its original address (RFC 3461, 4.2 and 5.2.1); if it replaces several, neither has a
// meaning. The lifetime counts from the message's acceptance, as before. Errors are those of
// Bounce.
func (q *Queue) Redirect(id ID, to message.Address) error {
	if to.IsNull() {
		return errNoAddress
	}
	return q.readdress(id, "redirected", "redirected to "+to.String(), func(m *Message) error {
		open := m.open()
		as := message.Recipient{Address: to}
		if len(open) == 1 {
			as = inherit(m.Envelope.To[open[0]], to)
		}
		if err := q.add(m, []message.Recipient{as}); err != nil {
			return err
		}
		for _, i := range open {
			if m.Envelope.To[i].Address != to {
				m.drop(i, "redirected to "+to.String()+" by the operator")
			}
		}
		return nil
	})
}

// EditRecipients adds recipients to a message and drops some that are not settled. An address that
// is among the recipients already, delivered or not settled, is not added again; one that failed
// is. Dropped recipients stay in the record as Dropped. To drop one that is not there, or is
// settled, is an error, and so it is to leave nobody. Errors are those of Bounce besides.
func (q *Queue) EditRecipients(id ID, add, drop []message.Address) error {
	if len(add)+len(drop) == 0 || slices.ContainsFunc(slices.Concat(add, drop), message.Address.IsNull) {
		return errNoAddress
	}
	return q.readdress(id, "recipients edited", fmt.Sprintf("%d added, %d dropped", len(add), len(drop)), func(m *Message) error {
		for _, a := range drop {
			i := slices.IndexFunc(m.open(), func(i int) bool { return m.Envelope.To[i].Address == a })
			if i < 0 {
				return fmt.Errorf("%s is no recipient that is not settled", a)
			}
			m.drop(m.open()[i], "taken off by the operator")
		}
		var fresh []message.Recipient
		for _, a := range add {
			if !m.served(a) {
				fresh = append(fresh, message.Recipient{Address: a})
			}
		}
		if err := q.add(m, fresh); err != nil {
			return err
		}
		if len(m.open()) == 0 {
			return errNoOneLeft
		}
		return nil
	})
}

// readdress changes the recipients of a message that nobody is trying, or leaves it as it was and
// returns why.
func (q *Queue) readdress(id ID, what, reason string, edit func(*Message) error) error {
	return q.alone(id, func(c Claim, m Message) error {
		if err := edit(m.copyRecipients()); err != nil {
			return err
		}
		m, err := q.store.Settle(c, func(m *Message) {
			if edit(m) == nil {
				q.cfg().routeAgain(m, time.Now())
			}
		})
		if err != nil {
			return err
		}
		q.did(what, EventEdited, &m, reason, slog.Int("rcpts", len(m.open())))
		q.nudgeLanes(&m)
		return nil
	})
}

// copyRecipients is m with recipients of its own, to see what a change would come to.
func (m *Message) copyRecipients() *Message {
	c := *m
	c.Envelope.To, c.Results = slices.Clone(m.Envelope.To), slices.Clone(m.Results)
	return &c
}

// open is the recipients that are not settled, as indexes into Envelope.To.
func (m *Message) open() []int {
	var open []int
	for i := range m.Results {
		if m.Results[i].Outcome == Deferred {
			open = append(open, i)
		}
	}
	return open
}

// served reports whether an address needs no adding: the message is delivered there, or will be.
func (m *Message) served(a message.Address) bool {
	for i := range m.Results {
		if o := m.Results[i].Outcome; m.Envelope.To[i].Address == a && (o == Deferred || o == Delivered) {
			return true
		}
	}
	return false
}

// drop settles a recipient as Dropped.
func (m *Message) drop(i int, why string) {
	m.Results[i] = Result{Outcome: Dropped, Text: why}
}

// add puts recipients behind those there are, each address that is to be tried once.
func (q *Queue) add(m *Message, fresh []message.Recipient) error {
	for _, to := range fresh {
		if slices.ContainsFunc(m.open(), func(i int) bool { return m.Envelope.To[i].Address == to.Address }) {
			continue
		}
		if len(m.Envelope.To) >= q.cfg().MaxRecipients {
			return ErrTooManyRecipients
		}
		m.Envelope.To = append(m.Envelope.To, to)
		m.Results = append(m.Results, Result{})
		m.Envelope.UTF8 = m.Envelope.UTF8 || to.NeedsUTF8()
	}
	return nil
}

// inherit is the recipient that takes the place of one. Where that had no original address it is
// what the mail was sent to.
func inherit(from message.Recipient, to message.Address) message.Recipient {
	as := message.Recipient{Address: to, Notify: from.Notify, Original: from.Original}
	if as.Original == "" && !from.NeedsUTF8() {
		as.Original = "rfc822;" + from.String()
	}
	return as
}
