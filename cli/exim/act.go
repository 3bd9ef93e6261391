package exim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// deed is what an option does to messages, in Exim's words.
type deed struct {
	verb    operate.Verb
	refuse  func(e *operate.Entry) string // why it cannot be done; empty or nil: it can
	done    string                        // behind "Message ID"; empty: nothing is said
	missing string                        // with %[1]s for the ID; empty: nothing is said, and it is no mistake
}

const noSpoolFile = "Spool data file for %[1]s does not exist\n"

var (
	remove = deed{verb: operate.Remove, done: "has been removed", missing: noSpoolFile +
		"Message %[1]s has been removed or did not exist\n"}
	freeze = deed{verb: operate.Hold, refuse: alreadyFrozen, done: "is now frozen", missing: noSpoolFile}
	thaw   = deed{verb: operate.Release, refuse: notFrozen, done: "is no longer frozen", missing: noSpoolFile}
	giveUp = deed{verb: operate.Bounce}
	finish = deed{verb: operate.Remove, done: "has been modified", missing: noSpoolFile}
)

func alreadyFrozen(e *operate.Entry) string {
	if frozen(e) {
		return "is already frozen"
	}
	return ""
}

func notFrozen(e *operate.Entry) string {
	if !frozen(e) {
		return "is not frozen"
	}
	return ""
}

// act makes a verb of a deed.
func act(d *deed) verb {
	return func(c *command, ctx context.Context, l *line) error {
		wanted, err := ids(l)
		if err != nil {
			return err
		}
		client, done, err := c.client(ctx)
		if err != nil {
			return err
		}
		defer done()
		return c.doAll(ctx, client, d, wanted)
	}
}

// doAll does one thing to all of them at once, and then says of each what came of it.
func (c *command) doAll(ctx context.Context, client appliance, d *deed, wanted []queue.ID) error {
	found, err := find(ctx, client, wanted)
	if err != nil {
		return err
	}
	words := make(map[queue.ID]string, len(wanted)) // behind "Message ID"
	var todo []queue.ID
	for _, id := range wanted {
		e, ok := found[id]
		if _, again := words[id]; !ok || again {
			continue
		}
		if d.refuse != nil {
			if why := d.refuse(&e); why != "" {
				words[id] = why
				continue
			}
		}
		words[id] = d.done
		todo = append(todo, id)
	}
	good := len(todo) == len(wanted)
	failed, err := c.do(ctx, client, d.verb, todo)
	if err != nil {
		return err
	}
	for id, why := range failed {
		words[id], good = "- "+why, false
	}
	for _, id := range wanted {
		c.tell(d, id, words)
	}
	if d.verb == operate.Remove && len(todo) > len(failed) && plain.Terminal(c.Err) {
		fmt.Fprintln(c.Err, "exim: note: dinkymail undo brings back what was removed last")
	}
	if !good && (d.missing != "" || len(failed) > 0) {
		return unhappy()
	}
	return nil
}

// tell says what came of one message.
func (c *command) tell(d *deed, id queue.ID, words map[queue.ID]string) {
	switch said, ok := words[id]; {
	case !ok && d.missing != "":
		fmt.Fprintf(c.out, d.missing, id)
	case ok && said != "":
		fmt.Fprintf(c.out, "Message %s %s\n", id, plain.Line(said))
	}
}

// do does a verb to messages and returns those that it could not be done to, and why. One that is gone meanwhile is done
// with.
func (c *command) do(ctx context.Context, client appliance, v operate.Verb, all []queue.ID) (map[queue.ID]string, error) {
	failed := map[queue.ID]string{}
	if len(all) == 0 {
		return failed, nil
	}
	result, err := client.Act(ctx, operate.Action{Verb: v, Selection: queue.Selection{IDs: all}})
	if err != nil {
		return nil, err
	}
	for _, f := range result.Failed {
		if !f.Missing {
			failed[f.ID] = f.Message
		}
	}
	return failed, nil
}

// deliver is -M, which thaws what it tries, and -Mc, which does not. A message that is not there is no mistake: it may
// have been delivered just now.
func (c *command) deliver(ctx context.Context, l *line) error {
	wanted, err := ids(l)
	if err != nil {
		return err
	}
	client, done, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := find(ctx, client, wanted)
	if err != nil {
		return err
	}
	var try, thawed []queue.ID
	for _, id := range wanted {
		e, ok := found[id]
		switch {
		case !ok || frozen(&e) && l.option == "-Mc":
		case frozen(&e):
			thawed = append(thawed, id)
			fallthrough
		default:
			try = append(try, id)
		}
	}
	return c.try(ctx, client, thawed, try)
}

// try thaws some messages and tries all of try.
func (c *command) try(ctx context.Context, client appliance, thawed, try []queue.ID) error {
	if _, err := c.do(ctx, client, operate.Release, thawed); err != nil {
		return err
	}
	failed, err := c.do(ctx, client, operate.Retry, try)
	if err != nil {
		return err
	}
	there, err := find(ctx, client, slices.Collect(maps.Keys(failed)))
	if err != nil {
		return err
	}
	for _, id := range try {
		if _, ok := there[id]; ok { // the others were delivered as soon as they were thawed
			fmt.Fprintf(c.Err, "exim: %s: %s\n", id, plain.Line(failed[id]))
		}
	}
	if len(there) > 0 {
		return unhappy()
	}
	return nil
}

// runQueue is -q: what is due is being tried anyway; with f everything is tried now, and with ff what is frozen too.
func (c *command) runQueue(ctx context.Context, l *line) error {
	part := runOption.FindStringSubmatch(l.option)
	if part[3] != "" {
		return daemon(c, ctx, l)
	}
	if part[1] == "" {
		return nil
	}
	return c.flush(ctx, queue.Selection{}, part[1] == "ff")
}

// runSome is -R and -S: everything that goes to, or comes from, an address with a text in it is tried now.
func (c *command) runSome(ctx context.Context, l *line) error {
	if len(l.operands) == 0 {
		return fail("exim: string expected after %s", l.option[:2])
	}
	part := pickOption.FindStringSubmatch(l.option)
	text := l.operands[0]
	if part[2] == "r" {
		text = "/" + text + "/"
	}
	sel := queue.Selection{To: text}
	if part[1] == "S" {
		sel = queue.Selection{From: text}
	}
	return c.flush(ctx, sel, part[3] == "ff")
}

// flush has everything selected tried now. What is frozen stays so unless it is to be thawed.
func (c *command) flush(ctx context.Context, sel queue.Selection, thawToo bool) error {
	client, done, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer done()
	if thawToo {
		if _, err := client.Act(ctx, operate.Action{Verb: operate.Release, Selection: sel}); err != nil {
			return err
		}
	}
	_, err = client.Act(ctx, operate.Action{Verb: operate.Retry, Selection: sel})
	return err
}
