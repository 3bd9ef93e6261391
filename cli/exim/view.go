package exim

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// view opens the one message that an option names. say has %s for the ID, for the case that there is no such message.
func (c *command) view(ctx context.Context, l *line, say string, show func(client appliance, d *operate.Detail) error) error {
	wanted, err := ids(l)
	if err != nil {
		return err
	}
	if len(wanted) > 1 {
		fmt.Fprintln(c.out, "*** Only one message can be listed at once")
		return unhappy()
	}
	client, done, err := c.client(ctx)
	if err != nil {
		return err
	}
	defer done()
	d, err := operate.Detail{}, error(queue.ErrNotFound)
	if wanted[0].Valid() {
		d, err = client.Show(ctx, wanted[0])
	}
	if missing(err) || err == nil && (gone(&d.Entry) || !d.HasBody) {
		fmt.Fprintf(c.out, say+": No such file or directory\n", wanted[0])
		return unhappy()
	}
	if err != nil {
		return err
	}
	return show(client, &d)
}

// viewBody is -Mvb.
func (c *command) viewBody(ctx context.Context, l *line) error {
	return c.view(ctx, l, "Failed to open input file for %s-D", func(client appliance, d *operate.Detail) error {
		fmt.Fprintf(c.out, "%s-D\n", d.ID)
		return client.Cat(ctx, d.ID, "body", plain.Unix(c.out))
	})
}

// viewCopy is -Mvc: the message as it will be sent.
func (c *command) viewCopy(ctx context.Context, l *line) error {
	return c.view(ctx, l, "Failed to open input file for %s-D", func(client appliance, d *operate.Detail) error {
		return client.Cat(ctx, d.ID, "raw", plain.Unix(c.out))
	})
}

// viewHeader is -Mvh: the envelope and the header as they would stand in Exim's spool.
func (c *command) viewHeader(ctx context.Context, l *line) error {
	return c.view(ctx, l, "Failed to open input file for %s-H", func(client appliance, d *operate.Detail) error {
		c.envelope(d)
		var header bytes.Buffer
		if err := client.Cat(ctx, d.ID, "headers", plain.Unix(&header)); err != nil {
			return err
		}
		for _, field := range fields(header.String()) {
			fmt.Fprintf(c.out, "%03d%c %s", len(field), flag(field), field)
		}
		return nil
	})
}

// envelope prints what stands before the header: who handed the mail in, the sender, when, what is known of it, which
// recipients are settled, and all of them.
func (c *command) envelope(d *operate.Detail) {
	user := d.Origin.User
	if user == "" {
		user = "nobody"
	}
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
	if frozen(&d.Entry) {
		fmt.Fprintln(c.out, "-frozen")
	}
	c.settledTree(d.Recipients)
	fmt.Fprintln(c.out, len(d.Recipients))
	for _, r := range d.Recipients {
		fmt.Fprintln(c.out, r.Address)
	}
	fmt.Fprintln(c.out)
}

// settledTree prints the recipients that are settled as the tree Exim keeps: each line says whether a left and a right
// branch follow. Ours has right ones only.
func (c *command) settledTree(all []operate.Recipient) {
	var done []string
	for _, r := range all {
		if settled(&r) {
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

// flag is the letter by which Exim knows a header field again.
func flag(field string) byte {
	name, _, _ := strings.Cut(field, ":")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "bcc":
		return 'B'
	case "cc":
		return 'C'
	case "from":
		return 'F'
	case "message-id":
		return 'I'
	case "received":
		return 'P'
	case "reply-to":
		return 'R'
	case "sender":
		return 'S'
	case "to":
		return 'T'
	default:
		return ' '
	}
}

// viewLog is -Mvl: what became of the message so far, a line an event.
func (c *command) viewLog(ctx context.Context, l *line) error {
	return c.view(ctx, l, "Failed to open msglog file for %s", func(_ appliance, d *operate.Detail) error {
		c.event(d.Accepted, "Received from %s%s P=%s S=%d", null(d.From), named("U", d.Origin.User), d.Origin.Door, d.Size)
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
	})
}

// answer prints what the next hop said for one recipient.
func (c *command) answer(at time.Time, recipient string, a *operate.AnswerDetail) {
	reply := a.Text
	if a.Code != 0 {
		reply = fmt.Sprintf("%d %s %s", a.Code, a.Status, a.Text)
	}
	host := named("H", a.Remote)
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
	fmt.Fprintf(c.out, "%s %s\n", at.In(c.Location).Format(time.DateTime), fmt.Sprintf(format, args...))
}

// named is " K=value", or nothing without a value.
func named(key, value string) string {
	if value == "" {
		return ""
	}
	return " " + key + "=" + plain.Line(value)
}

// null is a sender, with <> for none.
func null(from string) string {
	if from == "" {
		return "<>"
	}
	return from
}
