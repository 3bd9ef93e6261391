// Package postfix answers to the names of Postfix's commands: mailq, postqueue, postcat, postsuper,
// postconf, postfix, postmap and newaliases.
//
// # What it promises
//
// What is printed has Postfix's layout, with its long queue IDs, down to the column, so that
// scripts and monitoring which read it go on working. Exit statuses and the words of reports and
// errors are Postfix's as well; where there is more to say it is said on standard error. What
// postsuper deletes goes into the trash, like everything an operator removes, and can be restored
// from there with dinkymail undo.
//
// A message is in the hold queue ("!") when an operator holds it, or when it was captured in
// development mode. A message that waits for its lane is deferred, with the lane's trouble as the
// reason for the delay. "*" marks those being handed over.
//
// # Limits
//
// There is no main.cf and no master.cf: postconf shows what this appliance's settings come to under
// Postfix's names, and edits nothing; a -c DIRECTORY is not looked at. Starting and stopping is
// systemd's. A message that is forced to expire is given up at once instead of being marked with
// "#", by -e only where it is not on hold. postmap reads text and regexp tables and builds none;
// without a table it asks the appliance's own aliases.
//
// # Who runs where
//
// Everything runs in the goroutine that calls Run.
package postfix

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/internal/plain"
)

// command is one command that runs.
type command struct {
	world.World
	name string
	out  *bufio.Writer // to Out
}

// commands are the names this package answers to.
var commands = map[string]func(*command, context.Context, []string) error{
	"mailq":      (*command).mailq,
	"postqueue":  (*command).postqueue,
	"postcat":    (*command).postcat,
	"postsuper":  (*command).postsuper,
	"postconf":   (*command).postconf,
	"postfix":    (*command).postfix,
	"postmap":    (*command).postmap,
	"newaliases": (*command).newaliases,
}

// Run does what the command name does with args, which do not have the name, and returns its exit
// status.
func Run(ctx context.Context, name string, args []string, w world.World) int {
	c := &command{World: w, name: name}
	return w.Run("", func(text string) { c.say("fatal: %s", text) }, func(out *bufio.Writer) error {
		c.out = out
		do, ok := commands[name]
		switch {
		case !ok:
			return fail(1, "this is no command of Postfix that Dinkymail knows")
		case slices.Equal(args, []string{"--help"}): // which Postfix's own do not know
			_, err := out.WriteString(helps[name])
			return err
		}
		return do(c, ctx, args)
	})
}

// fail is an error that ends a command with a status.
func fail(status int, format string, args ...any) error { return world.Failf(status, format, args...) }

// say prints lines on standard error behind the command's name, without control characters.
func (c *command) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(c.Err, "%s: %s\n", c.name, plain.Line(line))
	}
}

// misused is wrong usage: the option that is wrong, if err says one, and how it is done.
func (c *command) misused(status int, err error, usage string) error {
	if err != nil {
		c.say("%v", err)
	}
	return fail(status, "usage: %s", usage)
}

// settings are the settings as far as they can be read.
func (c *command) settings() (*config.Settings, error) {
	s, err := c.Settings()
	if s == nil {
		return nil, fail(1, "%v", err)
	}
	if err != nil {
		c.say("warning: %v", err)
	}
	return s, nil
}
