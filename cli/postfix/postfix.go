// Package postfix answers to the names of Postfix's commands: mailq, postqueue, postcat, postsuper, postconf, postfix,
// postmap and newaliases.
//
// # What it promises
//
// What is printed has Postfix's layout, with its long queue IDs, down to the column, so that scripts and monitoring which
// read it go on working. Exit statuses and the words of reports and errors are Postfix's as well; where there is more to
// say it is said on standard error. What postsuper deletes goes into the trash, like everything an operator removes, and
// can be restored from there with dinkymail undo.
//
// A message is in the hold queue ("!") when an operator holds it, or when it was captured in development mode. A message
// that waits for its lane is deferred, with the lane's trouble as the reason for the delay. "*" marks those being handed
// over.
//
// # Limits
//
// There is no main.cf and no master.cf: postconf shows what this appliance's settings come to under Postfix's names, and
// edits nothing; a -c DIRECTORY is not looked at. Starting and stopping is systemd's. A message that is forced to expire
// is given up at once instead of being marked with "#", by -e only where it is not on hold. postmap reads text and regexp
// tables and builds none; without a table it asks the appliance's own aliases.
//
// # Who runs where
//
// Everything runs in the goroutine that calls Run.
package postfix

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dinkymail/config"
	"dinkymail/httpapi"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// World is what a command is given of the world it runs in.
type World struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string         // as os.Environ gives it
	Now      func() time.Time // nil: time.Now
	Location *time.Location   // in which times are shown; nil: time.Local
	Version  string           // what postconf mail_version says

	// Settings loads the settings. Beside an error they may be there all the same, to be shown.
	Settings func() (*config.Settings, error)
	// Client is the way to the queue, whether the appliance runs or not, until the function it returns is called.
	Client func(ctx context.Context) (operate.Operator, func(), error)
	// Running says why no running appliance answers, or nil when one does. Nil: whoever answers through Client runs.
	Running func(ctx context.Context) error
	// Health asks the appliance that runs how it is.
	Health func(ctx context.Context) (httpapi.Health, error)
}

// appliance is what the commands see and do.
type appliance = operate.Operator

// command is one command that runs.
type command struct {
	World
	name string
	out  *bufio.Writer // to Out
	open opener
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

// Run does what the command name does with args, which do not have the name, and returns its exit status.
func Run(ctx context.Context, name string, args []string, w World) int {
	return run(ctx, name, args, w, func(ctx context.Context) (appliance, func(), error) {
		client, done, err := w.Client(ctx)
		if err != nil {
			return nil, nil, err
		}
		return client, done, nil
	})
}

// opener is the way to the queue, until the function it returns is called.
type opener func(ctx context.Context) (appliance, func(), error)

func run(ctx context.Context, name string, args []string, w World, open opener) int {
	if w.Now == nil {
		w.Now = time.Now
	}
	w.Location = cmp.Or(w.Location, time.Local)
	c := &command{World: w, name: name, out: bufio.NewWriter(w.Out), open: open}
	do, ok := commands[name]
	if !ok {
		return c.end(fail(1, "this is no command of Postfix that Dinkymail knows"))
	}
	if asksHelp(args) {
		do = (*command).help
	}
	err := do(c, ctx, args)
	if flushed := c.out.Flush(); err == nil && flushed != nil {
		err = fail(1, "write error: %v", flushed)
	}
	return c.end(err)
}

// fatal ends a command.
type fatal struct {
	status int
	text   string // empty: nothing is said
}

func (f *fatal) Error() string { return f.text }

// fail is an error that ends a command with a status.
func fail(status int, format string, args ...any) error {
	return &fatal{status, fmt.Sprintf(format, args...)}
}

// end says what ended the command, and returns its exit status.
func (c *command) end(err error) int {
	if err == nil {
		return 0
	}
	var f *fatal
	if !errors.As(err, &f) {
		f = &fatal{1, err.Error()}
	}
	if f.text != "" {
		c.say("fatal: %s", f.text)
	}
	return f.status
}

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

// missing reports whether the appliance knows no such message.
func missing(err error) bool { return errors.Is(err, queue.ErrNotFound) }

// bare makes an ID of what was typed or piped: the first word of it, without the marks of a listing behind it.
func bare(text string) queue.ID {
	text = strings.TrimSpace(text)
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		text = text[:i]
	}
	return queue.ID(strings.TrimRight(text, "*!#"))
}
