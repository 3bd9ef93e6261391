package relay

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"dinkymail/message"
	"dinkymail/queue"
)

// attempt is one call of Deliver.
type attempt struct {
	queue.Delivery
	pool    *pool
	results []queue.Result // a Stage in it means: settled, as far as this attempt goes
	todo    []int          // recipients that wait for their transaction, as indexes
	most    int            // recipients in one transaction
	current transact

	renewed  bool     // a connection was given up for a fresh one, which is done once
	observed observed // what that one teaches, if the fresh one does better

	// The message as this next hop takes it.
	body     io.ReadSeeker
	size     int64
	eightBit bool
	utf8     bool // MAIL needs SMTPUTF8

	dialogue string // what was said, when something was not delivered
}

func newAttempt(p *pool, d queue.Delivery) *attempt {
	a := &attempt{Delivery: d, pool: p, most: p.perTransaction(), results: make([]queue.Result, len(d.Envelope.To)), todo: make([]int, len(d.Envelope.To))}
	for i := range a.todo {
		a.todo[i] = i
	}
	return a
}

// over makes the attempt on this connection. It returns a fault when the connection is of no more use; recipients without a
// result are then the caller's. Without a fault those in todo wait for another connection.
func (a *attempt) over(ctx context.Context, c *conn) *fault {
	c.transcript.begin()
	if !a.prepare(c) {
		a.todo = nil
		return nil
	}
	stop := c.guard(ctx)
	f := a.transactions(c)
	if !stop() {
		if f == nil {
			f = &fault{stage: stageMail}
		}
		f.err, f.cancelled, f.renew, f.reply = context.Cause(ctx), true, false, reply{}
	}
	if f != nil {
		a.interrupted(f)
	}
	return f
}

// transactions makes one transaction after another, each with no more recipients than the next hop
// takes in one, until the connection has had its number. It returns a fault when a transaction
// ended with its connection.
func (a *attempt) transactions(c *conn) *fault {
	for {
		t := &a.current
		*t = transact{a: a, c: c, to: a.todo[:min(a.most, len(a.todo))]}
		f := t.run()
		c.used++
		c.idled = 0
		if f != nil {
			return f
		}
		a.pool.learn(a.observed)
		a.observed = observed{}
		a.advance(t)
		if len(a.todo) == 0 || a.pool.exhausted(c) {
			return nil
		}
	}
}

// interrupted sees to the recipients of the transaction that ended with its connection.
func (a *attempt) interrupted(f *fault) {
	t := &a.current
	if !f.renew {
		res := classify(f, t.c.remote)
		for _, i := range t.to {
			if a.results[i].Stage == "" {
				a.results[i] = res
			}
		}
		return
	}
	a.unsettle(t.again)
	a.todo = slices.DeleteFunc(a.todo, func(i int) bool { return a.results[i].Stage != "" })
}

// advance leaves in todo who comes next. When the next hop wants nothing of this message now, that
// is true for all who wait.
func (a *attempt) advance(t *transact) {
	rest := a.todo[len(t.to):]
	if res, all := t.verdict(); all {
		for _, i := range rest {
			a.results[i] = res
		}
		a.todo = nil
		return
	}
	a.unsettle(t.again)
	a.todo = append(t.again, rest...)
}

func (a *attempt) unsettle(recipients []int) {
	for _, i := range recipients {
		a.results[i] = queue.Result{}
	}
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
