package postfix

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"dinkymail/internal/getopt"
	"dinkymail/internal/plain"
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
	client, done, err := c.open(ctx)
	if err != nil {
		return fail(1, "open queue: %v", err)
	}
	defer done()
	for _, o := range orders {
		if err := c.carryOut(ctx, client, &o); err != nil {
			return err
		}
	}
	return nil
}

// directories may be named on the command line. Those that are no queues hold nothing.
var directories = []string{incoming, active, deferred, hold, "maildrop", "bounce", "defer", "trace",
	"flush", "corrupt", "saved"}

// orders gathers the options. Those with the same letter are one order.
func (c *command) orders(options []getopt.Option, queues []string) ([]order, error) {
	var all []order
	for _, d := range deeds {
		o := order{deed: d}
		given := false
		for _, opt := range options {
			if opt.Letter != d.letter {
				continue
			}
			given = true
			if err := c.target(&o, opt.Value); err != nil {
				return nil, err
			}
		}
		if !given {
			continue
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
		return nil
	case "-":
		in := bufio.NewReader(c.In)
		for {
			line, err := in.ReadString('\n')
			if strings.TrimSpace(line) != "" {
				c.add(o, line)
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return fail(1, "read standard input: %v", err)
			}
		}
	default:
		c.add(o, value)
		return nil
	}
}

func (c *command) add(o *order, text string) {
	id := bare(text)
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

// carryOut does an order and reports it. A message named that is not there is worth a warning, and no mistake: it may be delivered
// by now.
func (c *command) carryOut(ctx context.Context, client appliance, o *order) error {
	found, err := c.find(ctx, client, o)
	if err != nil {
		return fail(1, "scan queue: %v", err)
	}
	if err := c.release(ctx, client, o, found); err != nil {
		return fail(1, "%v", err)
	}
	n, released := 0, 0
	for batch := range slices.Chunk(found, atOnce) {
		done, freed, err := c.do(ctx, client, o, batch)
		if err != nil {
			return fail(1, "%v", err)
		}
		n, released = n+done, released+freed
	}
	c.sum(o.done, n)
	if o.letter == 'f' {
		c.sum("Released from hold", released)
	}
	if n > 0 && o.letter == 'd' && plain.Terminal(c.Err) {
		c.say("note: dinkymail undo brings back what was deleted last")
	}
	return nil
}

// sum says to how many messages something was done, and nothing where that is none.
func (c *command) sum(done string, n int) {
	if n > 0 {
		c.say("%s: %s", done, messages(n))
	}
}

// do does an order to a batch of messages, names those that were named, and counts what was done and what was on hold.
func (c *command) do(ctx context.Context, client appliance, o *order, batch []found) (n, released int, err error) {
	result, err := client.Act(ctx, operate.Action{Verb: o.verb, Selection: queue.Selection{IDs: idsOf(batch)}})
	if err != nil {
		return 0, 0, err
	}
	failed, err := c.complain(ctx, client, &result)
	if err != nil {
		return 0, 0, err
	}
	n = result.Done
	for _, f := range batch {
		if failed[f.id] {
			if o.letter != 'r' || !f.held {
				continue
			}
			n++ // it was delivered as soon as it was released
		}
		if !o.all {
			c.say("%s: %s", f.id, o.each)
		}
		if f.held {
			released++
		}
	}
	return n, released, nil
}

// atOnce is how many messages one request names. What one request removes, one undo brings back.
const atOnce = 500_000

// found is a message that an order is for.
type found struct {
	id   queue.ID
	held bool // it is on hold
}

func idsOf(batch []found) []queue.ID {
	ids := make([]queue.ID, len(batch))
	for i, f := range batch {
		ids[i] = f.id
	}
	return ids
}

// find looks up the messages that an order is for.
func (c *command) find(ctx context.Context, client appliance, o *order) (all []found, err error) {
	look := func(sel queue.Selection) error {
		for e, err := range operate.All(ctx, client, sel) {
			if err != nil {
				return err
			}
			in := queueOf(&e)
			if e.Finished == nil && e.Removed == nil && slices.Contains(o.queues, in) {
				all = append(all, found{e.ID, in == hold})
			}
		}
		return nil
	}
	if o.all {
		return all, look(queue.Selection{})
	}
	for ids := range slices.Chunk(o.ids, 500) { // one page of a list
		n := len(all)
		if err := look(queue.Selection{IDs: ids}); err != nil {
			return nil, err
		}
		c.missing(o, ids, all[n:])
	}
	return all, nil
}

// missing names the messages that an order has and no queue does. Postfix says nothing of them, and leaves who made a typing
// mistake in the belief that all is done.
func (c *command) missing(o *order, ids []queue.ID, there []found) {
	for _, id := range ids {
		if !slices.ContainsFunc(there, func(f found) bool { return f.id == id }) {
			c.say("warning: %s: no such message in %s", id, strings.Join(o.queues, ", "))
		}
	}
}

// release takes from hold what is to be requeued: held messages are not tried.
func (c *command) release(ctx context.Context, client appliance, o *order, all []found) error {
	if o.letter != 'r' {
		return nil
	}
	held := slices.DeleteFunc(slices.Clone(all), func(f found) bool { return !f.held })
	for batch := range slices.Chunk(held, atOnce) {
		action := operate.Action{Verb: operate.Release, Selection: queue.Selection{IDs: idsOf(batch)}}
		if _, err := client.Act(ctx, action); err != nil {
			return err
		}
	}
	return nil
}

// complain warns of what could not be done, and returns to which messages. One that is gone meanwhile is not worth a word.
func (c *command) complain(ctx context.Context, client appliance, result *operate.ActionResult) (map[queue.ID]bool, error) {
	failed := map[queue.ID]bool{}
	if len(result.Failed) == 0 {
		return failed, nil
	}
	why := make(map[queue.ID]string, len(result.Failed))
	for _, f := range result.Failed {
		failed[f.ID] = true
		why[f.ID] = f.Message
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(why)), 500) { // one page of a list
		for e, err := range operate.All(ctx, client, queue.Selection{IDs: ids}) {
			if err != nil {
				return nil, err
			}
			if e.Finished == nil && e.Removed == nil {
				c.say("warning: %s: %s", e.ID, why[e.ID])
			}
		}
	}
	return failed, nil
}

// messages is how many there are, in words.
func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
