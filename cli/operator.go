package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"dinkymail/config"
	"dinkymail/httpapi"
	"dinkymail/maildrop"
)

// controlSocket is the name of the control socket in DATA_DIR.
const controlSocket = "control.sock"

// systemDataDir is where the shipped systemd unit keeps the queue, whatever its settings file says of DATA_DIR.
const systemDataDir = "/var/lib/dinkymail"

// operator is the way to the queue: over the running appliance's control socket, or, while none runs, in this process. close ends
// it, and must be called.
func (p *program) operator(ctx context.Context) (client *httpapi.Client, close func(), err error) {
	client, s, err := p.running(ctx)
	if err == nil {
		return client, client.Close, nil
	}
	var absent *absentError
	if !errors.As(err, &absent) || p.Offline == nil {
		return nil, nil, err
	}
	return p.offline(ctx, s, absent)
}

// absentError says that no appliance answers at its socket.
type absentError struct {
	socket string
	err    error
}

func (e *absentError) Error() string {
	return fmt.Sprintf("the appliance does not run: nobody answers at %s (%s); start it with systemctl start dinkymail, or dinkymail serve. "+
		"If it keeps its mail elsewhere, name its settings with --env-file", e.socket, cause(e.err))
}

// running is the client of the appliance that runs with our settings. The error is of *absentError when there is none.
func (p *program) running(ctx context.Context) (*httpapi.Client, *config.Settings, error) {
	s, err := p.settings()
	if err != nil {
		return nil, nil, withSudo(p.dotenv, err, opens(p.dotenv))
	}
	var first error
	for _, dir := range p.dataDirs(s) {
		path := filepath.Join(dir, controlSocket)
		err := knock(ctx, path)
		switch {
		case err == nil:
			moveTo(s, dir)
			return httpapi.NewSocketClient(path), s, nil
		case errors.Is(err, fs.ErrPermission):
			return nil, s, &Exit{ExitNoPermission, fmt.Errorf(
				"only root and the user the appliance runs as may use the control socket %s; run this with sudo (%w)", path, fs.ErrPermission)}
		case first == nil:
			first = &absentError{path, err}
		}
	}
	return nil, s, &Exit{ExitUnavailable, first}
}

// withSudo is the error about settings that cannot be used, where opened is what opening their file gave: who may not read it may
// not ask the appliance either.
func withSudo(file string, wrong, opened error) error {
	if !errors.Is(opened, fs.ErrPermission) {
		return wrong
	}
	return &Exit{ExitNoPermission, fmt.Errorf("only root and the user the appliance runs as may read its settings in %s; "+
		"run this with sudo", file)}
}

// opens tries whether a file can be opened.
func opens(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// dataDirs are the directories in which an appliance with these settings may keep its mail: DATA_DIR, and while that was not set
// the one of the systemd unit, which is the only one for settings of systemFile.
func (p *program) dataDirs(s *config.Settings) []string {
	given := func(r config.Row) bool { return r.Name == "DATA_DIR" && r.Source != "default" }
	switch {
	case slices.ContainsFunc(s.Effective(), given):
		return []string{s.DataDir}
	case p.dotenv == systemFile:
		return []string{systemDataDir}
	default:
		return []string{s.DataDir, systemDataDir}
	}
}

// knock tries whether somebody listens at a Unix socket.
func knock(ctx context.Context, path string) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// offline opens the queue that no appliance has open.
func (p *program) offline(ctx context.Context, s *config.Settings, absent *absentError) (*httpapi.Client, func(), error) {
	dirs := p.dataDirs(s)
	i := slices.IndexFunc(dirs, func(dir string) bool {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	})
	if i < 0 {
		return nil, nil, &Exit{ExitUnavailable, fmt.Errorf("there is no queue at DATA_DIR=%s, and nobody answers at %s; "+
			"name the appliance's settings with --env-file, or run this where it was started", s.DataDir, absent.socket)}
	}
	moveTo(s, dirs[i])
	if err := becomeOwner(s.DataDir); err != nil {
		return nil, nil, &Exit{ExitNoPermission, err}
	}
	handler, closeStore, err := p.Offline(ctx, s)
	if err != nil {
		return nil, nil, unavailable(fmt.Errorf("the appliance does not answer at %s, and its queue cannot be opened: %w", absent.socket, err))
	}
	p.local = true
	if !p.quiet {
		fmt.Fprintf(p.Err, "note: the appliance does not run; this is its queue in %s\n", s.DataDir)
		if n := maildrop.Waiting(s.Maildrop.Dir); n > 0 {
			fmt.Fprintf(p.Err, "note: besides, mail that sendmail left waits in %s to be taken in when it runs: %d\n", s.Maildrop.Dir, n)
		}
	}
	client := httpapi.NewLocalClient(handler)
	return client, func() {
		client.Close()
		if err := closeStore(); err != nil {
			fmt.Fprintln(p.Err, "dinkymail: close the queue:", err)
		}
	}, nil
}

// unavailable gives an error the status 69, unless it has one.
func unavailable(err error) error {
	var exit *Exit
	if errors.As(err, &exit) {
		return &Exit{exit.Code, err}
	}
	return &Exit{ExitUnavailable, err}
}

// refused gives an error of the API the exit status it means.
func refused(err error) error {
	var api *httpapi.Error
	if err == nil || errors.Is(err, context.Canceled) || !errors.As(err, &api) {
		if err != nil {
			return &Exit{ExitUnavailable, err}
		}
		return nil
	}
	code := ExitUnavailable
	switch api.Status {
	case http.StatusNotFound, http.StatusGone:
		code = ExitNoInput
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		code = ExitUsage
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		code = ExitTempFail
	case http.StatusForbidden, http.StatusUnauthorized:
		code = ExitNoPermission
	}
	return &Exit{code, err}
}

// cause is the innermost part of a network error, without the path, which the message has already.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
