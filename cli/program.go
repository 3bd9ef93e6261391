package cli

import (
	"context"
	"errors"
	"fmt"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/httpapi"
)

// program is what every command is given.
type program struct {
	Program
	given  string // --env-file
	dotenv string // the settings file that is used
	quiet  bool   // nothing is printed that the program played would not print
	local  bool   // no appliance runs, and this process has its queue open

	json    bool  // --json was given
	lines   bool  // it gives an object a line, some of which may be printed already
	result  any   // what a command that gives one object has to tell; finish prints it
	printed error // why something could not be printed
}

// program is what a command is given whose settings are in the file given, or where they are looked
// for.
func (w Program) program(given string) *program {
	p := &program{Program: w, given: given, dotenv: w.settingsFile(given)}
	p.Settings, p.Open = p.settings, p.operator
	p.Running = func(ctx context.Context) error {
		return world.Ask(ctx, p.live, func(world.Operator) error { return nil })
	}
	p.Health = func(ctx context.Context) (h httpapi.Health, err error) {
		client, err := p.appliance(ctx, "")
		if err == nil {
			defer client.Close()
			h, err = client.Health(ctx)
		}
		return h, err
	}
	p.Play = func(ctx context.Context, name string, args ...string) int { return p.play(ctx, name, args) }
	return p
}

// settings loads the settings and tells about mistakes.
func (p *program) settings() (*config.Settings, error) {
	s, err := config.Load(p.Environ, p.dotenv)
	if err != nil {
		return s, &Exit{Code: world.ExitConfig, Err: err}
	}
	return s, nil
}

// ask has do use the way to the queue, whether the appliance runs or not.
func (p *program) ask(ctx context.Context, do func(q world.Operator) error) error {
	return p.exiting(p.Ask(ctx, do))
}

// askRunning has do use the way to the appliance that runs.
func (p *program) askRunning(ctx context.Context, do func(q world.Operator) error) error {
	return p.exiting(world.Ask(ctx, p.live, do))
}

// live is the way to the appliance that runs.
func (p *program) live(ctx context.Context) (world.Operator, func(), error) {
	q, _, err := p.running(ctx)
	if err != nil {
		return nil, nil, err
	}
	return q, q.Close, nil
}

// exiting gives an error that has no exit status the one that it means when the appliance answered
// with it. What could not be printed is told when the command ends.
func (p *program) exiting(err error) error {
	if _, ok := errors.AsType[*Exit](err); ok {
		return err
	}
	if p.printed != nil {
		return nil
	}
	return refused(err)
}

// Write prints to standard output. That it cannot is told when the command ends.
func (p *program) Write(b []byte) (int, error) {
	n, err := p.Out.Write(b)
	if err != nil && p.printed == nil {
		p.printed = err
	}
	return n, err
}

// printf prints to standard output.
func (p *program) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

// tell prints what a command has to tell: result with --json, or else the words.
func (p *program) tell(result any, format string, args ...any) {
	if p.json {
		p.result = result
		return
	}
	p.printf(format, args...)
}
