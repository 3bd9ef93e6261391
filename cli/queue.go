package cli

import (
	"context"
	"fmt"

	"dinkymail/cli/world"
)

type queueCommand struct {
	filters
	All    bool `group:"Filters:" help:"Finished and removed messages too."`
	Newest bool `help:"The newest first."`
	Limit  int  `default:"-1" placeholder:"N" help:"Show at most N; 0 for all. A terminal gets 100, everything else all."`
	JSON   bool `name:"json" help:"One JSON object a line."`
}

// Help is shown by dinkymail queue --help.
func (queueCommand) Help() string {
	return `Lists what waits, the oldest first: since when, how it stands, when it is tried next, and why it was not delivered yet. The
status "active" means that it is being handed over now, "held" that an operator keeps it back until dinkymail release. Mail that
waits for the upstream is queued or deferred, and the last column says so.

Examples:

    dinkymail queue
    dinkymail queue --domain example.com --older 1h
    dinkymail queue --error '/5\.7\.[0-9]/' --json | jq -r .id | dinkymail retry -
    dinkymail queue --status failed,partial --younger 1d`
}

// terminalLimit is how many messages a terminal is shown without --limit.
const terminalLimit = 100

// stretch is how many rows a table gathers before it prints them.
const stretch = 500

// Run lists messages.
func (c queueCommand) Run(ctx context.Context, p *program) error {
	p.lines = c.JSON
	sel := c.selection()
	sel.All, sel.Newest = c.All, c.Newest
	l := lister{p: p, screen: p.screen(), json: c.JSON, limit: c.Limit}
	if l.limit < 0 {
		l.limit = 0
		if l.screen.terminal && !c.JSON {
			l.limit = terminalLimit
		}
	}
	return p.ask(ctx, func(q world.Operator) error {
		if err := l.list(ctx, q, sel); err != nil || c.JSON {
			return err
		}
		nothing := "The queue is empty."
		if c.any() || c.All {
			nothing = "No message matches."
		}
		switch {
		case !l.screen.terminal && l.shown == 0: // what reads the list must not take this for one
			fmt.Fprintln(p.Err, nothing)
			return nil
		case !l.screen.terminal:
			return nil
		case l.shown == 0:
			p.printf("%s\n", nothing)
		default:
			l.footer()
		}
		return p.printTrouble(ctx, q)
	})
}
