package cli

import (
	"context"
	"errors"
	"fmt"

	"dinkymail/operate"
)

// act does a verb and prints what came of it: past is what was done ("Held"), hint what to type next or to know.
func (p *program) act(ctx context.Context, a operate.Action, asJSON bool, past, hint string) error {
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	result, err := client.Act(ctx, a)
	if err != nil {
		return refused(err)
	}
	return p.acted(a, result, asJSON, past, hint)
}

// acted prints what an action did, and turns what it could not do into an error.
func (p *program) acted(a operate.Action, r operate.ActionResult, asJSON bool, past, hint string) error {
	var err error
	switch {
	case asJSON:
		p.result = r
	case r.Matched == 0 && len(r.Failed) == 0:
		_, err = fmt.Fprintln(p.Out, "No message matches; nothing was done.")
	case r.Done > 0:
		which := count(r.Done, "message")
		if len(a.IDs) == 1 {
			which = string(a.IDs[0])
		}
		line := past + " " + which + "." + tooLate(r)
		if hint != "" {
			line += " " + hint
		}
		_, err = fmt.Fprintln(p.Out, line)
	}
	return errors.Join(err, failures(a, r))
}

// tooLate says of how many messages an action may have come too late; empty when of none.
func tooLate(r operate.ActionResult) string {
	switch {
	case r.Active == 0:
		return ""
	case r.Done == 1:
		return " It is being handed over now and may be delivered all the same."
	case r.Active == 1:
		return " 1 of them is being handed over now and may be delivered all the same."
	default:
		return fmt.Sprintf(" %s of them are being handed over now and may be delivered all the same.", number(r.Active))
	}
}

// failures is an error that names each message an action could not be done to; nil when there was none. Its status is 66 when
// those do not exist, 75 when a later try may do.
func failures(a operate.Action, r operate.ActionResult) error {
	if len(r.Failed) == 0 {
		return nil
	}
	code := ExitNoInput
	var lines []error
	for _, f := range r.Failed {
		if !f.Missing {
			code = ExitUnavailable
		}
		text := plain(f.Message)
		if f.Missing {
			text = "there is no such message; dinkymail queue --all lists those that are known"
		}
		lines = append(lines, fmt.Errorf("%s: %s", f.ID, text))
	}
	if more := r.Matched - r.Done - len(r.Failed); len(a.IDs) == 0 && more > 0 { // of those named none is left out
		lines = append(lines, fmt.Errorf("and %s more", number(more)))
	}
	return &Exit{code, errors.Join(lines...)}
}

type retryCommand struct {
	targets
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail retry --help.
func (retryCommand) Help() string {
	return `Tries messages now instead of at their next time. A lane that waits is tried at once as well. A message that you hold back
stays so until it is released.

Examples:

    dinkymail retry 0cagh3h68onkmkga
    dinkymail retry --domain example.com
    dinkymail retry --everything`
}

// Run tries messages now.
func (c retryCommand) Run(ctx context.Context, p *program) error {
	sel, err := c.selection(p, "retry")
	if err != nil {
		return err
	}
	return p.act(ctx, operate.Action{Verb: operate.Retry, Selection: sel}, c.JSON, "Tries now:", "dinkymail watch shows how it goes.")
}

type holdCommand struct {
	targets
	Reason string `placeholder:"TEXT" help:"Why; lists show it."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail hold --help.
func (holdCommand) Help() string {
	return `Keeps messages back until they are released. They do not expire meanwhile. A message that is being handed over is held when that
attempt is over and did not deliver it.

Examples:

    dinkymail hold 0cagh3h68onkmkga --reason "ask Ada first"
    dinkymail hold --from newsletter@example.com`
}

// Run holds messages.
func (c holdCommand) Run(ctx context.Context, p *program) error {
	sel, err := c.selection(p, "hold")
	if err != nil {
		return err
	}
	hint := "dinkymail release with the same words lets go."
	if len(sel.IDs) == 1 {
		hint = "dinkymail release " + string(sel.IDs[0]) + " lets it go."
	}
	return p.act(ctx, operate.Action{Verb: operate.Hold, Selection: sel, Reason: c.Reason}, c.JSON, "Held", hint)
}

type releaseCommand struct {
	targets
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail release --help.
func (releaseCommand) Help() string {
	return `Lets go messages that you held. They are tried at their time; dinkymail retry tries them at once.

Examples:

    dinkymail release 0cagh3h68onkmkga
    dinkymail release --status held --from newsletter@example.com`
}

// Run releases messages.
func (c releaseCommand) Run(ctx context.Context, p *program) error {
	sel, err := c.selection(p, "release")
	if err != nil {
		return err
	}
	return p.act(ctx, operate.Action{Verb: operate.Release, Selection: sel}, c.JSON, "Released", "dinkymail watch shows how it goes.")
}

type removeCommand struct {
	targets
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail remove --help.
func (removeCommand) Help() string {
	return `Puts messages into the trash without telling anybody: not the sender either. They stay there for TRASH_RETENTION, and undo brings
them back. For many, purge shows first what it would remove.

Examples:

    dinkymail remove 0cagh3h68onkmkga
    dinkymail queue --error "user unknown" | dinkymail remove -`
}

// Run removes messages.
func (c removeCommand) Run(ctx context.Context, p *program) error {
	sel, err := c.selection(p, "remove")
	if err != nil {
		return err
	}
	return p.act(ctx, operate.Action{Verb: operate.Remove, Selection: sel}, c.JSON, "Removed", p.undoHint())
}

// undoHint says until when a removal can be taken back.
func (p *program) undoHint() string {
	s, err := p.settings()
	if err != nil || s.Queue.TrashRetention <= 0 {
		return "dinkymail undo takes that back."
	}
	return fmt.Sprintf("dinkymail undo takes that back, until %s.", p.clock(p.now().Add(s.Queue.TrashRetention)))
}

type bounceCommand struct {
	targets
	Reason string `placeholder:"TEXT" help:"What the sender is told."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail bounce --help.
func (bounceCommand) Help() string {
	return `Gives up now: recipients that are not settled fail, and the sender gets the notice that would come at the end of QUEUE_LIFETIME.

Examples:

    dinkymail bounce 0cagh3h68onkmkga --reason "that company is no more"
    dinkymail bounce --domain old.example --older 1d`
}

// Run bounces messages.
func (c bounceCommand) Run(ctx context.Context, p *program) error {
	sel, err := c.selection(p, "bounce")
	if err != nil {
		return err
	}
	return p.act(ctx, operate.Action{Verb: operate.Bounce, Selection: sel, Reason: c.Reason}, c.JSON, "Bounced", "The senders are told.")
}
