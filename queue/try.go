package queue

import (
	"context"
	"errors"
	"slices"
)

// job is one attempt to be made.
type job struct {
	ctx  context.Context
	next Deliverer
	e    event
}

// start makes an attempt in a goroutine of its own: one that is done with another, if there is any,
// since its stack has grown to what an attempt needs.
func (d *dispatcher) start(j job) {
	select {
	case d.jobs <- j:
	default:
		d.workers.Go(func() {
			for more := true; more; {
				if d.try(j.ctx, j.next, j.e); d.jobs == nil {
					return
				}
				j, more = <-d.jobs
			}
		})
	}
}

// try is the life of a leg from its claim to its result on the disk.
func (d *dispatcher) try(ctx context.Context, next Deliverer, e event) {
	defer func() { d.events <- e }()
	e.settled = true
	d.q.slots <- struct{}{}
	m, err := d.q.store.Begin(e.claim)
	var a *attempt
	switch {
	case d.q.gone(e.claim.ID, err):
		d.q.log.Info("message was removed before its attempt", "id", e.claim.ID)
	case errors.Is(err, ErrLost), err == nil && m.Captured: // captured mail is due in no Store; should it be, it stays here
	case err != nil:
		e.err, e.release = err, true
	case d.q.fault.on.Load() || d.paused():
		e.release = true
	default:
		a = d.q.attempt(ctx, next, newAttempt(m, e.claim), &d.handing)
	}
	<-d.q.slots
	e.ended = true
	if a == nil {
		return
	}
	cut := ctx.Err() != nil
	if !a.local && !cut {
		e.heard = a.report(e.heard)
	}
	if a.fruitless() {
		e.release = true
		if len(a.own) > 0 && !cut {
			e.suspect = a
		}
		return
	}
	d.q.unwritten <- struct{}{}
	d.events <- event{claim: e.claim, seq: e.seq, ended: true, heard: e.heard}
	e.ended = false
	d.q.settle(d.attempts, a)
	<-d.q.unwritten
}

// gone reports whether an error of a claim means that the message is there no more.
func (q *Queue) gone(id ID, err error) bool {
	if errors.Is(err, ErrLost) {
		_, err = q.store.Get(id)
	}
	return errors.Is(err, ErrNotFound)
}

// carryOut writes what was said of a message in doubt as its own, if it is as it was when it was
// tried; if not it is tried again.
func (d *dispatcher) carryOut(s *suspect) {
	e := event{claim: s.a.claim, settled: true}
	m, err := d.q.store.Begin(e.claim)
	if err == nil && m.Held == "" && m.waits() == nil && slices.Equal(m.Results, s.a.m.Results) {
		d.q.unwritten <- struct{}{}
		d.q.settle(d.attempts, s.a)
		<-d.q.unwritten
	} else {
		e.release = true
	}
	d.events <- e
}
