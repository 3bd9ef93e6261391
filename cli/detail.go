package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

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
	wide := 0
	for _, h := range hints(d) {
		wide = max(wide, len(h[0]))
	}
	for i, h := range hints(d) {
		if i == 0 {
			out.WriteString("\nWhat you can do\n")
		}
		fmt.Fprintf(&out, "  %-*s  %s\n", wide, h[0], h[1])
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
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
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
	case !d.Next.After(p.Time()):
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
