package postfix

import (
	"context"
	"errors"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/internal/getopt"
	"dinkymail/queue"
)

const postfixVerbs = "postfix check (or status, flush); start, stop and reload are systemd's"

// postfix controls the mail system, as far as that is not systemd's business.
func (c *command) postfix(ctx context.Context, args []string) error {
	_, verbs, err := getopt.Parse(args, "+c:Dv") // no option changes anything here
	if err != nil {
		return c.misused(1, err, "postfix [-c config_dir] [-Dv] command")
	}
	c.name = "postfix/postfix-script"
	verb := ""
	if len(verbs) > 0 {
		verb = verbs[0]
	}
	switch verb {
	case "status":
		return c.status(ctx)
	case "check":
		return c.check(ctx)
	case "flush":
		if err := c.running(ctx); err != nil {
			return fail(1, "the Dinkymail mail system is not running\n%v", err)
		}
		if err := c.flush(ctx, "mail queue", queue.Selection{}); err != nil {
			return fail(1, "%v", err)
		}
		return nil
	case "set-permissions", "upgrade-configuration", "post-install", "logrotate":
		return nil // there is nothing to do, and the scripts of packages ask for it
	case "start", "stop", "reload":
		return fail(1, "systemd does this: systemctl %s dinkymail", verb)
	case "abort", "quick-stop":
		return fail(1, "systemd does this: systemctl stop dinkymail")
	case "quick-start":
		return fail(1, "systemd does this: systemctl start dinkymail")
	case "start-fg":
		return fail(1, "this does it: dinkymail serve")
	default:
		return fail(1, "unknown command: '%s'. Usage: %s", verb, postfixVerbs)
	}
}

// running says why no appliance runs, or nil.
func (c *command) running(ctx context.Context) error {
	if c.Running != nil {
		return c.Running(ctx)
	}
	return c.Ask(ctx, func(world.Operator) error { return nil })
}

func (c *command) status(ctx context.Context) error {
	if err := c.running(ctx); err != nil {
		c.say("the Dinkymail mail system is not running")
		return world.Ended(1)
	}
	c.say("the Dinkymail mail system is running")
	return nil
}

// check looks for mistakes in the settings, and at the queue's health while the appliance runs. It
// says nothing when all is well.
func (c *command) check(ctx context.Context) error {
	s, err := c.Settings()
	if s != nil {
		for _, w := range s.Warnings {
			c.say("warning: %s", w)
		}
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			c.say("fatal: %s", line)
		}
		return world.Ended(1)
	}
	if c.running(ctx) != nil {
		return nil
	}
	h, err := c.Health(ctx)
	if err == nil && h.Status == "down" {
		err = errors.New(h.Reason)
	}
	if err != nil {
		return fail(1, "the mail system is not well: %v", err)
	}
	if h.Status != "ok" {
		c.say("warning: %s", h.Reason)
	}
	return nil
}
