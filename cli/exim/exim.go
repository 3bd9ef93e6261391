// Package exim answers to the names exim, exim4 and exiqgrep.
//
// # What it promises
//
// What is printed has Exim's layout, so that scripts and monitoring which read it go on working,
// and the words and exit statuses are Exim's. What -Mrm removes goes into the trash, like
// everything an operator removes, and can be restored from there with dinkymail undo.
//
// A message is frozen when an operator holds it, or when it was captured in development mode. One
// that waits for its lane is not. Recipients that are settled are marked D.
//
// # Limits
//
// Message IDs are this appliance's: 16 characters without hyphens. There is no configuration file:
// -C and -D are not looked at, and -bP knows the names that have an answer here. The appliance runs
// its own queue, so -q has nothing to do, -qf tries everything now, and -qff what is frozen too.
// The sender and the body of a message cannot be edited. Sending is sendmail's.
//
// # Who runs where
//
// Everything runs in the goroutine that calls Run.
package exim

import (
	"bufio"
	"context"
	"fmt"

	"dinkymail/cli/world"
)

// command is one command that runs.
type command struct {
	world.World
	out *bufio.Writer // to Out
}

// Run does what the command name does with args, which do not have the name, and returns its exit
// status.
func Run(ctx context.Context, name string, args []string, w world.World) int {
	say := func(text string) { fmt.Fprintln(w.Err, text) }
	return w.Run("exim: ", say, func(out *bufio.Writer) error {
		c := &command{w, out}
		if name == "exiqgrep" {
			return c.exiqgrep(ctx, args)
		}
		return c.exim(ctx, args)
	})
}

// fail is an error that ends a command with status 1.
func fail(format string, args ...any) error { return world.Failf(1, format, args...) }

// unhappy ends a command with status 1 when it has said already what is wrong.
func unhappy() error { return world.Ended(1) }
