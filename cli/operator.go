package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/maildrop"
	"dinkymail/operate"
	"dinkymail/queue/boltstore"
)

// systemDataDir is where the shipped systemd unit keeps the queue, whatever its settings file says of DATA_DIR.
const systemDataDir = "/var/lib/dinkymail"

// operator is the way to the queue: over the running appliance's control socket, or, while none runs, in this process. close ends
// it, and must be called.
func (p *program) operator(ctx context.Context) (o operate.Operator, close func(), err error) {
	client, s, err := p.running(ctx)
	if err == nil {
		return client, client.Close, nil
	}
	var absent *absentError
	if !errors.As(err, &absent) || p.Offline == nil {
		return nil, nil, err
	}
	return p.offline(s, absent)
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

// running is the client of the appliance that runs. Its socket is looked for before anything is made of the settings: a mistake in
// them, or a file of another program that happens to be called .env, takes no command away. The error is of *absentError when
// nobody answers; the settings are then those of the directory with a queue, if there is one.
func (p *program) running(ctx context.Context) (*control.Client, *config.Settings, error) {
	var absent, denied, wrong error
	var of *config.Settings
	for c := range p.candidates {
		path := filepath.Join(c.settings.DataDir, control.Socket)
		err := knock(ctx, path)
		switch {
		case err == nil:
			if c.wrong != nil && !p.quiet {
				fmt.Fprintf(p.Err, "note: the settings in %s have mistakes, which dinkymail config check names; "+
					"the appliance at %s is asked all the same\n", c.settings.File, path)
			}
			return control.NewClient(path), c.settings, nil
		case errors.Is(err, fs.ErrPermission):
			if denied == nil {
				denied = &Exit{ExitNoPermission, fmt.Errorf("only root and the user the appliance runs as may use the control socket %s; "+
					"run this with sudo (%w)", path, fs.ErrPermission)}
			}
		case absent == nil || boltstore.Kept(c.settings.DataDir) == nil:
			absent, of, wrong = &absentError{path, err}, c.settings, c.wrong
		}
		if boltstore.Kept(c.settings.DataDir) == nil {
			break // it is this one that was meant
		}
	}
	switch {
	case denied != nil:
		return nil, of, denied
	case wrong != nil:
		return nil, nil, withSudo(of.File, wrong, opens(of.File))
	default:
		return nil, of, &Exit{ExitUnavailable, absent}
	}
}

// candidate is where an appliance may keep its mail: settings, with that directory in them, and what is wrong with them.
type candidate struct {
	settings *config.Settings
	wrong    error
}

// candidates yields the places where an appliance may keep its mail, the likeliest first: what the settings say, and unless somebody
// named those, what the other files say that settings are looked for in.
func (p *program) candidates(yield func(candidate) bool) {
	files := []string{p.dotenv}
	if p.given == "" && p.getenv("DINKYMAIL_ENV_FILE") == "" && p.getenv("DATA_DIR") == "" {
		files = append(files, otherFiles()...)
	}
	seen := map[string]bool{}
	for i, file := range files {
		if i > 0 && (file == p.dotenv || !readable(file)) {
			continue
		}
		s, err := config.Load(p.Environ, file)
		if err != nil {
			err = &Exit{ExitConfig, err}
		}
		for _, dir := range p.dataDirs(s, file) {
			at := *s
			moveTo(&at, dir)
			if !seen[dir] && !yield(candidate{&at, err}) {
				return
			}
			seen[dir] = true
		}
	}
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

// dataDirs are the directories in which an appliance with the settings of a file may keep its mail: DATA_DIR, and while that was not
// set the one of the systemd unit, which is the only one for settings of systemFile.
func (p *program) dataDirs(s *config.Settings, file string) []string {
	given := func(r config.Row) bool { return r.Name == "DATA_DIR" && r.Source != "default" }
	switch {
	case slices.ContainsFunc(s.Effective(), given):
		return []string{s.DataDir}
	case file == systemFile:
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
func (p *program) offline(s *config.Settings, absent *absentError) (operate.Operator, func(), error) {
	if info, err := os.Stat(s.DataDir); err != nil || !info.IsDir() {
		return nil, nil, &Exit{ExitUnavailable, fmt.Errorf("there is no queue at DATA_DIR=%s, and nobody answers at %s; "+
			"name the appliance's settings with --env-file, or run this where it was started", s.DataDir, absent.socket)}
	}
	if err := becomeOwner(s.DataDir); err != nil {
		return nil, nil, &Exit{ExitNoPermission, err}
	}
	o, closeStore, err := p.Offline(s)
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
	return o, func() {
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

// refused gives an error of an operate.Operator the exit status it means.
func refused(err error) error {
	if err == nil {
		return nil
	}
	code := ExitUnavailable
	if e, ok := errors.AsType[*operate.Error](err); ok {
		switch e.Code {
		case operate.CodeNotFound:
			code = ExitNoInput
		case operate.CodeFormat, operate.CodeAddress, operate.CodeSelection:
			code = ExitUsage
		case operate.CodePaused, operate.CodeBusy, operate.CodeFull, operate.CodeUnavailable:
			code = ExitTempFail
		}
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
