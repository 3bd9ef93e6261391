package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/operate"
	"dinkymail/queue"
)

type purgeCommand struct {
	targets
	DryRun bool `help:"Only show what would be removed. This is what happens without a terminal."`
	Yes    bool `help:"Remove without asking."`
	JSON   bool `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail purge --help.
func (purgeCommand) Help() string {
	return `Shows how many messages match, how large and how old they are and the first of them, asks, and puts them into the trash. Nobody is
told. undo brings all of them back, until TRASH_RETENTION is over.

Examples:

    dinkymail purge --from newsletter@example.com
    dinkymail purge --domain example.com --older 2d --yes`
}

// Run shows what would be removed, and removes it once that is confirmed.
func (c purgeCommand) Run(ctx context.Context, p *program) error {
	if c.DryRun && c.Yes {
		return usage("--dry-run and --yes do not go together")
	}
	sel, err := c.selection(p, "purge")
	if err != nil {
		return err
	}
	return p.ask(ctx, func(q world.Operator) error {
		a := operate.Action{Verb: operate.Remove, Selection: sel, DryRun: true}
		if err := bound(ctx, q, &a); err != nil {
			return err
		}
		preview, err := q.Act(ctx, a)
		if err != nil {
			return err
		}
		if p.json {
			p.result = preview
		} else {
			p.preview(preview)
		}
		if p.printed != nil || preview.Matched == 0 || !c.Yes && !c.confirmed(p, preview) {
			return failures(a, preview)
		}
		a.DryRun, p.result = false, nil
		result, err := q.Act(ctx, a)
		if err != nil {
			return err
		}
		return p.acted(a, result, "Removed", p.undoHint())
	})
}

// bound keeps an action to the messages that its filters select now: what comes in between preview
// and removal nobody has seen.
func bound(ctx context.Context, client operate.Operator, a *operate.Action) error {
	if a.IDs != nil {
		return nil
	}
	sel := a.Selection
	sel.Newest = true
	for e, err := range operate.All(ctx, client, sel) {
		a.UpTo = e.ID
		return err
	}
	a.IDs = []queue.ID{} // nothing
	return nil
}

// preview tells what would be removed.
func (p *program) preview(r operate.ActionResult) {
	if r.Matched == 0 {
		p.printf("No message matches.\n")
		return
	}
	line := fmt.Sprintf("%s, %s", count(r.Matched, "message"), size(r.Bytes))
	if r.Oldest != nil && r.Newest != nil {
		line += fmt.Sprintf("; the oldest from %s, the newest from %s", p.relative(*r.Oldest), p.relative(*r.Newest))
	}
	p.printf("%s.\n\n", line)
	l := lister{p: p, screen: p.screen()}
	for _, e := range r.Sample {
		l.add(e)
	}
	l.flush()
	if more := r.Matched - len(r.Sample); more > 0 {
		p.printf("… and %s more\n", number(more))
	}
	p.printf("\n")
}

// confirmed asks on a terminal; elsewhere, and with --dry-run, the answer is no.
func (c purgeCommand) confirmed(p *program, r operate.ActionResult) bool {
	in, ok := p.In.(*os.File)
	if c.DryRun || p.json || !ok || !isTerminal(in) || !p.screen().terminal {
		if !p.json {
			p.printf("Nothing was removed. The same command with --yes removes them.\n")
		}
		return false
	}
	fmt.Fprintf(p.Err, "Remove %s? [y/N] ", count(r.Matched, "message"))
	answer, err := readLine(in)
	if word := strings.ToLower(strings.TrimSpace(answer)); err == nil && (word == "y" || word == "yes") {
		return true
	}
	p.printf("Nothing was removed.\n")
	return false
}

type undoCommand struct {
	IDs  []string `arg:"" name:"id" optional:"" help:"Removed messages by ID; - reads IDs from standard input. None: all that the last removal removed."`
	JSON bool     `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail undo --help.
func (undoCommand) Help() string {
	return `Brings removed messages back, as they were: those of the last remove or purge, or those named. dinkymail queue --status removed lists
what lies in the trash.

Examples:

    dinkymail undo
    dinkymail queue --status removed --to ada@example.com | dinkymail undo -`
}

// Run brings messages back.
func (c undoCommand) Run(ctx context.Context, p *program) error {
	a := operate.Action{Verb: operate.Restore, Last: len(c.IDs) == 0}
	if !a.Last {
		ids, err := p.ids(c.IDs)
		if err != nil {
			return err
		}
		a.IDs = ids
	}
	return p.ask(ctx, func(q world.Operator) error {
		result, err := q.Act(ctx, a)
		if err != nil {
			return err
		}
		if a.Last && result.Matched == 0 {
			return world.Failf(world.ExitNoInput, "the trash is empty; there is nothing to bring back")
		}
		return p.acted(a, result, "Brought back", "dinkymail queue lists what waits.")
	})
}
