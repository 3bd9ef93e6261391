package cli

import (
	"context"
	"strings"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

type redirectCommand struct {
	Words []string `arg:"" name:"id... address" help:"Messages by ID, or - for IDs from standard input, and last the new address. With filters the address alone."`
	filters
	Everything bool `group:"Filters:" help:"All that waits."`
	JSON       bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail redirect --help.
func (redirectCommand) Help() string {
	return `Sends messages to another address: it takes the place of all recipients that are not settled. The header stays as it is.

Examples:

    dinkymail redirect 0cagh3h68onkmkga ada@example.com
    dinkymail redirect --to wrong@example.com right@example.com`
}

// Run redirects messages.
func (c redirectCommand) Run(ctx context.Context, p *program) error {
	last := len(c.Words) - 1
	to, err := address(c.Words[last])
	if err != nil {
		return err
	}
	sel, err := targets{IDs: c.Words[:last], filters: c.filters, Everything: c.Everything}.selection(p, "redirect")
	if err != nil {
		return err
	}
	return p.act(ctx, operate.Action{Verb: operate.Redirect, Selection: sel, To: to}, c.JSON, "Redirected", "It goes to "+to+" now.")
}

// address is an address as it was typed, in its one form.
func address(word string) (string, error) {
	if queue.ID(strings.TrimRight(word, "*!")).Valid() || word == "-" {
		return "", usage("the last word must be the new address, as in dinkymail redirect %s ada@example.com", word)
	}
	a, err := message.ParseAddress(word)
	if err != nil {
		return "", usage("%w", err)
	}
	return a.String(), nil
}

type editCommand struct {
	targets
	Add  []string `placeholder:"ADDRESS" help:"A recipient more; several with commas or several times."`
	Drop []string `placeholder:"ADDRESS" help:"A recipient less, who is not settled yet."`
	JSON bool     `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail edit-recipients --help.
func (editCommand) Help() string {
	return `Changes to whom messages go. Recipients that are settled stay as they are. To drop the last one that is not settled, remove or
bounce the message.

Examples:

    dinkymail edit-recipients 0cagh3h68onkmkga --drop bbo@example.com --add bob@example.com`
}

// Run changes recipients.
func (c editCommand) Run(ctx context.Context, p *program) error {
	if len(c.Add)+len(c.Drop) == 0 {
		return usage("say whom: --add ADDRESS, --drop ADDRESS, or both")
	}
	for _, list := range [][]string{c.Add, c.Drop} {
		for i, word := range list {
			a, err := address(word)
			if err != nil {
				return err
			}
			list[i] = a
		}
	}
	sel, err := c.selection(p, "edit-recipients")
	if err != nil {
		return err
	}
	hint := ""
	if len(sel.IDs) == 1 {
		hint = "dinkymail show " + string(sel.IDs[0]) + " shows how it stands now."
	}
	return p.act(ctx, operate.Action{Verb: operate.Edit, Selection: sel, Add: c.Add, Drop: c.Drop}, c.JSON, "Changed", hint)
}
