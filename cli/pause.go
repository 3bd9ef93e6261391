package cli

import (
	"context"
	"os/user"

	"dinkymail/cli/world"
	"dinkymail/queue"
)

type pauseCommand struct {
	What   string `arg:"" help:"intake, a lane such as upstream, or all."`
	Reason string `placeholder:"TEXT" help:"Why; lists show it."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail pause --help.
func (pauseCommand) Help() string {
	return `Stops taking mail in (intake), delivering on a lane (its name, as dinkymail stats shows it), or both (all), until resume; restarts
change nothing about it. While intake is paused clients are told to try again later.

Examples:

    dinkymail pause upstream --reason "the provider moves tonight"
    dinkymail pause all`
}

// pauseResult is what pause and resume print with --json.
type pauseResult struct {
	What   string `json:"what"`
	Paused bool   `json:"paused"`
	Reason string `json:"reason,omitempty"`
}

// what is what is paused, in words.
func what(name string) string {
	switch name {
	case queue.Intake:
		return "taking mail in"
	case queue.Everything:
		return "taking mail in and delivering it"
	default:
		return "delivering on lane " + plain(name)
	}
}

// asker is who types this, behind sudo too.
func (p *program) asker() string {
	if name := p.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// Run pauses.
func (c pauseCommand) Run(ctx context.Context, p *program) error {
	err := p.ask(ctx, func(q world.Operator) error { return q.Pause(ctx, c.What, c.Reason, p.asker()) })
	if err == nil {
		p.tell(pauseResult{c.What, true, c.Reason}, "Paused: %s. dinkymail resume %s ends it.\n", what(c.What), c.What)
	}
	return err
}

type resumeCommand struct {
	What string `arg:"" help:"intake, a lane such as upstream, or all."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail resume --help.
func (resumeCommand) Help() string {
	return "Ends what pause began.\n\nExample:\n\n    dinkymail resume upstream"
}

// Run resumes.
func (c resumeCommand) Run(ctx context.Context, p *program) error {
	err := p.ask(ctx, func(q world.Operator) error { return q.Resume(ctx, c.What) })
	if err == nil {
		p.tell(pauseResult{What: c.What}, "Resumed: %s.\n", what(c.What))
	}
	return err
}
