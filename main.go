// Dinkymail is a mail appliance in one binary: it takes mail in over SMTP and HTTP, keeps it in a
// queue on disk, and hands it to the next hop until every recipient is settled. Whoever runs it
// asks and commands it over a socket in its directory. Read this file first: it says what is made,
// what runs, and how it stops.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"dinkymail/account"
	"dinkymail/cli"
	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/httpapi"
	"dinkymail/internal/listen"
	"dinkymail/maildrop"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
	"dinkymail/relay"
	"dinkymail/smtp"
)

// version is the release's number, set by the linker: -X main.version=1.2.3.
var version string

func main() {
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the whole program under the name that args begin with; its result is the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	program := cli.Program{World: world.World{In: stdin, Out: stdout, Err: stderr, Environ: environ, Version: cli.Version(version)}}
	if len(args) > 0 {
		program.Name, args = filepath.Base(args[0]), args[1:]
	}
	program.Offline = func(s *config.Settings) (operate.Operator, func() error, error) {
		return offline(s, newLog(stderr, &config.Settings{}, slog.LevelError))
	}
	program.Serve = func(ctx context.Context, s *config.Settings, reload func() (*config.Settings, error)) error {
		return serve(ctx, s, reload, stderr)
	}
	return program.Run(ctx, args)
}

// serve is the appliance. Every listener is open before anything runs. SIGTERM and SIGINT close the
// listeners and let what is in flight finish; the store closes last.
func serve(ctx context.Context, s *config.Settings, reload func() (*config.Settings, error), stderr io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	doors, err := openDoors(ctx, s)
	if err != nil {
		return err
	}
	defer doors.close()
	var level slog.LevelVar
	log, kept := openLog(stderr, s, &level)
	defer func() { err = errors.Join(err, kept.Close()) }()
	store, err := boltstore.Open(s.DataDir, boltstore.Config{}, log)
	if err != nil {
		return &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("open the queue in DATA_DIR=%s: %w", s.DataDir, err)}
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := doors.openSockets(ctx, s); err != nil {
		return err
	}

	s.HTTP.Version, s.HTTP.Listening = cli.Version(version), listen.Addresses(doors.http)
	next := relay.New(s.Relay, log)
	addresses(s, log)
	accounts := account.New(s.Account, log)
	s.SMTP.Accounts, s.HTTP.Accounts = accounts, accounts
	q := queue.New(store, queue.One(next), s.Queue, log)
	settings := &reloads{read: reload, now: s, log: log, hangup: hangup}
	s.HTTP.Sensor = sensor{s, next}
	desk := operate.New(q, parts(settings, q, kept))
	submission, api, drop := smtp.New(q, s.SMTP, log), httpapi.New(q, s.HTTP, log), maildrop.New(q, s.Maildrop, log)
	watch := alerts(settings.current, q, log)
	settings.use = func(fresh *config.Settings) {
		level.Set(fresh.LogLevel)
		addresses(fresh, log)
		accounts = accounts.With(fresh.Account)
		fresh.SMTP.Accounts, fresh.HTTP.Accounts = accounts, accounts
		fresh.HTTP.Version, fresh.HTTP.Sensor = cli.Version(version), sensor{fresh, next}
		submission.Use(fresh.SMTP)
		next.Use(fresh.Relay)
		q.Use(fresh.Queue)
		api.Use(fresh.HTTP)
		drop.Use(fresh.Maildrop)
		watch.Use(fresh.Alert.Webhook)
	}

	announce(log, s, doors)
	work := []task{q.Run, drop.Run, watch.Run, kept.Run, settings.run}
	for _, ln := range doors.smtp {
		work = append(work, func(ctx context.Context) error { return submission.Serve(ctx, ln) })
	}
	for _, ln := range doors.smtps {
		work = append(work, func(ctx context.Context) error { return submission.ServeTLS(ctx, ln) })
	}
	for _, ln := range doors.http {
		work = append(work, func(ctx context.Context) error { return api.Serve(ctx, ln) })
	}
	for _, ln := range doors.submit {
		work = append(work, func(ctx context.Context) error { return maildrop.Serve(ctx, ln, desk, settings.grace, log) })
	}
	for _, ln := range doors.control {
		work = append(work, func(ctx context.Context) error {
			return control.Serve(ctx, ln, desk, api.Trusted(), settings.grace, log)
		})
	}
	err = errors.Join(together(ctx, work...), next.Close())
	log.Info("stopped")
	return err
}

// announce says what was started, and what an operator should know about the settings.
func announce(log *slog.Logger, s *config.Settings, d *doors) {
	mode := "production"
	if s.Development {
		mode = "development"
	}
	log.Info("started", "mode", mode, "version", s.HTTP.Version, "domain", s.Domain, "upstream", s.Upstream(), "data", s.DataDir)
	for _, door := range d.all() {
		for _, ln := range door.listeners {
			log.Info("listening", "door", door.name, "addr", ln.Addr().String())
		}
	}
	for _, text := range append(s.Notices, d.notices...) {
		log.Info("note", "text", text)
	}
	for _, text := range s.Warnings {
		log.Warn("settings", "text", text)
	}
	if !s.Development {
		return
	}
	why := "ENVIRONMENT=development"
	if s.Unconfigured {
		why = "there is no .env and no setting"
	}
	at := ""
	if len(d.http) > 0 {
		at = "http://" + d.http[0].Addr().String() + "/captured"
	}
	log.Warn("development mode: mail is captured and nothing leaves this machine", "why", why, "captured", at)
}
