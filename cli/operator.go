package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/maildrop"
	"dinkymail/operate"
	"dinkymail/queue/boltstore"
)

// operator is the way to the queue: over the running appliance's control socket, or, while none
// runs, in this process. close ends it, and must be called.
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
		"If it keeps its mail elsewhere, name its settings with --env-file", e.socket, world.Cause(e.err))
}

// running is the client of the appliance that runs. Its socket is looked for before anything is
// made of the settings: a mistake in them, or a file of another program that happens to be called
// .env, takes no command away. The error is of *absentError when nobody answers; the settings are
// then those of the directory with a queue, if there is one.
func (p *program) running(ctx context.Context) (*control.Client, *config.Settings, error) {
	var absent, denied, wrong error
	var of *config.Settings
	for c := range p.candidates {
		path := filepath.Join(c.settings.DataDir, control.Socket)
		err := knock(ctx, "unix", path)
		switch {
		case err == nil:
			if c.wrong != nil && !p.quiet {
				fmt.Fprintf(p.Err, "note: the settings in %s have mistakes, which dinkymail config check names; "+
					"the appliance at %s is asked all the same\n", c.settings.File, path)
			}
			return control.NewClient(path), c.settings, nil
		case errors.Is(err, fs.ErrPermission):
			if denied == nil {
				denied = world.Failf(world.ExitNoPermission, "only root and the user the appliance runs as may use the control socket %s; "+
					"run this with sudo (%w)", path, fs.ErrPermission)
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
		return nil, of, &Exit{Code: world.ExitUnavailable, Err: absent}
	}
}

// offline opens the queue that no appliance has open.
func (p *program) offline(s *config.Settings, absent *absentError) (operate.Operator, func(), error) {
	if info, err := os.Stat(s.DataDir); err != nil || !info.IsDir() {
		return nil, nil, world.Failf(world.ExitUnavailable, "there is no queue at DATA_DIR=%s, and nobody answers at %s; "+
			"name the appliance's settings with --env-file, or run this where it was started", s.DataDir, absent.socket)
	}
	if err := becomeOwner(s.DataDir); err != nil {
		return nil, nil, &Exit{Code: world.ExitNoPermission, Err: err}
	}
	o, closeStore, err := p.Offline(s)
	if err != nil {
		return nil, nil, world.Failf(world.Status(err, world.ExitUnavailable),
			"the appliance does not answer at %s, and its queue cannot be opened: %w", absent.socket, err)
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

// refusals are the exit statuses of what an operate.Operator refuses.
var refusals = map[operate.Code]int{
	operate.CodeNotFound: world.ExitNoInput,
	operate.CodeFormat:   world.ExitUsage, operate.CodeAddress: world.ExitUsage, operate.CodeSelection: world.ExitUsage,
	operate.CodePaused: world.ExitTempFail, operate.CodeBusy: world.ExitTempFail, operate.CodeFull: world.ExitTempFail,
	operate.CodeUnavailable: world.ExitTempFail,
}

// refused gives an error of an operate.Operator the exit status it means.
func refused(err error) error {
	if err == nil {
		return nil
	}
	code := 0
	if e, ok := errors.AsType[*operate.Error](err); ok {
		code = refusals[e.Code]
	}
	return &Exit{Code: cmp.Or(code, world.ExitUnavailable), Err: err}
}
