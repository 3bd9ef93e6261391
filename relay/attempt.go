package relay

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"dinkymail/message"
	"dinkymail/queue"
)

// attempt is one call of Deliver.
type attempt struct {
	queue.Delivery
	results []queue.Result // a Stage in it means: settled, as far as this attempt goes
	todo    []int          // recipients of the transaction at hand, as indexes
	again   []int          // those that the next hop wants in another one

	// The message as this next hop takes it.
	body     io.ReadSeeker
	size     int64
	eightBit bool
	utf8     bool // MAIL needs SMTPUTF8

	answered bool   // the next hop said something to MAIL
	talk     string // what was said, when something was not delivered
}

func newAttempt(d queue.Delivery) *attempt {
	a := &attempt{Delivery: d, results: make([]queue.Result, len(d.Envelope.To)), todo: make([]int, len(d.Envelope.To))}
	for i := range a.todo {
		a.todo[i] = i
	}
	return a
}

// over makes the attempt on this connection. It returns a fault when the connection is of no more use; recipients without a
// result are then the caller's.
func (a *attempt) over(ctx context.Context, c *conn) *fault {
	c.said.begin()
	if !a.prepare(c) {
		return nil
	}
	stop := c.guard(ctx)
	f := a.transactions(c)
	if !stop() {
		if f == nil {
			f = &fault{stage: stageMail}
		}
		f.err, f.gone, f.reply = context.Cause(ctx), true, reply{}
	}
	return f
}

// transactions makes one transaction after another while the next hop takes only so many recipients in one.
func (a *attempt) transactions(c *conn) *fault {
	for len(a.todo) > 0 {
		t := transact{a: a, c: c}
		if f := t.run(); f != nil {
			return f
		}
		if !t.delivered {
			break // those in again stay deferred with the reply they had
		}
		a.todo, a.again = a.again, nil
		for _, i := range a.todo {
			a.results[i] = queue.Result{}
		}
	}
	return nil
}

// prepare fits the message to what the next hop is able to do, and settles the recipients for whom that cannot be. It reports
// whether any are left. SMTPUTF8 is asked for when an address needs it, or the client did and the header has use for it.
func (a *attempt) prepare(c *conn) bool {
	if a.Envelope.From.NeedsUTF8() && !c.ext.utf8 {
		a.refuse(c, "5.6.7", noUTF8)
		return false
	}
	a.utf8 = a.Envelope.From.NeedsUTF8() || c.ext.utf8 && a.Envelope.UTF8 && a.Facts.UTF8Header
	left := a.todo[:0]
	for _, i := range a.todo {
		if a.Envelope.To[i].NeedsUTF8() {
			if !c.ext.utf8 {
				a.results[i] = refusal(c, "5.6.7", noUTF8)
				continue
			}
			a.utf8 = true
		}
		left = append(left, i)
	}
	a.todo = left
	if len(left) == 0 || !a.fit(c) {
		return false
	}
	if c.ext.limit > 0 && a.size > c.ext.limit {
		a.refuse(c, "5.3.4", "the message has "+strconv.FormatInt(a.size, 10)+" bytes, and the next hop takes at most "+
			strconv.FormatInt(c.ext.limit, 10))
		return false
	}
	return true
}

const noUTF8 = "the next hop offers no SMTPUTF8, which this address, or the sender's, needs for the letters before its @"

// refuse fails every recipient for a reason of ours.
func (a *attempt) refuse(c *conn, status, text string) {
	a.fill(refusal(c, status, text))
}

func refusal(c *conn, status, text string) queue.Result {
	return queue.Result{Outcome: queue.Failed, Status: status, Text: text, Remote: c.remote, Stage: stageMail}
}

// unreadable is our own fault: the message stays, and so does the lane.
func unreadable(c *conn, err error) queue.Result {
	return queue.Result{Text: clean("read the message: "+err.Error(), maxText), Remote: c.remote, Stage: stageMail}
}

// fill gives every recipient that has no result this one.
func (a *attempt) fill(res queue.Result) {
	for i := range a.results {
		if a.results[i].Stage == "" {
			a.results[i] = res
		}
	}
}

// fit makes the message one that the next hop takes, or fails it with the reason why that cannot be. Long lines stay where the
// message would become too large without them.
func (a *attempt) fit(c *conn) bool {
	hop := message.Hop{EightBit: c.ext.eightBit, UTF8: a.utf8, LongLines: c.cfg.LongLines}
	m, err := message.Fit(a.Body, a.Size, a.Facts, hop)
	if err == nil && !hop.LongLines && c.ext.limit > 0 && m.Size > c.ext.limit && a.Size <= c.ext.limit {
		hop.LongLines = true
		m, err = message.Fit(a.Body, a.Size, a.Facts, hop)
	}
	switch {
	case errors.Is(err, message.ErrCannotDowngrade):
		a.refuse(c, "5.6.3", clean("the next hop offers no 8BITMIME, and this message "+err.Error(), maxText))
	case err != nil:
		a.fill(unreadable(c, err))
	default:
		a.body, a.size, a.eightBit = m.Body, m.Size, m.EightBit
	}
	return err == nil
}

// tooMany recognises that a transaction has all the recipients that the next hop takes (RFC 5321, 4.5.3.1.10, which also wants
// 552 read so).
func tooMany(r reply) bool {
	if r.code != 452 && r.code != 552 {
		return false
	}
	return strings.HasSuffix(r.status, ".5.3") || strings.Contains(strings.ToLower(r.text), "too many recipients") ||
		r.code == 452 && r.status == ""
}
