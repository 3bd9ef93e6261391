package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/operate"
)

// deed is an action, and what is said when it is done.
type deed struct {
	operate.Action
	past string // what was done: "Held"
	hint string // what to type next or to know
	one  string // the same for one message that was named, with %s for its ID; empty: hint
}

// act does a deed to the messages chosen and prints what came of it.
func (p *program) act(ctx context.Context, t targets, d deed) (err error) {
	if d.Selection, err = t.selection(p, string(d.Verb)); err != nil {
		return err
	}
	if len(d.IDs) == 1 && d.one != "" {
		d.hint = fmt.Sprintf(d.one, d.IDs[0])
	}
	return p.ask(ctx, func(q world.Operator) error {
		result, err := q.Act(ctx, d.Action)
		if err != nil {
			return err
		}
		return p.acted(d.Action, result, d.past, d.hint)
	})
}

// acted prints what an action did, and turns what it could not do into an error.
func (p *program) acted(a operate.Action, r operate.ActionResult, past, hint string) error {
	switch {
	case p.json:
		p.result = r
	case r.Matched == 0 && len(r.Failed) == 0:
		p.printf("No message matches; nothing was done.\n")
	case r.Done > 0:
		which := count(r.Done, "message")
		if len(a.IDs) == 1 {
			which = string(a.IDs[0])
		}
		p.printf("%s\n", strings.TrimRight(past+" "+which+"."+tooLate(r)+" "+hint, " "))
	}
	return failures(a, r)
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

// failures is an error that names each message an action could not be done to; nil when there was
// none. Its status is 66 when those do not exist, 75 when a later try may do.
func failures(a operate.Action, r operate.ActionResult) error {
	if len(r.Failed) == 0 {
		return nil
	}
	code := world.ExitNoInput
	var lines []error
	for _, f := range r.Failed {
		if !f.Missing {
			code = world.ExitUnavailable
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
	return &Exit{Code: code, Err: errors.Join(lines...)}
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
	return p.act(ctx, c.targets, deed{Action: operate.Action{Verb: operate.Retry}, past: "Tries now:", hint: "dinkymail watch shows how it goes."})
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
	return p.act(ctx, c.targets, deed{Action: operate.Action{Verb: operate.Hold, Reason: c.Reason}, past: "Held",
		hint: "dinkymail release with the same words lets go.", one: "dinkymail release %s lets it go."})
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
	return p.act(ctx, c.targets, deed{Action: operate.Action{Verb: operate.Release}, past: "Released", hint: "dinkymail watch shows how it goes."})
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
	return p.act(ctx, c.targets, deed{Action: operate.Action{Verb: operate.Remove}, past: "Removed", hint: p.undoHint()})
}

// undoHint says until when a removal can be taken back.
func (p *program) undoHint() string {
	s, err := p.settings()
	if err != nil || s.Queue.TrashRetention <= 0 {
		return "dinkymail undo takes that back."
	}
	return fmt.Sprintf("dinkymail undo takes that back, until %s.", p.clock(p.Time().Add(s.Queue.TrashRetention)))
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
	return p.act(ctx, c.targets, deed{Action: operate.Action{Verb: operate.Bounce, Reason: c.Reason}, past: "Bounced", hint: "The senders are told."})
}
