package queue

import (
	"context"
	"sync"
	"time"
)

const (
	sweepEvery  = time.Minute // how often mail is looked for that outlived its lifetime on a lane that waits
	forgetEvery = time.Hour   // how often old records are removed
	page        = 200         // records looked at or removed at a time
)

// keepOrder is the janitor: it does now and then what no attempt brings about.
func (q *Queue) keepOrder(ctx context.Context) {
	sweep, forget := time.NewTicker(sweepEvery), time.NewTicker(forgetEvery)
	defer sweep.Stop()
	defer forget.Stop()
	q.forget(ctx)
	losses := time.NewTimer(time.Hour)
	defer losses.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			q.sweep(ctx)
		case <-forget.C:
			q.forget(ctx)
		case <-q.losses.news:
			losses.Reset(q.losses.due())
		case <-losses.C:
			if !q.tellLosses(ctx) {
				losses.Reset(sweepEvery)
			}
		}
	}
}

// forget removes the records whose time is over, a few at a time so that nobody waits long for the
// store.
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

// sweep fails the mail that outlived its lifetime while its lane waited: no attempt would do it. In
// development mode nothing expires, for nobody could be told, and on a lane that an operator paused
// nothing does either, nor does held mail.
func (q *Queue) sweep(ctx context.Context) {
	waiting := make(map[string]string) // why, by lane
	for _, l := range q.laneStatuses() {
		if l.State == LaneWaiting {
			waiting[l.Name] = l.Reason
		}
	}
	if len(waiting) == 0 || q.cfg().Capture || q.fault.on.Load() {
		return
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	now := time.Now()
	for after := ID(""); ctx.Err() == nil; {
		list, err := q.store.List(Filter{Waiting: true}, after, page)
		if err != nil {
			q.log.Warn("waiting mail not looked through for what is too old", "err", err)
			return
		}
		for i := range list {
			if m := &list[i]; m.Held == "" && !now.Before(q.cfg().deadline(m)) && m.waitsOn(waiting) {
				q.unwritten <- struct{}{}
				writing.Go(func() {
					q.giveUpOn(ctx, m.ID, waiting)
					<-q.unwritten
				})
			}
		}
		// The list is in the order of acceptance: behind the first young page all are young.
		if len(list) < page || list[page-1].Accepted.Add(q.cfg().Lifetime).After(now) {
			return
		}
		after = list[page-1].ID
	}
}

// giveUpOn fails the recipients of a message on lanes that wait, unless somebody is at work on it.
func (q *Queue) giveUpOn(ctx context.Context, id ID, waiting map[string]string) {
	c, err := q.store.ClaimOne(id)
	if err != nil {
		return
	}
	defer q.store.Release(c)
	m, err := q.store.Begin(c)
	if err != nil || m.waits() != nil || m.Held != "" {
		return
	}
	a := newAttempt(m, c)
	a.swept, a.local, a.tried = true, true, nil
	for leg := range m.Legs {
		reason, ok := waiting[m.Legs[leg].Lane]
		if !ok {
			continue
		}
		for _, i := range m.openOf(leg) {
			last := m.Results[i]
			if last.reply() == "" {
				last.Text = reason
			}
			a.tried = append(a.tried, i)
			a.results = append(a.results, q.expired(last))
		}
	}
	q.settle(ctx, a)
}

// waitsOn reports whether a recipient is not settled whose lane is one of some.
func (m *Message) waitsOn(lanes map[string]string) bool {
	for leg := range m.Legs {
		if _, ok := lanes[m.Legs[leg].Lane]; ok && len(m.openOf(leg)) > 0 {
			return true
		}
	}
	return false
}
