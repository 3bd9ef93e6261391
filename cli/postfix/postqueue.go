package postfix

import (
	"context"
	"strings"

	"dinkymail/internal/getopt"
	"dinkymail/operate"
	"dinkymail/queue"
)

// exUnavailable is the exit status with which postqueue fails, whatever is wrong: EX_UNAVAILABLE of sysexits.h.
const exUnavailable = 69

const postqueueUsage = "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"

// mailq is postqueue -p. Like sendmail, whose name for it this is, it does not mind options.
func (c *command) mailq(ctx context.Context, _ []string) error {
	c.name = "postqueue" // under which it complains
	return c.report(ctx, &columns{out: c.out, location: c.Location})
}

func (c *command) postqueue(ctx context.Context, args []string) error {
	options, operands, err := getopt.Parse(args, "c:fi:jps:v")
	if err != nil {
		return c.misused(exUnavailable, err, postqueueUsage)
	}
	var mode getopt.Option
	for _, o := range options {
		if o.Letter == 'c' || o.Letter == 'v' {
			continue
		}
		if mode.Letter != 0 {
			return c.misused(exUnavailable, nil, postqueueUsage)
		}
		mode = o
	}
	if mode.Letter == 0 || len(operands) > 0 {
		return c.misused(exUnavailable, nil, postqueueUsage)
	}
	switch mode.Letter {
	case 'p':
		return c.report(ctx, &columns{out: c.out, location: c.Location})
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
	client, done, err := c.open(ctx)
	if err != nil {
		return fail(exUnavailable, "Queue report unavailable - %v", err)
	}
	defer done()
	for e, err := range operate.All(ctx, client, queue.Selection{}) {
		if err != nil {
			return fail(exUnavailable, "Queue report unavailable - %v", err)
		}
		l.message(e)
	}
	l.end()
	return nil
}

// flushMessage has one message tried now. One that is not there is no mistake: it may have been delivered just now.
func (c *command) flushMessage(ctx context.Context, text string) error {
	id := bare(text)
	if !plausible(string(id)) {
		return fail(exUnavailable, "Cannot flush queue ID - invalid name: %q", text)
	}
	return c.flush(ctx, "queue ID", queue.Selection{IDs: []queue.ID{id}})
}

// flushSite has everything tried now that goes to a domain.
func (c *command) flushSite(ctx context.Context, site string) error {
	if site == "" || strings.ContainsFunc(site, func(r rune) bool { return !strings.ContainsRune(siteLetters, r) }) {
		return fail(exUnavailable, "Cannot flush mail queue - invalid destination: %q", site)
	}
	return c.flush(ctx, "mail queue", queue.Selection{Domain: strings.ToLower(site)})
}

// siteLetters may stand in a domain or an address literal.
const siteLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[:]"

// flush has what is selected tried now. What is on hold stays there.
func (c *command) flush(ctx context.Context, what string, sel queue.Selection) error {
	client, done, err := c.open(ctx)
	if err != nil {
		return fail(exUnavailable, "Cannot flush %s - %v", what, err)
	}
	defer done()
	if _, err := client.Act(ctx, operate.Action{Verb: operate.Retry, Selection: sel}); err != nil {
		return fail(exUnavailable, "Cannot flush %s - %v", what, err)
	}
	return nil
}

// plausible reports whether text could be the name of a message here or with Postfix.
func plausible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
}
