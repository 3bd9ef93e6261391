package exim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// edited is a message whose recipients are to be edited, and the addresses for it; nil when it has been said why not.
func (c *command) edited(ctx context.Context, client appliance, l *line, what string) (*operate.Entry, []string, error) {
	wanted, err := ids(&line{option: l.option, operands: l.operands[:min(1, len(l.operands))]})
	if err != nil {
		return nil, nil, err
	}
	found, err := find(ctx, client, wanted)
	if err != nil {
		return nil, nil, err
	}
	id := wanted[0]
	e, ok := found[id]
	if !ok {
		fmt.Fprintf(c.out, noSpoolFile, id)
		return nil, nil, unhappy()
	}
	if len(l.operands) == 1 {
		fmt.Fprintf(c.out, "Message %s - error while %s: no address given\n", id, what)
		return nil, nil, unhappy()
	}
	return &e, l.operands[1:], nil
}

// modify does an action to one message and says so.
func (c *command) modify(ctx context.Context, client appliance, a operate.Action, what string) error {
	id := a.IDs[0]
	result, err := client.Act(ctx, a)
	if err == nil && len(result.Failed) > 0 {
		err = errors.New(result.Failed[0].Message)
	}
	if err != nil {
		fmt.Fprintf(c.out, "Message %s - error while %s: %s\n", id, what, plain.Line(err.Error()))
		return unhappy()
	}
	fmt.Fprintf(c.out, "Message %s has been modified\n", id)
	return nil
}

// addRecipients is -Mar.
func (c *command) addRecipients(ctx context.Context, l *line) error {
	const what = "adding recipient"
	client, done, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer done()
	e, addresses, err := c.edited(ctx, client, l, what)
	if err != nil {
		return err
	}
	action := operate.Action{Verb: operate.Edit, Selection: queue.Selection{IDs: []queue.ID{e.ID}}, Add: addresses}
	return c.modify(ctx, client, action, what)
}

// dropRecipients is -Mmd: nobody sends to them any more. Without a recipient left, the message is removed.
func (c *command) dropRecipients(ctx context.Context, l *line) error {
	const what = "marking as delivered"
	client, done, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer done()
	e, addresses, err := c.edited(ctx, client, l, what)
	if err != nil {
		return err
	}
	has := func(address string) bool {
		return slices.ContainsFunc(addresses, func(a string) bool { return strings.EqualFold(a, address) })
	}
	for _, a := range addresses {
		if !slices.ContainsFunc(e.Recipients, func(r operate.Recipient) bool { return strings.EqualFold(r.Address, a) }) {
			fmt.Fprintf(c.out, "Message %s - error while %s:\n  %s is not a recipient: message not updated\n", e.ID, what, plain.Line(a))
			return unhappy()
		}
	}
	action := operate.Action{Verb: operate.Edit, Selection: queue.Selection{IDs: []queue.ID{e.ID}}}
	left := 0
	for _, r := range e.Recipients {
		switch {
		case settled(&r):
		case has(r.Address):
			action.Drop = append(action.Drop, r.Address)
		default:
			left++
		}
	}
	if left == 0 {
		action = operate.Action{Verb: operate.Remove, Selection: action.Selection}
	} else if len(action.Drop) == 0 { // all were settled before
		fmt.Fprintf(c.out, "Message %s has been modified\n", e.ID)
		return nil
	}
	return c.modify(ctx, client, action, what)
}
