package exim

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// view makes a verb of what is shown of the one message that an option names. say has %s for the
// ID, for the case that there is no such message.
func view(say string, show func(*command, context.Context, world.Operator, *operate.Detail) error) verb {
	return func(c *command, ctx context.Context, l *line) error {
		if wanted, err := ids(l); err == nil && len(wanted) > 1 {
			fmt.Fprintln(c.out, "*** Only one message can be listed at once")
			return unhappy()
		}
		return named(func(c *command, ctx context.Context, q world.Operator, _ *line, wanted []queue.ID) error {
			d, known, err := world.Show(ctx, q, wanted[0])
			if err != nil {
				return err
			}
			if !known || world.Gone(&d.Entry) || !d.HasBody {
				fmt.Fprintf(c.out, say+": No such file or directory\n", wanted[0])
				return unhappy()
			}
			return show(c, ctx, q, &d)
		})(c, ctx, l)
	}
}

// viewBody is -Mvb.
func (c *command) viewBody(ctx context.Context, q world.Operator, d *operate.Detail) error {
	fmt.Fprintf(c.out, "%s-D\n", d.ID)
	return q.Cat(ctx, d.ID, "body", plain.Unix(c.out))
}

// viewCopy is -Mvc: the message as it will be sent.
func (c *command) viewCopy(ctx context.Context, q world.Operator, d *operate.Detail) error {
	return q.Cat(ctx, d.ID, "raw", plain.Unix(c.out))
}

// viewHeader is -Mvh: the envelope and the header as they would stand in Exim's spool.
func (c *command) viewHeader(ctx context.Context, q world.Operator, d *operate.Detail) error {
	c.envelope(d)
	var header bytes.Buffer
	if err := q.Cat(ctx, d.ID, "headers", plain.Unix(&header)); err != nil {
		return err
	}
	for _, field := range fields(header.String()) {
		fmt.Fprintf(c.out, "%03d%c %s", len(field), flag(field), field)
	}
	return nil
}

// envelope prints what stands before the header: who handed the mail in, the sender, when, what is
// known of it, which recipients are settled, and all of them.
func (c *command) envelope(d *operate.Detail) {
	user := cmp.Or(d.Origin.User, "nobody")
	fmt.Fprintf(c.out, "%s-H\n%s 0 0\n<%s>\n%d 0\n", d.ID, plain.Line(user), d.From, d.Accepted.Unix())
	if host, port, err := net.SplitHostPort(d.Origin.Client); err == nil {
		fmt.Fprintf(c.out, "-host_address %s.%s\n", host, port)
	}
	if d.Origin.User != "" {
		fmt.Fprintf(c.out, "-auth_id %s\n", plain.Line(d.Origin.User))
	}
	fmt.Fprintf(c.out, "-received_protocol %s\n", d.Origin.Door)
	if d.Attempts == 0 {
		fmt.Fprintln(c.out, "-deliver_firsttime")
	}
	if world.Frozen(&d.Entry) {
		fmt.Fprintln(c.out, "-frozen")
	}
	c.settledTree(d.Recipients)
	fmt.Fprintln(c.out, len(d.Recipients))
	for _, r := range d.Recipients {
		fmt.Fprintln(c.out, r.Address)
	}
	fmt.Fprintln(c.out)
}

// settledTree prints the recipients that are settled as the tree Exim keeps: each line says whether
// a left and a right branch follow. Ours has right ones only.
func (c *command) settledTree(all []operate.Recipient) {
	var done []string
	for _, r := range all {
		if world.Settled(&r) {
			done = append(done, r.Address)
		}
	}
	if len(done) == 0 {
		fmt.Fprintln(c.out, "XX")
	}
	for i, address := range done {
		branches := "NY"
		if i == len(done)-1 {
			branches = "NN"
		}
		fmt.Fprintln(c.out, branches, address)
	}
}

// fields splits a header into its fields, each with its line ends.
func fields(header string) []string {
	var all []string
	for line := range strings.Lines(header) {
		if len(all) > 0 && (line[0] == ' ' || line[0] == '\t') {
			all[len(all)-1] += line
			continue
		}
		all = append(all, line)
	}
	return all
}

// flags are the letters by which Exim knows header fields again.
var flags = map[string]byte{"bcc": 'B', "cc": 'C', "from": 'F', "message-id": 'I', "received": 'P', "reply-to": 'R', "sender": 'S', "to": 'T'}

// flag is the letter of a header field.
func flag(field string) byte {
	name, _, _ := strings.Cut(field, ":")
	return cmp.Or(flags[strings.ToLower(strings.TrimSpace(name))], ' ')
}

// viewLog is -Mvl: what became of the message so far, a line an event.
func (c *command) viewLog(_ context.Context, _ world.Operator, d *operate.Detail) error {
	c.event(d.Accepted, "Received from %s%s P=%s S=%d", cmp.Or(d.From, "<>"), key("U", d.Origin.User), d.Origin.Door, d.Size)
	for _, a := range d.History {
		for _, one := range a.Answers {
			for _, r := range one.Recipients {
				c.answer(a.At, r, &one)
			}
		}
	}
	if d.Held != "" {
		fmt.Fprintf(c.out, "*** Frozen (%s)\n", plain.Line(d.Held))
	}
	return nil
}

// answer prints what the next hop said for one recipient.
func (c *command) answer(at time.Time, recipient string, a *operate.AnswerDetail) {
	reply := a.Text
	if a.Code != 0 {
		reply = fmt.Sprintf("%d %s %s", a.Code, a.Status, a.Text)
	}
	host := key("H", a.Remote)
	reply = plain.Line(reply)
	switch a.Outcome {
	case queue.Delivered.String():
		c.event(at, "=> %s R=upstream T=smtp%s C=\"%s\"", recipient, host, reply)
	case queue.Failed.String():
		c.event(at, "** %s R=upstream T=smtp%s: %s", recipient, host, reply)
	default:
		c.event(at, "%s R=upstream T=smtp%s defer (0): %s", recipient, host, reply)
	}
}

func (c *command) event(at time.Time, format string, args ...any) {
	fmt.Fprintf(c.out, "%s %s\n", c.Local(at).Format(time.DateTime), fmt.Sprintf(format, args...))
}

// key is " K=value", or nothing without a value.
func key(name, value string) string {
	if value == "" {
		return ""
	}
	return " " + name + "=" + plain.Line(value)
}
