package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

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
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	a := operate.Action{Verb: operate.Remove, Selection: sel, DryRun: true}
	if err := bound(ctx, client, &a); err != nil {
		return refused(err)
	}
	preview, err := client.Act(ctx, a)
	if err != nil {
		return refused(err)
	}
	if c.JSON {
		p.result = preview
	} else if err := p.preview(preview); err != nil {
		return err
	}
	if preview.Matched == 0 || !c.Yes && !c.confirmed(p, preview) {
		return failures(a, preview)
	}
	a.DryRun, p.result = false, nil
	result, err := client.Act(ctx, a)
	if err != nil {
		return refused(err)
	}
	return p.acted(a, result, c.JSON, "Removed", p.undoHint())
}

// bound keeps an action to the messages that its filters select now: what comes in between preview and removal nobody has seen.
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
func (p *program) preview(r operate.ActionResult) error {
	if r.Matched == 0 {
		_, err := fmt.Fprintln(p.Out, "No message matches.")
		return err
	}
	line := fmt.Sprintf("%s, %s", count(r.Matched, "message"), size(r.Bytes))
	if r.Oldest != nil && r.Newest != nil {
		line += fmt.Sprintf("; the oldest from %s, the newest from %s", p.relative(*r.Oldest), p.relative(*r.Newest))
	}
	if _, err := fmt.Fprintf(p.Out, "%s.\n\n", line); err != nil {
		return err
	}
	l := lister{p: p, screen: p.screen()}
	for _, e := range r.Sample {
		l.add(e)
	}
	if err := l.flush(); err != nil {
		return err
	}
	if more := r.Matched - len(r.Sample); more > 0 {
		if _, err := fmt.Fprintf(p.Out, "… and %s more\n", number(more)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(p.Out)
	return err
}

// confirmed asks on a terminal; elsewhere, and with --dry-run, the answer is no.
func (c purgeCommand) confirmed(p *program, r operate.ActionResult) bool {
	in, ok := p.In.(*os.File)
	if c.DryRun || c.JSON || !ok || !isTerminal(in) || !p.screen().terminal {
		if !c.JSON {
			fmt.Fprintln(p.Out, "Nothing was removed. The same command with --yes removes them.")
		}
		return false
	}
	fmt.Fprintf(p.Err, "Remove %s? [y/N] ", count(r.Matched, "message"))
	answer, err := readLine(in)
	if word := strings.ToLower(strings.TrimSpace(answer)); err == nil && (word == "y" || word == "yes") {
		return true
	}
	fmt.Fprintln(p.Out, "Nothing was removed.")
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
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	result, err := client.Act(ctx, a)
	if err != nil {
		return refused(err)
	}
	if a.Last && result.Matched == 0 {
		return &Exit{ExitNoInput, errors.New("the trash is empty; there is nothing to bring back")}
	}
	return p.acted(a, result, c.JSON, "Brought back", "dinkymail queue lists what waits.")
}
