package cli

import (
	"context"
	"io"

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
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	part := "raw"
	switch {
	case c.Headers:
		part = "headers"
	case c.Body:
		part = "body"
	}
	var w io.Writer = p.Out
	if p.screen().terminal && !c.Raw {
		w = &harmless{to: p.Out}
	}
	return p.noted(id, client.Cat(ctx, id, part, w))
}

// noted turns an error of the API about one message into ours.
func (p *program) noted(id queue.ID, err error) error {
	if err == nil {
		return nil
	}
	return about(id, refused(err))
}
