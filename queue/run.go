package queue

import (
	"context"
	"sync"
	"time"
)

// Run delivers mail until ctx ends. Then it begins no further attempt, gives those in flight
// Config.Grace to finish, writes their results, and returns nil with nothing left running. What an
// attempt cut off by then had not settled stays deferred as if it had not been tried. Run is called
// once.
func (q *Queue) Run(ctx context.Context) error {
	q.warnOfPauses()
	var running sync.WaitGroup
	start := func(d *dispatcher) { running.Go(func() { d.run(ctx) }) }
	for _, d := range q.lanes.all() {
		start(d)
	}
	running.Go(func() { q.keepOrder(ctx) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(q.openDue(ctx, start))
		select {
		case <-ctx.Done():
		case <-q.nudge:
		case <-timer.C:
		}
	}
	running.Wait()
	return nil
}
