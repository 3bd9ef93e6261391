package queue

import (
	"context"
	"time"
)

const (
	sweepEvery  = time.Minute // how often mail is looked for that outlived its lifetime on a lane that waits
	forgetEvery = time.Hour   // how often old records are removed
	page        = 200         // records looked at or removed at a time
)

// keepOrder is the janitor: it does now and then what no attempt brings about.
func (c *crew) keepOrder(ctx, attempts context.Context) {
	sweep, forget := time.NewTicker(sweepEvery), time.NewTicker(forgetEvery)
	defer sweep.Stop()
	defer forget.Stop()
	c.q.forget(ctx)
	losses := time.NewTimer(time.Hour)
	defer losses.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			c.sweep(ctx, attempts)
		case <-forget.C:
			c.q.forget(ctx)
		case <-c.q.losses.news:
			losses.Reset(c.q.losses.due())
		case <-losses.C:
			if !c.q.tellLosses(ctx) {
				losses.Reset(sweepEvery)
			}
		}
	}
}

// forget removes the records whose time is over, a few at a time so that nobody waits long for the store.
func (q *Queue) forget(ctx context.Context) {
	now := time.Now()
	old, trash := now.Add(-q.cfg().HistoryRetention), now.Add(-q.cfg().TrashRetention)
	removed := 0
	for ctx.Err() == nil {
		n, err := q.store.Expire(old, trash, page)
		removed += n
		if err != nil {
			q.log.Warn("old records not removed", "err", err)
		}
		if err != nil || n < page {
			break
		}
	}
	if removed > 0 {
		q.log.Debug("old records removed", "n", removed)
	}
}

// sweep fails the mail that outlived its lifetime while its lane waited: no attempt would do it. In development mode nothing
// expires, for nobody could be told, and on a lane that an operator paused nothing does either, nor does held mail.
func (c *crew) sweep(ctx, attempts context.Context) {
	if c.q.lane.Load().State == LaneFlowing || c.q.cfg().Capture || c.q.sick.on.Load() || c.q.lanePaused() {
		return
	}
	now := time.Now()
	for after := ID(""); ctx.Err() == nil; {
		list, err := c.q.store.List(Filter{Waiting: true}, after, page)
		if err != nil {
			c.q.log.Warn("waiting mail not looked through for what is too old", "err", err)
			return
		}
		var old []Message
		for i := range list {
			if list[i].Held == "" && !now.Before(c.q.cfg().deadline(&list[i])) {
				old = append(old, list[i])
			}
		}
		if len(old) > 0 {
			c.expireHeld(ctx, attempts, old)
		}
		// The list is in the order of acceptance: behind the first young page all are young.
		if len(list) < page || list[page-1].Accepted.Add(c.q.cfg().Lifetime).After(now) {
			return
		}
		after = list[page-1].ID
	}
}

// expireHeld fails those of m that nobody is trying.
func (c *crew) expireHeld(ctx, attempts context.Context, m []Message) {
	question := ask{m: m, granted: make(chan []Message, 1)}
	select {
	case c.asks <- question:
	case <-ctx.Done():
		return
	}
	for _, old := range <-question.granted {
		if !c.q.hands.tryTake(old.ID) { // an operator is at work on it
			c.events <- event{id: old.ID, settled: true}
			continue
		}
		edits := c.q.edits.Load()
		now, err := c.q.store.Get(old.ID) // what was listed may have changed before it was granted
		if err != nil || now.waits() != nil || now.Held != "" {
			c.q.hands.let(old.ID)
			c.events <- event{id: old.ID, settled: true}
			continue
		}
		a := newAttempt(now)
		a.swept, a.local, a.edits = true, true, edits
		for _, i := range a.tried {
			last := now.Results[i]
			if last.reply() == "" {
				last.Text = c.q.lane.Load().Reason
			}
			a.results = append(a.results, c.q.expired(last))
		}
		c.hand(attempts, a)
	}
}
