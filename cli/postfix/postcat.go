package postfix

import (
	"context"
	"fmt"
	"net"
	"path"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/internal/getopt"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

const postcatUsage = "postcat [-beh] [-c config_dir] -q queue_id... (-b body, -e envelope, -h header; all of them by default)"

// parts says what of a message to show.
type parts struct{ envelope, header, body bool }

func (c *command) postcat(ctx context.Context, args []string) error {
	options, files, err := getopt.Parse(args, "bc:dehnoqrs:v")
	if err != nil {
		return c.misused(1, err, postcatUsage)
	}
	show := parts{options.Has('e'), options.Has('h'), options.Has('b')}
	if show == (parts{}) {
		show = parts{true, true, true}
	}
	if len(files) == 0 {
		return fail(1, "there are no queue files to read from standard input; name a message: postcat -q ID")
	}
	q, done, err := c.Open(ctx)
	if err != nil {
		return fail(1, "open queue: %v", err)
	}
	defer done()
	for _, file := range files {
		if err := c.cat(ctx, q, file, show); err != nil {
			return err
		}
	}
	return nil
}

// cat shows one message. A path, as to one of Postfix's queue files, means the message that its
// last part names.
func (c *command) cat(ctx context.Context, q world.Operator, file string, show parts) error {
	id := world.Bare(path.Base(file))
	d, known, err := world.Show(ctx, q, id)
	if err == nil && (!known || d.Removed != nil || !d.HasBody) {
		return fail(1, "open queue file %s: No such file or directory", file)
	}
	if err != nil {
		return fail(1, "open queue file %s: %v", file, err)
	}
	title := queueOf(&d.Entry) + "/" + string(id)
	if show.envelope {
		fmt.Fprintf(c.out, "*** ENVELOPE RECORDS %s ***\n", title)
		c.envelope(&d)
		fmt.Fprintf(c.out, "*** MESSAGE CONTENTS %s ***\n", title)
	}
	if err := c.contents(ctx, q, id, show); err != nil {
		return fail(1, "read queue file %s: %v", file, err)
	}
	if show.envelope {
		fmt.Fprintf(c.out, "*** HEADER EXTRACTED %s ***\n*** MESSAGE FILE END %s ***\n", title, title)
	}
	return nil
}

// contents writes header and body with line ends as text files have them.
func (c *command) contents(ctx context.Context, q world.Operator, id queue.ID, show parts) error {
	if show.header {
		if err := q.Cat(ctx, id, "headers", plain.Unix(c.out)); err != nil {
			return err
		}
	}
	if show.body {
		fmt.Fprintln(c.out)
		return q.Cat(ctx, id, "body", plain.Unix(c.out))
	}
	return nil
}

// envelope prints what Postfix would have on record of a message.
func (c *command) envelope(d *operate.Detail) {
	at := c.Local(d.Accepted).Format(time.ANSIC)
	utf8 := 0
	if d.UTF8 {
		utf8 = 1
	}
	fmt.Fprintf(c.out, "message_size: %15d %15d %15d %15d %15d %15d\n", d.Size, 0, len(d.Recipients), 0, d.Size, utf8)
	fmt.Fprintf(c.out, "message_arrival_time: %s\ncreate_time: %s\n", at, at)
	c.origin(&d.Origin)
	if d.EnvID != "" {
		c.attribute("envelope_id", d.EnvID)
	}
	if d.Ret != "" {
		c.attribute("ret_flags", d.Ret)
	}
	fmt.Fprintf(c.out, "sender: %s\n", d.From)
	for _, r := range d.Recipients {
		if world.Settled(&r) {
			fmt.Fprintf(c.out, "done_recipient: %s\n", r.Address)
			continue
		}
		original := r.Address
		if r.Origin != "" {
			c.attribute("dsn_orig_rcpt", r.Origin)
			_, original, _ = strings.Cut(r.Origin, ";")
		}
		if r.Notify != "" {
			c.attribute("notify_flags", r.Notify)
		}
		fmt.Fprintf(c.out, "original_recipient: %s\nrecipient: %s\n", plain.Line(original), r.Address)
	}
}

// origin prints how the message came in, in the words Postfix has for SMTP clients.
func (c *command) origin(o *operate.OriginDetail) {
	if host, port, err := net.SplitHostPort(o.Client); err == nil {
		c.attribute("log_client_address", host)
		c.attribute("log_client_port", port)
	} else if o.Client != "" {
		c.attribute("log_client_name", o.Client)
	}
	c.attribute("log_protocol_name", o.Door)
	if o.User != "" {
		c.attribute("sasl_username", o.User)
	}
}

func (c *command) attribute(name, value string) {
	fmt.Fprintf(c.out, "named_attribute: %s=%s\n", name, plain.Line(value))
}
