package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"

	"dinkymail/config"
	"dinkymail/queue"
	"dinkymail/relay"
)

// task is long-lived work: it blocks until ctx ends or it fails, and leaves nothing running.
type task func(ctx context.Context) error

// together runs all tasks and returns when all have ended. The first to end, in whatever way, ends the others. Their errors
// are joined.
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

// rereads reads certificates and the upstream's settings again on SIGHUP. With a mistake in them everything stays as it is.
type rereads struct {
	s      *config.Settings
	reload func() (*config.Settings, error)
	next   *relay.Relay
	queue  *queue.Queue
	log    *slog.Logger
	hangup <-chan os.Signal
}

func (r rereads) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hangup:
			r.again()
		}
	}
}

func (r rereads) again() {
	fresh, err := r.reload()
	if err != nil {
		r.log.Error("settings have mistakes, the old ones stay", "err", err)
		return
	}
	for _, text := range fresh.Warnings {
		r.log.Warn("settings", "text", text)
	}
	switch {
	case r.s.Certificate != nil && fresh.Certificate != nil:
		r.s.Certificate.Use(fresh.Certificate)
	case r.s.Certificate != nil || fresh.Certificate != nil:
		r.log.Warn("settings", "text", "TLS_CERT_FILE was set or unset; that takes a restart.")
	}
	r.next.Use(fresh.Relay)
	r.queue.Wake()
	r.log.Info("settings read again", "upstream", fresh.Upstream())
}
