// Package exim answers to the names exim, exim4 and exiqgrep.
//
// # What it promises
//
// What is printed has Exim's layout, so that scripts and monitoring which read it go on working, and the words and exit
// statuses are Exim's. What -Mrm removes goes into the trash, like everything an operator removes, and can be restored
// from there with dinkymail undo.
//
// A message is frozen when an operator holds it, or when it was captured in development mode. One that waits for its lane
// is not. Recipients that are settled are marked D.
//
// # Limits
//
// Message IDs are this appliance's: 16 characters without hyphens. There is no configuration file: -C and -D are not
// looked at, and -bP knows the names that have an answer here. The appliance runs its own queue, so -q has nothing to do,
// -qf tries everything now, and -qff what is frozen too. The sender and the body of a message cannot be edited. Sending
// is sendmail's.
//
// # Who runs where
//
// Everything runs in the goroutine that calls Run.
package exim

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dinkymail/config"
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
	Version  string           // what exim -bV says

	// Settings loads the settings. Beside an error they may be there all the same, to be shown.
	Settings func() (*config.Settings, error)
	// Client is the way to the queue, whether the appliance runs or not, until the function it returns is called.
	Client func(ctx context.Context) (operate.Operator, func(), error)
	// Sendmail takes a command line that sends mail, and returns its exit status. Nil: mail cannot be sent.
	Sendmail func(ctx context.Context, args []string) int
}

// appliance is what the commands see and do.
type appliance = operate.Operator

// command is one command that runs.
type command struct {
	World
	out  *bufio.Writer // to Out
	open opener
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
	c := &command{World: w, out: bufio.NewWriter(w.Out), open: open}
	do := c.exim
	if name == "exiqgrep" {
		do = c.exiqgrep
	}
	err := do(ctx, args)
	if flushed := c.out.Flush(); err == nil && flushed != nil {
		err = fail("exim: write error: %v", flushed)
	}
	var e *ended
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &e):
		e = &ended{1, "exim: " + err.Error()}
	}
	if e.text != "" {
		fmt.Fprintln(c.Err, e.text)
	}
	return e.status
}

// ended ends a command with a status other than 0.
type ended struct {
	status int
	text   string // for standard error; empty: nothing is said
}

func (e *ended) Error() string { return e.text }

// fail is an error that ends a command with status 1.
func fail(format string, args ...any) error { return &ended{1, fmt.Sprintf(format, args...)} }

// unhappy ends a command with status 1 when it has said already what is wrong.
func unhappy() error { return &ended{status: 1} }

// client opens the way to the queue.
func (c *command) client(ctx context.Context) (appliance, func(), error) {
	client, done, err := c.open(ctx)
	if err != nil {
		return nil, nil, fail("exim: %v", err)
	}
	return client, done, nil
}

// frozen reports whether a message is one that Exim would call frozen.
func frozen(e *operate.Entry) bool { return e.Held != "" || e.State == queue.StateCaptured }

// gone reports whether a message is no longer in the queue.
func gone(e *operate.Entry) bool { return e.Finished != nil || e.Removed != nil }

// settled reports whether nothing is left to do for a recipient.
func settled(r *operate.Recipient) bool { return r.Outcome != queue.Deferred.String() }

// missing reports whether the appliance knows no such message.
func missing(err error) bool { return errors.Is(err, queue.ErrNotFound) }
