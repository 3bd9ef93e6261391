package cli

import (
	"context"

	"dinkymail/cli/world"
	"dinkymail/queue"
)

type catCommand struct {
	ID      string `arg:"" help:"The message."`
	Headers bool   `xor:"part" help:"Its header alone."`
	Body    bool   `xor:"part" help:"Its body alone, as it is encoded."`
	Raw     bool   `xor:"part" help:"Every byte as it will be sent, on a terminal too."`
}

// Help is shown by dinkymail cat --help.
func (catCommand) Help() string {
	return `Prints a message as it will be sent. On a terminal control characters are shown instead of obeyed, unless --raw is given.
Delivered and failed messages have no body any more.

Examples:

    dinkymail cat 0cagh3h68onkmkga --headers
    dinkymail cat 0cagh3h68onkmkga --raw > message.eml`
}

// Run prints a message.
func (c catCommand) Run(ctx context.Context, p *program) error {
	id, err := parseID(c.ID)
	if err != nil {
		return err
	}
	part := "raw"
	switch {
	case c.Headers:
		part = "headers"
	case c.Body:
		part = "body"
	}
	w := p.Out
	if p.screen().terminal && !c.Raw {
		w = &harmless{to: w}
	}
	return p.askAbout(ctx, id, func(q world.Operator) error { return q.Cat(ctx, id, part, w) })
}

// askAbout is ask, where an error names the message that it concerns.
func (p *program) askAbout(ctx context.Context, id queue.ID, do func(q world.Operator) error) error {
	return p.ask(ctx, func(q world.Operator) error {
		if err := do(q); err != nil {
			return about(id, p.exiting(err))
		}
		return nil
	})
}
