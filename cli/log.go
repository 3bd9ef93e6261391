package cli

import "context"

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
	return p.noted(id, client.Log(ctx, string(id), p.Out))
}
