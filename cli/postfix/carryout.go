package postfix

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// carryOut does an order and reports it. A message named that is not there is worth a warning, and
// no mistake: it may be delivered by now.
func (c *command) carryOut(ctx context.Context, q world.Operator, o *order) error {
	found, held, err := c.find(ctx, q, o)
	if err != nil {
		return fail(1, "scan queue: %v", err)
	}
	if err := c.release(ctx, q, o, found, held); err != nil {
		return fail(1, "%v", err)
	}
	n, released := 0, 0
	for batch := range slices.Chunk(found, atOnce) {
		done, freed, err := c.do(ctx, q, o, batch, held)
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

// do does an order to a batch of messages, names those that were named, and counts what was done
// and what was on hold.
func (c *command) do(ctx context.Context, q world.Operator, o *order, batch []queue.ID, held map[queue.ID]bool) (n, released int, err error) {
	result, err := world.Do(ctx, q, o.verb, batch)
	if err != nil {
		return 0, 0, err
	}
	failed, err := c.complain(ctx, q, result.Failed)
	if err != nil {
		return 0, 0, err
	}
	n = result.Done
	for _, id := range batch {
		if _, ok := failed[id]; ok {
			if o.letter != 'r' || !held[id] {
				continue
			}
			n++ // it was delivered as soon as it was released
		}
		if !o.all {
			c.say("%s: %s", id, o.each)
		}
		if held[id] {
			released++
		}
	}
	return n, released, nil
}

// atOnce is how many messages one request names. What one request removes, one undo brings back.
const atOnce = 500_000

// find looks up the messages that an order is for, and which of them are on hold.
func (c *command) find(ctx context.Context, q world.Operator, o *order) (found []queue.ID, held map[queue.ID]bool, err error) {
	held = map[queue.ID]bool{}
	look := func(sel queue.Selection) error {
		for e, err := range operate.All(ctx, q, sel) {
			if err != nil {
				return err
			}
			if in := queueOf(&e); !world.Gone(&e) && slices.Contains(o.queues, in) {
				found = append(found, e.ID)
				if in == hold {
					held[e.ID] = true
				}
			}
		}
		return nil
	}
	if o.all {
		err = look(queue.Selection{})
		return found, held, err
	}
	for ids := range slices.Chunk(o.ids, 500) { // one page of a list
		n := len(found)
		if err := look(queue.Selection{IDs: ids}); err != nil {
			return nil, nil, err
		}
		c.missing(o, ids, found[n:])
	}
	return found, held, nil
}

// missing names the messages that an order has and no queue does. Postfix says nothing of them, and
// leaves who made a typing mistake in the belief that all is done.
func (c *command) missing(o *order, ids, there []queue.ID) {
	for _, id := range ids {
		if !slices.Contains(there, id) {
			c.say("warning: %s: no such message in %s", id, strings.Join(o.queues, ", "))
		}
	}
}

// release takes from hold what is to be requeued: held messages are not tried.
func (c *command) release(ctx context.Context, q world.Operator, o *order, all []queue.ID, held map[queue.ID]bool) error {
	if o.letter != 'r' {
		return nil
	}
	for batch := range slices.Chunk(slices.DeleteFunc(slices.Clone(all), func(id queue.ID) bool { return !held[id] }), atOnce) {
		if _, err := world.Do(ctx, q, operate.Release, batch); err != nil {
			return err
		}
	}
	return nil
}

// complain warns of what could not be done, and returns to which messages. One that is gone
// meanwhile is not worth a word.
func (c *command) complain(ctx context.Context, q world.Operator, failed []operate.ActionError) (map[queue.ID]string, error) {
	why := make(map[queue.ID]string, len(failed))
	for _, f := range failed {
		why[f.ID] = f.Message
	}
	ids := slices.Sorted(maps.Keys(why))
	there, err := world.Find(ctx, q, ids)
	for _, id := range ids {
		if _, ok := there[id]; ok {
			c.say("warning: %s: %s", id, why[id])
		}
	}
	return why, err
}

// messages is how many there are, in words.
func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
