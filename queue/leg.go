package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Leg is the recipients of a message that take one way out. It has attempts of its own.
type Leg struct {
	Lane  string    // the name of the way
	To    []int     // its recipients, as indexes into Envelope.To; nil: all there are
	Next  time.Time // the next attempt; zero when nothing will be tried
	Tries int       // attempts that counted; those on a lane that waits do not
}

// MaxLegs bounds Message.Legs.
const MaxLegs = 1<<16 - 1

// NextAttempt is when the first of its legs will be tried; zero when none will: it is finished,
// captured, or waits for an operator.
func (m *Message) NextAttempt() time.Time {
	var next time.Time
	for i := range m.Legs {
		if at := m.Legs[i].Next; next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// Tries is how many attempts counted, of the leg that had most.
func (m *Message) Tries() int {
	most := 0
	for i := range m.Legs {
		most = max(most, m.Legs[i].Tries)
	}
	return most
}

// Router says which ways out the recipients of a message take. Its methods may be called from any
// goroutine.
type Router interface {
	// Route returns the legs of a message: the lane of each, and whom it is for. A recipient of
	// whom it does not speak takes the first lane of Config.Lanes.
	Route(m *Message) []Leg
}

// openOf is the recipients of a leg that are not settled, as indexes into Envelope.To.
func (m *Message) openOf(leg int) []int {
	l := &m.Legs[leg]
	if l.To == nil {
		return m.open()
	}
	return slices.DeleteFunc(slices.Clone(l.To), func(i int) bool { return m.Results[i].Outcome != Deferred })
}

// restLegs ends the waiting of legs whose recipients are all settled, and reports whether all
// recipients of the message are.
func (m *Message) restLegs() bool {
	for i := range m.Legs {
		if len(m.openOf(i)) == 0 {
			m.Legs[i].Next = time.Time{}
		}
	}
	return len(m.open()) == 0
}

// dueAt makes the next attempt of every leg that has something to do due at a time.
func (m *Message) dueAt(at time.Time) {
	for i := range m.Legs {
		if len(m.openOf(i)) > 0 {
			m.Legs[i].Next = at
		}
	}
}

// route is the legs of a message, as the Router wants them. Each recipient is in exactly one.
func (c *Config) route(m *Message) []Leg {
	if c.Router == nil {
		return []Leg{{Lane: c.Lanes[0]}}
	}
	legs := c.Router.Route(m)
	if len(legs) == 1 && legs[0].To == nil {
		return []Leg{{Lane: legs[0].Lane}}
	}
	given := make([]bool, len(m.Envelope.To))
	var clean []Leg
	take := func(name string, to []int) {
		l := Leg{Lane: name}
		for _, i := range to {
			if i >= 0 && i < len(given) && !given[i] {
				given[i] = true
				l.To = append(l.To, i)
			}
		}
		switch n := len(clean); {
		case len(l.To) == 0:
		case n < MaxLegs:
			clean = append(clean, l)
		default: // nobody may be in none
			clean[n-1].To = append(clean[n-1].To, l.To...)
		}
	}
	for _, l := range legs {
		take(l.Lane, l.To)
	}
	take(c.Lanes[0], everyone(m))
	if len(clean) == 1 {
		clean[0].To = nil
	}
	return clean
}

// routeAgain routes a message whose recipients were changed, and makes it due at a time.
func (c *Config) routeAgain(m *Message, at time.Time) {
	old := m.Legs
	m.Legs = c.route(m)
	for i := range m.Legs {
		if same := slices.IndexFunc(old, func(l Leg) bool { return l.Lane == m.Legs[i].Lane }); same >= 0 {
			m.Legs[i].Tries = old[same].Tries
		}
	}
	m.dueAt(at)
}

// reroute gives legs that are due on a lane that is gone the way that the Router wants for them
// now. Where that is no lane either the message is held. It reports whether there is nothing more
// to do.
func (q *Queue) reroute(ctx context.Context, name string, gone error) bool {
	for ctx.Err() == nil {
		claims, err := q.store.Claim(name, page)
		for _, c := range claims {
			if moved := q.move(c, gone); moved != nil && !errors.Is(moved, ErrLost) && !errors.Is(moved, ErrNotFound) {
				err = moved
			}
		}
		if err != nil {
			q.log.Error("mail of a lane that is gone cannot be given another; it is tried again", "lane", name, "err", err)
			return false
		}
		if len(claims) < page {
			break
		}
	}
	return true
}

// move gives one leg another lane, or holds its message.
func (q *Queue) move(c Claim, gone error) error {
	var to string
	m, err := q.store.Settle(c, func(m *Message) {
		leg := &m.Legs[c.Leg]
		to = q.laneFor(m, leg)
		if _, err := q.deliverer(to); to == leg.Lane || err != nil {
			m.Held, to = fmt.Sprintf("its lane %q is gone (%v); name it again, or change the recipients", leg.Lane, gone), ""
			return
		}
		leg.Lane = to
	})
	switch {
	case err != nil:
		q.store.Release(c)
		return err
	case to == "":
		q.did("held", EventHeld, &m, m.Held)
	default:
		q.log.Info("message takes another lane", "id", m.ID, "lane", to, "reason", gone)
		q.nudgeLanes(&m)
	}
	return nil
}

// laneFor is the lane that the Router wants for the first recipient of a leg that is open.
func (q *Queue) laneFor(m *Message, leg *Leg) string {
	for _, l := range q.cfg().route(m) {
		if l.To == nil || slices.ContainsFunc(l.To, func(i int) bool {
			return m.Results[i].Outcome == Deferred && (leg.To == nil || slices.Contains(leg.To, i))
		}) {
			return l.Lane
		}
	}
	return q.cfg().Lanes[0]
}
