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

const postsuperUsage = "postsuper [-psSv] [-c config_dir] [-d|-e|-f|-h|-H|-r queue_id]... [queue...] " +
	"(-d delete, -e expire, -f expire and release, -h hold, -H release, -r requeue; queue_id - reads them, ALL is all)"

// deed is what one option of postsuper does.
type deed struct {
	letter byte
	queues []string // that it is for, when the command line names none
	verb   operate.Verb
	done   string // "Deleted"
	each   string // "removed"
}

// deeds are in the order in which they are done.
var deeds = []deed{
	{'r', []string{incoming, active, deferred, hold}, operate.Retry, "Requeued", "requeued"},
	{'d', []string{incoming, active, deferred, hold}, operate.Remove, "Deleted", "removed"},
	{'h', []string{incoming, active, deferred}, operate.Hold, "Placed on hold", "placed on hold"},
	{'f', []string{incoming, active, deferred, hold}, operate.Bounce, "Force-expired", "expired"},
	{'e', []string{incoming, active, deferred}, operate.Bounce, "Force-expired", "expired"},
	{'H', []string{hold}, operate.Release, "Released from hold", "released from hold"},
}

// everything is the word for all messages. It must be in capitals, as a safety measure.
const everything = "ALL"

// order is what the command line wants done.
type order struct {
	deed
	all bool
	ids []queue.ID // in the order in which they were given, each once
}

func (c *command) postsuper(ctx context.Context, args []string) error {
	options, queues, err := getopt.Parse(args, "c:d:e:f:h:H:pr:sSv")
	if err != nil {
		return c.misused(1, err, postsuperUsage)
	}
	for _, q := range queues {
		if !slices.Contains(directories, q) {
			return fail(1, "invalid directory name: %s", q)
		}
	}
	orders, err := c.orders(options, queues)
	if err != nil || len(orders) == 0 { // -p, -s and -S mend what cannot be wrong here
		return err
	}
	q, done, err := c.Open(ctx)
	if err != nil {
		return fail(1, "open queue: %v", err)
	}
	defer done()
	for _, o := range orders {
		if err := c.carryOut(ctx, q, &o); err != nil {
			return err
		}
	}
	return nil
}

// directories may be named on the command line. Those that are no queues hold nothing.
var directories = []string{incoming, active, deferred, hold, "maildrop", "bounce", "defer", "trace",
	"flush", "corrupt", "saved"}

// orders gathers the options. Those with the same letter are one order.
func (c *command) orders(options getopt.Options, queues []string) ([]order, error) {
	var all []order
	for _, d := range deeds {
		if !options.Has(d.letter) {
			continue
		}
		o := order{deed: d}
		for _, opt := range options {
			if opt.Letter != d.letter {
				continue
			}
			if err := c.target(&o, opt.Value); err != nil {
				return nil, err
			}
		}
		if len(queues) > 0 {
			o.queues = queues
		}
		o.ids = unique(o.ids)
		all = append(all, o)
	}
	return all, nil
}

// target adds what an option names: one message, all of them, or those that standard input lists.
func (c *command) target(o *order, value string) error {
	switch value {
	case everything:
		o.all = true
	case "-":
		for line, err := range world.Lines(c.In) {
			if err != nil {
				return fail(1, "read standard input: %v", err)
			}
			if strings.TrimSpace(line) != "" {
				c.add(o, line)
			}
		}
	default:
		c.add(o, value)
	}
	return nil
}

func (c *command) add(o *order, text string) {
	id := world.Bare(text)
	if !plausible(string(id)) {
		c.say("warning: invalid mail queue id: %s", text)
		return
	}
	o.ids = append(o.ids, id)
}

// unique drops what comes again.
func unique(ids []queue.ID) []queue.ID {
	seen := make(map[queue.ID]bool, len(ids))
	return slices.DeleteFunc(ids, func(id queue.ID) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}
