package postfix

import (
	"context"
	"slices"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/internal/getopt"
	"dinkymail/operate"
	"dinkymail/queue"
)

const postqueueUsage = "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"

// mailq is postqueue -p. Like sendmail, whose name for it this is, it does not mind options.
func (c *command) mailq(ctx context.Context, _ []string) error {
	c.name = "postqueue" // under which it complains
	return c.report(ctx, &columns{out: c.out, local: c.Local})
}

func (c *command) postqueue(ctx context.Context, args []string) error {
	options, operands, err := getopt.Parse(args, "c:fi:jps:v")
	if err != nil {
		return c.misused(world.ExitUnavailable, err, postqueueUsage)
	}
	options = slices.DeleteFunc(options, func(o getopt.Option) bool { return o.Letter == 'c' || o.Letter == 'v' })
	if len(options) != 1 || len(operands) > 0 {
		return c.misused(world.ExitUnavailable, nil, postqueueUsage)
	}
	mode := options[0]
	switch mode.Letter {
	case 'p':
		return c.report(ctx, &columns{out: c.out, local: c.Local})
	case 'j':
		return c.report(ctx, &objects{out: c.out})
	case 'i':
		return c.flushMessage(ctx, mode.Value)
	case 's':
		return c.flushSite(ctx, mode.Value)
	default:
		return c.flush(ctx, "mail queue", queue.Selection{})
	}
}

// listing prints the messages of a queue report.
type listing interface {
	message(e operate.Entry)
	end()
}

// report lists the queue.
func (c *command) report(ctx context.Context, l listing) error {
	err := c.Ask(ctx, func(q world.Operator) error {
		for e, err := range operate.All(ctx, q, queue.Selection{}) {
			if err != nil {
				return err
			}
			l.message(e)
		}
		l.end()
		return nil
	})
	if err != nil {
		return fail(world.ExitUnavailable, "Queue report unavailable - %v", err)
	}
	return nil
}

// flushMessage has one message tried now. One that is not there is no mistake: it may have been
// delivered just now.
func (c *command) flushMessage(ctx context.Context, text string) error {
	id := world.Bare(text)
	if !plausible(string(id)) {
		return fail(world.ExitUnavailable, "Cannot flush queue ID - invalid name: %q", text)
	}
	return c.flush(ctx, "queue ID", queue.Selection{IDs: []queue.ID{id}})
}

// flushSite has everything tried now that goes to a domain.
func (c *command) flushSite(ctx context.Context, site string) error {
	if site == "" || strings.ContainsFunc(site, func(r rune) bool { return !strings.ContainsRune(siteLetters, r) }) {
		return fail(world.ExitUnavailable, "Cannot flush mail queue - invalid destination: %q", site)
	}
	return c.flush(ctx, "mail queue", queue.Selection{Domain: strings.ToLower(site)})
}

// siteLetters may stand in a domain or an address literal.
const siteLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[:]"

// flush has what is selected tried now. What is on hold stays there.
func (c *command) flush(ctx context.Context, what string, sel queue.Selection) error {
	err := c.Ask(ctx, func(q world.Operator) error {
		_, err := q.Act(ctx, operate.Action{Verb: operate.Retry, Selection: sel})
		return err
	})
	if err != nil {
		return fail(world.ExitUnavailable, "Cannot flush %s - %v", what, err)
	}
	return nil
}

// plausible reports whether text could be the name of a message here or with Postfix.
func plausible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
}
