package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"dinkymail/cli"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/maildrop"
)

// longestSocket is how many bytes the path of a Unix socket may have everywhere.
const longestSocket = 100

// openControl opens the operator's socket. The store is open by then, so that nobody else keeps mail in this directory.
func (d *doors) openControl(ctx context.Context, s *config.Settings) error {
	ln, err := openSocket(ctx, "DATA_DIR", filepath.Join(s.DataDir, control.Socket), 0o600, -1)
	if err != nil {
		return err
	}
	d.control = append(d.control, ln)
	return nil
}

// openSocket listens on the Unix socket at path, which those may use whom mode and the group, -1 for our own, let. At no moment has
// its file wider rights. A socket that a killed appliance left behind makes room; one at which somebody answers does not. The
// file goes when the listener is closed.
func openSocket(ctx context.Context, setting, path string, mode fs.FileMode, group int) (net.Listener, error) {
	if len(path) > longestSocket {
		return nil, &cli.Exit{Code: cli.ExitConfig, Err: fmt.Errorf("%s: the path of the socket %s has %d bytes, and a Unix socket's may "+
			"have %d; set %s to a directory with a shorter path, or to a link to this one that has", setting, path, len(path), longestSocket,
			setting)}
	}
	if err := clearSocket(ctx, path); err != nil {
		return nil, &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("%s: %w", setting, err)}
	}
	// The socket's own mode is that of its file where the system heeds it; the mode that was asked for comes once the group is right.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	ln, err := private.Listen(ctx, "unix", path)
	if err != nil {
		return nil, &cli.Exit{Code: cli.ExitUnavailable, Err: fmt.Errorf("%s: listen on the socket %s: %w", setting, path, err)}
	}
	err = os.Chown(path, -1, group)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		_ = ln.Close() // it was never served
		return nil, &cli.Exit{Code: cli.ExitNoPermission, Err: fmt.Errorf("%s: give the socket %s its rights: %w", setting, path, err)}
	}
	return ln, nil
}

// clearSocket removes a socket at path at which nobody answers.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way, which is no socket; move it elsewhere", path)
	}
	c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close() // nothing was said
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("another program answers at %s; if that is an appliance, stop it or give this one its own directory", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket that is left from before: %w", err)
	}
	return nil
}

// openSubmit makes the place where programs on this machine hand mail in, and opens its socket for the members of SUBMIT_GROUP.
func (d *doors) openSubmit(ctx context.Context, s *config.Settings) error {
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
	ln, err := openSocket(ctx, "SUBMIT_DIR", maildrop.Socket(s.Maildrop.Dir), 0o660, gid)
	if err != nil {
		return err
	}
	d.submit = append(d.submit, ln)
	return nil
}
