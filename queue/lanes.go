package queue

import (
	"context"
	"sync"
	"time"

	"dinkymail/queue/lane"
)

// lanes are the ways out that are in use, by name. Those of Config.Lanes are always there; others
// are made when something is due on them, and dropped when they were idle for idleTime.
type lanes struct {
	mu sync.RWMutex // guards of
	of map[string]*dispatcher
}

// idleTime is how long a lane that is not of Config.Lanes is remembered, with what was learned
// about it, while nothing is to be done on it.
const idleTime = time.Hour

// get is the lane of a name, or nil.
func (l *lanes) get(name string) *dispatcher {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.of[name]
}

// all is every lane in use.
func (l *lanes) all() []*dispatcher {
	l.mu.RLock()
	defer l.mu.RUnlock()
	all := make([]*dispatcher, 0, len(l.of))
	for _, d := range l.of {
		all = append(all, d)
	}
	return all
}

// open is the lane of a name, made if need be. The error is that of the function that New was
// given.
func (q *Queue) open(name string) (*dispatcher, error) {
	if d := q.lanes.get(name); d != nil {
		return d, nil
	}
	next, err := q.deliverer(name)
	if err != nil {
		return nil, err
	}
	d := newDispatcher(q, name, next)
	q.lanes.mu.Lock()
	defer q.lanes.mu.Unlock()
	q.lanes.of[name] = d
	return d, nil
}

// openDue opens the lanes of the settings, and those on which something is due, that are not in use,
// and returns when to look again. What is due on a lane that is gone gets another, or is held.
func (q *Queue) openDue(ctx context.Context, start func(*dispatcher)) time.Duration {
	now := time.Now()
	wait := time.Hour
	for _, name := range q.cfg().Lanes {
		if q.lanes.get(name) != nil {
			continue
		}
		if d, err := q.open(name); err == nil {
			start(d)
		}
	}
	for _, name := range q.store.Lanes() {
		if q.cfg().Capture || q.lanes.get(name) != nil {
			continue
		}
		due, ok := q.store.NextDue(name)
		switch {
		case !ok:
		case due.After(now):
			wait = min(wait, due.Sub(now))
		default:
			d, err := q.open(name)
			if err == nil {
				start(d)
			} else if !q.reroute(ctx, name, err) {
				wait = min(wait, claimPause)
			}
		}
	}
	return max(wait, time.Millisecond)
}

// quit drops a lane that was idle for long, or is gone.
func (q *Queue) quit(d *dispatcher) {
	q.lanes.mu.Lock()
	delete(q.lanes.of, d.name)
	q.lanes.mu.Unlock()
	poke(q.nudge) // something may have become due meanwhile
}

// nudgeLanes has the lanes of a message looked at, since something is due.
func (q *Queue) nudgeLanes(m *Message) {
	for i := range m.Legs {
		if d := q.lanes.get(m.Legs[i].Lane); d != nil {
			poke(d.nudge)
		} else {
			poke(q.nudge)
		}
	}
}

// useSettings takes in that the settings changed.
func (d *dispatcher) useSettings(now time.Time) {
	if next, err := d.q.deliverer(d.name); err == nil {
		d.next, d.gone = next, false
	} else {
		d.gone = true
		d.hold.forgetLast()
	}
	d.lane.Allow(d.q.cfg().Workers, d.running)
	d.forgive(now)
	d.lane.Wake(now)
	d.due = true
}

// reasonDevelopment is why a lane waits in development.
const reasonDevelopment = "development mode: nothing leaves the machine"

// newDispatcher makes a lane that flows, or in development one that waits.
func newDispatcher(q *Queue, name string, next Deliverer) *dispatcher {
	d := &dispatcher{
		q: q, name: name, next: next,
		nudge: make(chan struct{}, 1), wake: make(chan struct{}, 1), probe: make(chan struct{}, 1),
		events: make(chan event, MaxWorkers),
		hold:   hold{store: q.store, log: q.log, all: make(map[Claim]context.CancelFunc)}, doubts: newDoubts(), due: true,
	}
	d.lane = lane.New(name, q.cfg().Workers, q.log, func(s lane.Status) { d.status.Store(&s) }, func(flows bool, reason string) {
		kind := EventLaneWaits
		if flows {
			kind = EventLaneFlows
		}
		q.tellLane(kind, name, reason)
	})
	d.status.Store(&lane.Status{})
	d.concurrency.Store(int64(d.lane.Limit()))
	if q.cfg().Capture {
		d.status.Store(&lane.Status{Kind: lane.Development, Reason: reasonDevelopment})
	}
	return d
}
