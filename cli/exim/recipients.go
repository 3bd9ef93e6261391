package exim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// edit makes a verb that changes the recipients of one message. what is said when it fails.
func edit(what string, change func(c *command, e *operate.Entry, addresses []string, a *operate.Action) error) verb {
	return func(c *command, ctx context.Context, l *line) error {
		one := &line{option: l.option, operands: l.operands[:min(1, len(l.operands))]}
		return named(func(c *command, ctx context.Context, q world.Operator, _ *line, wanted []queue.ID) error {
			found, err := world.Find(ctx, q, wanted)
			if err != nil {
				return err
			}
			id := wanted[0]
			e, ok := found[id]
			if !ok {
				fmt.Fprintf(c.out, noSpoolFile, id)
				return unhappy()
			}
			if len(l.operands) == 1 {
				fmt.Fprintf(c.out, "Message %s - error while %s: no address given\n", id, what)
				return unhappy()
			}
			action := operate.Action{Verb: operate.Edit, Selection: queue.Selection{IDs: wanted}}
			if err := change(c, &e, l.operands[1:], &action); err != nil {
				return err
			}
			return c.modify(ctx, q, action, what)
		})(c, ctx, one)
	}
}

// modify does an action to one message and says so. One that would change nothing is done with.
func (c *command) modify(ctx context.Context, q world.Operator, a operate.Action, what string) error {
	var result operate.ActionResult
	var err error
	if a.Verb != operate.Edit || len(a.Add)+len(a.Drop) > 0 {
		result, err = q.Act(ctx, a)
	}
	if err == nil && len(result.Failed) > 0 {
		err = errors.New(result.Failed[0].Message)
	}
	if err != nil {
		fmt.Fprintf(c.out, "Message %s - error while %s: %s\n", a.IDs[0], what, plain.Line(err.Error()))
		return unhappy()
	}
	fmt.Fprintf(c.out, "Message %s has been modified\n", a.IDs[0])
	return nil
}

// addRecipients is -Mar.
func addRecipients(_ *command, _ *operate.Entry, addresses []string, a *operate.Action) error {
	a.Add = addresses
	return nil
}

const droppingRecipient = "marking as delivered"

// dropRecipients is -Mmd: nobody sends to them any more. Without a recipient left, the message is
// removed.
func dropRecipients(c *command, e *operate.Entry, addresses []string, action *operate.Action) error {
	has := func(address string) bool {
		return slices.ContainsFunc(addresses, func(a string) bool { return strings.EqualFold(a, address) })
	}
	for _, a := range addresses {
		if !slices.ContainsFunc(e.Recipients, func(r operate.Recipient) bool { return strings.EqualFold(r.Address, a) }) {
			fmt.Fprintf(c.out, "Message %s - error while %s:\n  %s is not a recipient: message not updated\n", e.ID, droppingRecipient, plain.Line(a))
			return unhappy()
		}
	}
	left := 0
	for _, r := range e.Recipients {
		switch {
		case world.Settled(&r):
		case has(r.Address):
			action.Drop = append(action.Drop, r.Address)
		default:
			left++
		}
	}
	if left == 0 {
		action.Verb, action.Drop = operate.Remove, nil
	}
	return nil
}
