package cli

import (
	"context"
	"fmt"
	"io"
)

type logCommand struct {
	ID string `arg:"" help:"The message."`
}

// Help is shown by dinkymail log --help.
func (logCommand) Help() string {
	return `Prints the log lines that name a message, as far back as the appliance keeps them.

Example:

    dinkymail log 0cagh3h68onkmkga`
}

// Run prints log lines.
func (c logCommand) Run(ctx context.Context, p *program) error {
	id, err := parseID(c.ID)
	if err != nil {
		return err
	}
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	lines := counted{to: p.Out}
	if err := client.Log(ctx, string(id), &lines); err != nil {
		return p.noted(id, err)
	}
	if lines.n == 0 {
		return &Exit{ExitNoInput, fmt.Errorf("%s: no log line that is kept names it; LOG_KEEP says how much is kept", id)}
	}
	return nil
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
