package boltstore

import (
	"fmt"
	"math"
	"slices"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/turns"
)

// claims is the order in which legs are handed out, and what has been promised to whom. It knows no
// disk. It is guarded by Store.mu.
type claims struct {
	due   *turns.Turns
	held  map[queue.ID]*hold
	token uint64 // of the newest claim
	next  int64  // no claim lapses before
}

func newClaims() claims { return claims{due: turns.New(0), held: make(map[queue.ID]*hold)} }

// hold is the claims on one message. While it lasts it knows the record, once somebody read it, so
// that settling a message need not read it again.
type hold struct {
	now    place
	msg    *queue.Message // never changed; nil until it was read
	moved  bool           // the body was moved before the record was read: its place here is the newer one
	grants []grant
	one    [1]grant // room for the first, which mostly is the only one
}

// grant is one claim.
type grant struct {
	leg    int // or queue.AllLegs
	begun  bool
	lapsed bool // its time is over: the leg is in line again, and whoever gets it ends this
	sender uint32
	token  uint64
	until  int64
	due    int64 // as the leg stood in line; of claims on one leg
	lane   string
}

// working reports whether somebody works on a leg at this moment.
func (g *grant) working() bool { return g.begun && !g.lapsed && g.leg != queue.AllLegs }

// taken reports whether somebody has a claim on exactly this leg, or on all.
func (h *hold) taken(leg int) bool {
	return slices.ContainsFunc(h.grants, func(g grant) bool { return g.leg == leg && !g.lapsed })
}

func (h *hold) working() bool {
	for i := range h.grants {
		if h.grants[i].working() {
			return true
		}
	}
	return false
}

// grant finds a claim that holds, or nil. It is valid until the claims on its message change.
func (c *claims) grant(of queue.Claim) (*hold, *grant) {
	if h := c.held[of.ID]; h != nil {
		for i := range h.grants {
			if g := &h.grants[i]; g.token == of.Token && g.leg == of.Leg {
				return h, g
			}
		}
	}
	return nil, nil
}

// take claims at most n legs that are due on a lane, the senders taking turns.
func (c *claims) take(lane string, n int, now time.Time) (out []queue.Claim) {
	c.lapse(now)
	c.due.Ripen(lane, nanos(now))
	for len(out) < n {
		next, ok := c.due.Take(lane)
		if !ok {
			break
		}
		id := queue.ID(next.Key.ID())
		h := c.hold(id)
		out = append(out, c.add(h, id, grant{leg: next.Key.Leg(), due: next.Due, sender: next.Sender, lane: lane}, now))
	}
	return out
}

// takeAll claims a whole message: what nobody has begun is over.
func (c *claims) takeAll(id queue.ID, is state, now time.Time) (queue.Claim, error) {
	c.lapse(now)
	h := c.hold(id)
	if slices.ContainsFunc(h.grants, func(g grant) bool { return g.leg == queue.AllLegs && g.begun && !g.lapsed }) {
		return queue.Claim{}, queue.ErrActive
	}
	h.grants = slices.DeleteFunc(h.grants, func(g grant) bool { return !g.working() })
	h.now, h.msg, h.moved = is.now, is.msg, false
	c.withdraw(id, is.now)
	return c.add(h, id, grant{leg: queue.AllLegs}, now), nil
}

// hold is the claims on a message, none if it is new.
func (c *claims) hold(id queue.ID) *hold {
	h := c.held[id]
	if h == nil {
		h = &hold{}
		h.grants = h.one[:0]
		c.held[id] = h
	}
	return h
}

// add gives a claim with the next token. What lapsed on the same leg, or on all, is over.
func (c *claims) add(h *hold, id queue.ID, g grant, now time.Time) queue.Claim {
	h.grants = slices.DeleteFunc(h.grants, func(o grant) bool { return o.lapsed && (o.leg == g.leg || o.leg == queue.AllLegs) })
	c.token++
	g.token = c.token
	h.grants = append(h.grants, g)
	c.extend(&h.grants[len(h.grants)-1], now)
	return queue.Claim{ID: id, Leg: g.leg, Token: g.token}
}

func (c *claims) extend(g *grant, now time.Time) {
	g.until = nanos(now.Add(queue.ClaimTime))
	c.next = min(c.next, g.until)
}

// lapse puts the legs in line again whose claims were not renewed in time.
func (c *claims) lapse(now time.Time) {
	at := nanos(now)
	if at < c.next {
		return
	}
	c.next = math.MaxInt64
	for id, h := range c.held {
		for i := range h.grants {
			switch g := &h.grants[i]; {
			case g.lapsed:
			case g.until <= at:
				g.lapsed = true
				c.offer(id, h, g)
			default:
				c.next = min(c.next, g.until)
			}
		}
	}
}

// renew lets a claim hold for longer, also one that lapsed while nobody else got the leg.
func (c *claims) renew(of queue.Claim, now time.Time) (*hold, *grant, error) {
	h, g := c.grant(of)
	if g == nil {
		return nil, nil, queue.ErrLost
	}
	if g.lapsed {
		g.lapsed = false
		if g.leg == queue.AllLegs {
			c.withdraw(of.ID, h.now)
		} else {
			c.due.Remove(turns.KeyOf(string(of.ID), g.leg))
		}
	}
	c.extend(g, now)
	return h, g, nil
}

// begin begins a claim. It gives the record if that is known.
func (c *claims) begin(of queue.Claim, now time.Time) (*queue.Message, error) {
	c.lapse(now)
	h, g, err := c.renew(of, now)
	switch {
	case err != nil:
		return nil, fmt.Errorf("begin %s: %w", of.ID, err)
	case g.leg == queue.AllLegs && h.working():
		return nil, fmt.Errorf("begin %s: %w", of.ID, queue.ErrActive)
	}
	g.begun = true
	if g.leg == queue.AllLegs { // legs whose time is over are taken over
		h.grants = slices.DeleteFunc(h.grants, func(g grant) bool { return g.token != of.Token })
	}
	return h.msg, nil
}

// learn takes in the record of a message that was begun, as the index had it, and gives the newest
// one.
func (c *claims) learn(of queue.Claim, is state) (*queue.Message, error) {
	h, g := c.grant(of)
	if g == nil {
		return nil, fmt.Errorf("begin %s: %w", of.ID, queue.ErrLost)
	}
	if h.msg == nil {
		if h.moved {
			is.now.body = h.now.body
		}
		h.now, h.msg = is.now, is.msg
	}
	return h.msg, nil
}

// rest lets operators take a claim over. Where one has a claim on all legs already, that is now.
func (c *claims) rest(of queue.Claim) {
	h, g := c.grant(of)
	if g == nil {
		return
	}
	if g.begun = false; g.leg != queue.AllLegs && h.taken(queue.AllLegs) {
		c.end(of)
	}
}

// pin keeps a claim from lapsing while the result of it is written. Renewing it ends that.
func (c *claims) pin(of queue.Claim, now time.Time) error {
	_, g, err := c.renew(of, now)
	if err != nil {
		return fmt.Errorf("settle %s: %w", of.ID, err)
	}
	g.until = math.MaxInt64
	return nil
}

// end gives a claim back.
func (c *claims) end(of queue.Claim) {
	h, g := c.grant(of)
	if g == nil {
		return
	}
	was := *g
	h.grants = slices.DeleteFunc(h.grants, func(g grant) bool { return g.token == of.Token })
	if !was.lapsed {
		c.offer(of.ID, h, &was)
	}
	c.forget(of.ID, h)
}

// forget drops a message on which nobody has a claim any more.
func (c *claims) forget(id queue.ID, h *hold) {
	if len(h.grants) == 0 {
		delete(c.held, id)
	}
}

// offer puts the legs of a claim that ended in line again, but for those that somebody has.
func (c *claims) offer(id queue.ID, h *hold, g *grant) {
	switch {
	case h.taken(queue.AllLegs):
	case h.msg == nil:
		c.due.Add(g.lane, turns.Slot{Due: g.due, Key: turns.KeyOf(string(id), g.leg), Sender: g.sender})
	case g.leg == queue.AllLegs:
		c.offerAll(id, h)
	default:
		c.offerLeg(id, h, g.leg)
	}
}

func (c *claims) offerAll(id queue.ID, h *hold) {
	for leg := range h.now.legs() {
		c.offerLeg(id, h, leg)
	}
}

func (c *claims) offerLeg(id queue.ID, h *hold, leg int) {
	if due := h.now.due(leg); due != 0 && !h.taken(leg) {
		c.due.Add(h.msg.Legs[leg].Lane, turns.Slot{Due: due, Key: turns.KeyOf(string(id), leg), Sender: h.now.sender})
	}
}

// withdraw takes all legs of a message out of line.
func (c *claims) withdraw(id queue.ID, was place) {
	for leg := range was.legs() {
		c.due.Remove(turns.KeyOf(string(id), leg))
	}
}

// changed follows a change of a record, whose msg is nil when the message is gone: by the holder of
// the claim with a token, which is over, or with token 0 by somebody else, which ends all claims
// that nobody has begun.
func (c *claims) changed(id queue.ID, was, now place, msg *queue.Message, token uint64) {
	c.withdraw(id, was)
	h := c.held[id]
	if h == nil {
		h = &hold{}
	}
	h.now, h.msg, h.moved = now, msg, false
	h.grants = slices.DeleteFunc(h.grants, func(g grant) bool {
		waits := g.leg == queue.AllLegs || now.due(g.leg) != 0
		return msg == nil || g.token == token || !g.begun && (token == 0 || !waits)
	})
	if !h.taken(queue.AllLegs) {
		c.offerAll(id, h)
	}
	c.forget(id, h)
}

// moved follows a change of nothing but the place of the body.
func (c *claims) moved(id queue.ID, to location) {
	if h := c.held[id]; h != nil {
		h.now.body, h.moved = to, true
	}
}

// known is the record of a message, if somebody who has a claim on it has read it.
func (c *claims) known(id queue.ID) *state {
	if h := c.held[id]; h != nil && h.msg != nil {
		return &state{now: h.now, msg: h.msg}
	}
	return nil
}

// rows is where in the order of time those legs of a message stand that somebody has claimed.
func (c *claims) rows(id queue.ID) place {
	p := place{kept: waiting}
	if h := c.held[id]; h != nil {
		for i := range h.grants {
			if g := &h.grants[i]; g.leg != queue.AllLegs {
				p.set(g.leg, g.due)
			}
		}
	}
	return p
}
