package exim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// deed is what an option does to messages, in Exim's words.
type deed struct {
	verb    operate.Verb
	frozen  *bool  // how a message must be; nil: either way
	refused string // what is said of one that is not
	done    string // behind "Message ID"; empty: nothing is said
	missing string // with %[1]s for the ID; empty: nothing is said, and it is no mistake
}

const noSpoolFile = "Spool data file for %[1]s does not exist\n"

var (
	remove = deed{verb: operate.Remove, done: "has been removed", missing: noSpoolFile +
		"Message %[1]s has been removed or did not exist\n"}
	freeze = deed{verb: operate.Hold, frozen: new(false), refused: "is already frozen", done: "is now frozen", missing: noSpoolFile}
	thaw   = deed{verb: operate.Release, frozen: new(true), refused: "is not frozen", done: "is no longer frozen", missing: noSpoolFile}
	giveUp = deed{verb: operate.Bounce}
	finish = deed{verb: operate.Remove, done: "has been modified", missing: noSpoolFile}
)

// act makes a verb of a deed: it is done to all messages at once, and then said of each what came
// of it.
func act(d *deed) verb {
	return named(func(c *command, ctx context.Context, q world.Operator, _ *line, wanted []queue.ID) error {
		found, err := world.Find(ctx, q, wanted)
		if err != nil {
			return err
		}
		words, todo := d.plan(wanted, found)
		good := len(todo) == len(wanted)
		failed, err := do(ctx, q, d.verb, todo)
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
	})
}

// plan says what is to be told of each message that is there, and to which of them the deed is to
// be done.
func (d *deed) plan(wanted []queue.ID, found map[queue.ID]operate.Entry) (words map[queue.ID]string, todo []queue.ID) {
	words = make(map[queue.ID]string, len(wanted)) // behind "Message ID"
	for _, id := range wanted {
		e, ok := found[id]
		if _, again := words[id]; !ok || again {
			continue
		}
		if d.frozen != nil && *d.frozen != world.Frozen(&e) {
			words[id] = d.refused
			continue
		}
		words[id] = d.done
		todo = append(todo, id)
	}
	return words, todo
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

// do does a verb to messages and returns those that it could not be done to, and why. One that is
// gone meanwhile is done with.
func do(ctx context.Context, q world.Operator, v operate.Verb, all []queue.ID) (map[queue.ID]string, error) {
	result, err := world.Do(ctx, q, v, all)
	failed := map[queue.ID]string{}
	for _, f := range result.Failed {
		if !f.Missing {
			failed[f.ID] = f.Message
		}
	}
	return failed, err
}

// deliver is -M, which thaws what it tries, and -Mc, which does not. A message that is not there is
// no mistake: it may have been delivered just now.
func (c *command) deliver(ctx context.Context, q world.Operator, l *line, wanted []queue.ID) error {
	found, err := world.Find(ctx, q, wanted)
	if err != nil {
		return err
	}
	var try, thawed []queue.ID
	for _, id := range wanted {
		e, ok := found[id]
		if ice := world.Frozen(&e); !ok || ice && l.option == "-Mc" {
			continue
		} else if ice {
			thawed = append(thawed, id)
		}
		try = append(try, id)
	}
	if _, err := do(ctx, q, operate.Release, thawed); err != nil {
		return err
	}
	failed, err := do(ctx, q, operate.Retry, try)
	if err != nil {
		return err
	}
	there, err := world.Find(ctx, q, slices.Collect(maps.Keys(failed)))
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

// runQueue is -q: what is due is being tried anyway; with f everything is tried now, and with ff
// what is frozen too.
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

// runSome is -R and -S: everything that goes to, or comes from, an address with a text in it is
// tried now.
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
	return c.Ask(ctx, func(q world.Operator) error {
		if thawToo {
			if _, err := q.Act(ctx, operate.Action{Verb: operate.Release, Selection: sel}); err != nil {
				return err
			}
		}
		_, err := q.Act(ctx, operate.Action{Verb: operate.Retry, Selection: sel})
		return err
	})
}
