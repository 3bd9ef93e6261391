package main

import (
	"context"
	"errors"
	"sync"
)

// task is long-lived work: it blocks until ctx ends or it fails, and leaves nothing running.
type task func(ctx context.Context) error

// together runs all tasks and returns when all have ended. The first to end, in whatever way, ends
// the others. Their errors are joined.
func together(ctx context.Context, tasks ...task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(tasks))
	var running sync.WaitGroup
	for i, t := range tasks {
		running.Go(func() {
			defer cancel()
			errs[i] = t(ctx)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
