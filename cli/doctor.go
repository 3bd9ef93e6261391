package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/doctor"
	"dinkymail/httpapi"
)

type doctorCommand struct {
	Address string        `arg:"" optional:"" help:"Send one mail there, through the running appliance, and follow it."`
	JSON    bool          `name:"json" help:"Print JSON."`
	Timeout time.Duration `default:"2m" help:"How long to follow the mail."`
}

// Help is shown by dinkymail doctor --help.
func (doctorCommand) Help() string {
	return `Looks at the settings, the disk, who reaches the doors, the running appliance, your domain in DNS, and at the upstream up to
whether it takes your sender; and says of what is not right why it matters and which line to change. Without an address nothing is sent.

Exits 0 when there is no error, whatever the notes and warnings; 69 when there is one; 78 when the settings are wrong.

Example:

    dinkymail doctor
    dinkymail doctor you@example.com
    dinkymail doctor --json`
}

// Run examines, and prints the report.
func (c doctorCommand) Run(ctx context.Context, p *program) error {
	s, problems := config.Load(p.Environ, p.dotenv)
	patient := doctor.Patient{Settings: s, Problems: problems, EnvFile: p.dotenv, Version: p.Version, Now: p.Now,
		Address: c.Address, SendTest: c.send(p)}
	if problems == nil {
		client, found, err := p.running(ctx)
		patient.Unreachable = err
		var absent *absentError
		switch {
		case errors.As(err, &absent):
			patient.Unreachable = fmt.Errorf("the appliance does not run: nobody answers at %s (%s)", absent.socket, cause(absent.err))
		case err == nil:
			patient.Settings = found // with the directory in which it was found
			patient.Operator, patient.API = client, httpapi.NewSocketClient(filepath.Join(found.DataDir, control.Socket))
			defer client.Close()
			defer patient.API.Close()
		}
	}
	r := doctor.Examine(ctx, patient)
	if err := c.print(p, r); err != nil {
		return err
	}
	switch {
	case problems != nil:
		return &Exit{Code: ExitConfig}
	case r.Errors > 0:
		return &Exit{Code: ExitUnavailable}
	default:
		return nil
	}
}

// print prints the report, or keeps it with what is wrong as its message.
func (c doctorCommand) print(p *program, r doctor.Report) error {
	if !c.JSON {
		screen := p.screen()
		return r.Print(p.Out, screen.colors, screen.width)
	}
	var wrong []string
	for _, f := range r.Findings {
		if f.Level == doctor.Error {
			wrong = append(wrong, f.What)
		}
	}
	p.result = struct {
		doctor.Report
		Message string `json:"message,omitempty"`
	}{r, strings.Join(wrong, "\n")}
	return nil
}

// send is what send-test does, with its lines given to say.
func (c doctorCommand) send(p *program) func(context.Context, string, func(string)) error {
	return func(ctx context.Context, address string, say func(string)) error {
		aside := *p
		aside.Out = sayer(say)
		return testCommand{Address: address, Wait: true, Timeout: c.Timeout}.Run(ctx, &aside)
	}
}

// sayer gives on what is written to it, a line at a time; whoever writes, writes whole lines.
type sayer func(line string)

func (s sayer) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		s(strings.TrimRight(line, "\n"))
	}
	return len(b), nil
}
