package cli

import (
	"context"
	"io"

	"dinkymail/cli/world"
	"dinkymail/queue"
)

type logCommand struct {
	ID    string `arg:"" optional:"" help:"The message; without one the newest lines about anything."`
	Lines int    `short:"n" default:"100" help:"How many of the newest lines, when no message is named; at most 10000."`
}

// Help is shown by dinkymail log --help.
func (logCommand) Help() string {
	return `Prints the log lines that name a message, as far back as the appliance keeps them; without a message the newest lines.

Examples:

    dinkymail log 0cagh3h68onkmkga
    dinkymail log -n 20`
}

// Run prints log lines.
func (c logCommand) Run(ctx context.Context, p *program) error {
	var id queue.ID
	if c.ID != "" {
		var err error
		if id, err = parseID(c.ID); err != nil {
			return err
		}
	}
	lines := counted{to: p.Out}
	nothing := world.Failf(world.ExitNoInput, "no log line is kept; LOG_KEEP says how much is")
	var err error
	if id == "" {
		err = p.ask(ctx, func(q world.Operator) error { return q.NewestLog(ctx, c.Lines, &lines) })
	} else {
		nothing = world.Failf(world.ExitNoInput, "%s: no log line that is kept names it; LOG_KEEP says how much is kept", id)
		err = p.askAbout(ctx, id, func(q world.Operator) error { return q.Log(ctx, string(id), &lines) })
	}
	if err == nil && lines.n == 0 {
		return nothing
	}
	return err
}

// counted counts the bytes that go to a writer.
type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}
