package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

type showMessage struct {
	IDs  []string `arg:"" name:"id" help:"Messages by ID; - reads IDs from standard input."`
	JSON bool     `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail show --help.
func (showMessage) Help() string {
	return `Tells all that is known of a message: its envelope, how each recipient stands, every attempt with what was said, why it waits
and until when, and what you can do. Finished and removed messages are shown too, until their records are dropped.

Examples:

    dinkymail show 0cagh3h68onkmkga
    dinkymail show 0cagh3h68onkmkga --json`
}

// Run shows messages.
func (c showMessage) Run(ctx context.Context, p *program) error {
	ids, err := p.ids(c.IDs)
	if err != nil {
		return err
	}
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	var missing []error
	between := ""
	for _, id := range ids {
		d, err := client.Show(ctx, id)
		if err != nil {
			err = about(id, refused(err))
			if exit, ok := errors.AsType[*Exit](err); ok && exit.Code == ExitNoInput { // the others may be there
				missing = append(missing, err)
				continue
			}
			return errors.Join(append([]error{err}, missing...)...) // with the status of what ended it
		}
		if c.JSON {
			err = p.printJSON(d)
		} else {
			_, err = io.WriteString(p.Out, between+p.describe(d))
			between = "\n"
		}
		if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &Exit{ExitNoInput, errors.Join(missing...)}
	}
	return nil
}

// about names the message that an error concerns.
func about(id queue.ID, err error) error {
	if strings.Contains(err.Error(), string(id)) {
		return err
	}
	var code = ExitUnavailable
	if exit, ok := err.(*Exit); ok { //nolint:errorlint // refused made it
		code = exit.Code
	}
	return &Exit{code, fmt.Errorf("%s: %w", id, err)}
}

// printJSON prints one object.
func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// describe is a message as show prints it.
func (p *program) describe(d operate.Detail) string {
	s := p.screen()
	var out strings.Builder
	fmt.Fprintf(&out, "%s  %s\n\n", s.paint(bold, string(d.ID)), s.paint(stateColor(d.Entry), string(d.State)))
	for _, f := range p.facts(d) {
		if f[1] != "" {
			fmt.Fprintf(&out, "  %-11s %s\n", f[0], f[1])
		}
	}
	out.WriteString("\nRecipients\n")
	for _, r := range d.Recipients {
		fmt.Fprintf(&out, "  %s  %s%s\n", plain(r.Address), s.paint(outcomeColor(r.Outcome), r.Outcome), answered(r))
	}
	if len(d.History) > 0 {
		out.WriteString("\nAttempts\n")
	}
	for i, a := range d.History {
		p.attempt(&out, s, a, len(d.History)-i <= shownDialogues)
		if i == 0 && d.Omitted > 0 {
			fmt.Fprintf(&out, "  %s left out; the last of each kind and the newest follow\n", count(d.Omitted, "attempt"))
		}
	}
	if hints := hints(d); len(hints) > 0 {
		out.WriteString("\nWhat you can do\n")
		for _, h := range hints {
			fmt.Fprintf(&out, "  %-*s  %s\n", widest(hints), h[0], h[1])
		}
	}
	return out.String()
}

// facts are the lines about the message as a whole; those without a value are left out.
func (p *program) facts(d operate.Detail) [][2]string {
	from := plain(d.From)
	if d.From == "" {
		from = "<> (a bounce)"
	}
	facts := [][2]string{
		{"Why", p.reason(d)},
		{"Next", p.nextAttempt(d)},
		{"Gives up", p.givesUp(d)},
		{"From", from},
		{"Subject", plain(d.Subject)},
		{"Message-ID", plain(d.MessageID)},
		{"Size", size(d.Size)},
		{"Accepted", p.when(&d.Accepted) + by(d.Origin)},
		{"Not before", p.when(d.NotBefore)},
		{"Finished", p.when(d.Finished)},
		{"Removed", p.when(d.Removed)},
		{"Lane", d.Lane},
		{"Envelope ID", plain(d.EnvID)},
		{"Tags", plain(strings.Join(d.Tags, ", "))},
	}
	for _, key := range sortedKeys(d.Metadata) {
		facts = append(facts, [2]string{"Metadata", plain(key + "=" + d.Metadata[key])})
	}
	return facts
}

// when is a time with how long ago or ahead it is; empty for nil.
func (p *program) when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return p.relative(*t) + " (" + p.clock(*t) + ")"
}

// reason is why, with the remote side where one answered.
func (p *program) reason(d operate.Detail) string {
	reason := why(d.Entry)
	if d.State == queue.StateDeferred && d.Reason == "" {
		for _, r := range d.Recipients {
			if r.Outcome == queue.Deferred.String() && r.Remote != "" {
				return plain(r.Remote) + " said: " + reason
			}
		}
	}
	if d.State == queue.StateDelivered {
		return ""
	}
	return reason
}

func (p *program) nextAttempt(d operate.Detail) string {
	attempts := fmt.Sprintf("; %s so far", count(d.Attempts, "attempt"))
	switch {
	case d.State == queue.StateHeld && d.Next != nil:
		return "when it is not held any more" + attempts
	case d.Reason != "" && d.Next != nil && (d.State == queue.StateQueued || d.State == queue.StateDeferred):
		return "when that is over" + attempts
	case d.Next == nil || d.Finished != nil || d.Removed != nil || d.State == queue.StateActive:
		return ""
	case !d.Next.After(p.now()):
		return "now" + attempts
	}
	return p.when(d.Next) + attempts
}

func (p *program) givesUp(d operate.Detail) string {
	if d.Expires == nil || d.Finished != nil || d.Removed != nil {
		return ""
	}
	return p.when(d.Expires) + ", and tells the sender"
}

func by(o operate.OriginDetail) string {
	line := ""
	if o.Door != "" {
		line = " by " + plain(o.Door)
	}
	if o.Client != "" && !strings.HasPrefix(o.Client, "unix:") { // the user says it better
		line += " from " + plain(o.Client)
	}
	if o.User != "" {
		line += " as " + plain(o.User)
	}
	return line
}

// answered is the last reply for a recipient.
func answered(r operate.Recipient) string {
	line := reply(r.Code, r.Status, r.Text)
	if line == "" {
		return ""
	}
	if r.Remote != "" {
		line += " (" + plain(r.Remote) + ")"
	}
	return ": " + line
}

func outcomeColor(outcome string) color {
	switch outcome {
	case queue.Delivered.String():
		return green
	case queue.Failed.String():
		return red
	default:
		return yellow
	}
}
