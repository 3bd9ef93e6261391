package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"

	"dinkymail/cli"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
	"dinkymail/relay"
)

// offline is the operator of an appliance that does not run: the queue is opened, and nothing of it
// runs. Nothing is ever made where there is no queue.
func offline(s *config.Settings, log *slog.Logger) (operate.Operator, func() error, error) {
	if errors.Is(boltstore.Kept(s.DataDir), fs.ErrNotExist) {
		return nil, nil, &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("no queue is kept in DATA_DIR=%s; "+
			"name the settings of the appliance with --env-file", s.DataDir)}
	}
	store, err := boltstore.Open(s.DataDir, boltstore.Config{}, log)
	if errors.Is(err, boltstore.ErrInUse) {
		return nil, nil, &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("the appliance runs (its directory %s is locked), "+
			"but does not answer at its socket %s; if it has just begun or is about to end, try again, and else restart it",
			s.DataDir, filepath.Join(s.DataDir, control.Socket))}
	}
	if err != nil {
		return nil, nil, &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("open the queue in DATA_DIR=%s: %w", s.DataDir, err)}
	}
	_, kept := openLog(io.Discard, s, new(slog.LevelVar))
	next := relay.New(s.Relay, log)
	q := queue.New(store, queue.One(next), s.Queue, log)
	end := func() error { return errors.Join(next.Close(), store.Close(), kept.Close()) }
	return operate.New(q, parts(&reloads{now: s}, q, kept)), end, nil
}
