package cli

import (
	"context"
	"errors"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/queue"
)

type showMessage struct {
	IDs  []string `arg:"" name:"id" help:"Messages by ID; - reads IDs from standard input."`
	JSON bool     `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail show --help.
func (showMessage) Help() string {
	return `Tells all that is known of a message: its envelope, how each recipient stands, every attempt with what was said, why it waits
and until when, and what you can do. Finished and removed messages are shown too, until their records are dropped.

Examples:

    dinkymail show 0cagh3h68onkmkga
    dinkymail show 0cagh3h68onkmkga --json`
}

// Run shows messages.
func (c showMessage) Run(ctx context.Context, p *program) error {
	ids, err := p.ids(c.IDs)
	if err != nil {
		return err
	}
	return p.ask(ctx, func(q world.Operator) error { return p.show(ctx, q, ids) })
}

// show prints messages one after the other. Those that are not there do not stop it.
func (p *program) show(ctx context.Context, q world.Operator, ids []queue.ID) error {
	var missing []error
	between := ""
	for _, id := range ids {
		d, err := q.Show(ctx, id)
		if err != nil {
			err = about(id, refused(err))
		}
		switch {
		case err != nil && world.Status(err, 0) == world.ExitNoInput:
			missing = append(missing, err)
		case err != nil:
			return errors.Join(append([]error{err}, missing...)...) // with the status of what ended it
		case p.json:
			if err := p.printJSON(d); err != nil {
				return err
			}
		default:
			p.printf("%s%s", between, p.describe(d))
			between = "\n"
		}
	}
	if len(missing) > 0 {
		return &Exit{Code: world.ExitNoInput, Err: errors.Join(missing...)}
	}
	return nil
}

// about names the message that an error concerns.
func about(id queue.ID, err error) error {
	if strings.Contains(err.Error(), string(id)) {
		return err
	}
	return world.Failf(world.Status(err, world.ExitUnavailable), "%s: %w", id, err)
}

// printJSON prints one object.
func (p *program) printJSON(v any) error {
	e := world.JSON(p)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
