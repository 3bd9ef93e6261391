package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"dinkymail/cli"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/internal/listen"
	"dinkymail/maildrop"
)

// doors are the open listeners.
type doors struct {
	smtp, smtps, http []net.Listener
	control           []net.Listener // the operator's socket
	submit            []net.Listener // that of the members of SUBMIT_GROUP
	notices           []string
}

type doorway struct {
	name      string
	listeners []net.Listener
}

func (d *doors) all() []doorway {
	return []doorway{{"control", d.control}, {"submit", d.submit}, {"smtp", d.smtp}, {"smtps", d.smtps}, {"http", d.http}}
}

// close closes what nobody serves any more.
func (d *doors) close() {
	for _, door := range d.all() {
		listen.Close(door.listeners)
	}
}

// openDoors opens every listener on TCP, or none. Development mode takes other ports where the
// standard ones may not be bound and nobody asked for them.
func openDoors(ctx context.Context, s *config.Settings) (*doors, error) {
	d := &doors{}
	var err error
	d.smtp, err = listen.TCP(ctx, "SMTP_LISTEN", s.SMTPListen)
	if err != nil && s.Development && !s.SMTPListenGiven {
		d.notices = append(d.notices, fmt.Sprintf("SMTP listens on %s, because %s could not be opened.",
			strings.Join(config.DevelopmentSMTPListen, " and "), strings.Join(s.SMTPListen, " and ")))
		d.smtp, err = listen.TCP(ctx, "SMTP_LISTEN", config.DevelopmentSMTPListen)
	}
	if err == nil {
		d.smtps, err = listen.TCP(ctx, "SMTPS_LISTEN", s.SMTPSListen)
	}
	if err == nil {
		d.http, err = listen.TCP(ctx, "HTTP_LISTEN", s.HTTPListen)
	}
	if err != nil {
		d.close()
		return nil, shut(err)
	}
	return d, nil
}

// openSockets opens the operator's socket, and makes the place where programs on this machine hand
// mail in, with a socket for the members of SUBMIT_GROUP. The store is open by then, so that nobody
// else keeps mail in this directory.
func (d *doors) openSockets(ctx context.Context, s *config.Settings) error {
	control, err := listen.Unix(ctx, "DATA_DIR", filepath.Join(s.DataDir, control.Socket), 0o600, -1)
	if err != nil {
		return shut(err)
	}
	d.control = append(d.control, control)
	if err := maildrop.Prepare(s.Maildrop, s.DataDir); err != nil {
		return &cli.Exit{Code: cli.ExitConfig, Err: err}
	}
	if s.Maildrop.Group == "" {
		return nil
	}
	gid, err := maildrop.Group(s.Maildrop.Group)
	if err != nil {
		return &cli.Exit{Code: cli.ExitConfig, Err: err}
	}
	submit, err := listen.Unix(ctx, "SUBMIT_DIR", maildrop.Socket(s.Maildrop.Dir), 0o660, gid)
	if err != nil {
		return shut(err)
	}
	d.submit = append(d.submit, submit)
	return nil
}

// shut says by the exit status why a listener could not be opened.
func shut(err error) error {
	code := cli.ExitUnavailable
	switch {
	case errors.Is(err, listen.ErrRights):
		code = cli.ExitNoPermission
	case errors.Is(err, listen.ErrPath):
		code = cli.ExitConfig
	}
	return &cli.Exit{Code: code, Err: err}
}
