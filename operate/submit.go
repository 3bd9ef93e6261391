package operate

import (
	"bytes"
	"context"
	"errors"
	"io"

	"dinkymail/message"
	"dinkymail/queue"
)

// doorSendmail is how the queue remembers mail that a user of this machine handed in.
const doorSendmail = "sendmail"

// Mail is a mail as it is, with its envelope, from a user of this machine.
type Mail struct {
	// Envelope says from whom and to whom. A sender without a domain is at this machine; a recipient without one has an alias, or
	// is DEFAULT_TO.
	Envelope message.Envelope
	// ID names the mail; empty: a new one. A mail that is known by it already is accepted and changes nothing, so that handing in
	// again what was not answered is safe.
	ID   queue.ID
	Body io.Reader // its lines may end in LF
	// User and Client are who hands it in and from where, for the record. Over a socket the kernel says that.
	User, Client string
}

// Accepted is the answer to a mail that is on the disk.
type Accepted struct {
	Success   bool     `json:"success"`
	Message   string   `json:"message"`
	ID        queue.ID `json:"id"`
	MessageID string   `json:"messageId"`
	Status    string   `json:"status"`
}

// Submit puts a mail into the queue.
func (l *Local) Submit(ctx context.Context, m Mail) (Accepted, error) {
	env := m.Envelope
	if !env.From.IsNull() && env.From.Domain == "" {
		env.From.Domain = l.machine()
	}
	env.UTF8 = env.From.NeedsUTF8()
	for _, to := range env.To {
		env.UTF8 = env.UTF8 || to.NeedsUTF8()
	}
	sub := queue.Submission{
		ID: m.ID, Envelope: env, Body: &crlf{r: m.Body},
		Trace:  message.Trace{User: m.User},
		Origin: queue.Origin{Door: doorSendmail, Client: m.Client, User: m.User},
	}
	if sub.ID == "" {
		sub.ID = queue.NewID()
	}
	if len(env.To) == 1 {
		sub.Trace.For = env.To[0].Address
	}
	_, err := l.queue.Submit(ctx, sub)
	again := errors.Is(err, queue.ErrExists) && m.ID != ""
	if err != nil && !again {
		return Accepted{}, told(err)
	}
	kept, err := l.queue.Get(sub.ID)
	if again && (err != nil || kept.Origin.User != m.User || kept.Origin.Door != doorSendmail) {
		return Accepted{}, Malformed("the id is another mail's.")
	}
	return Accepted{true, "Mail accepted", sub.ID, kept.Facts.MessageID, "queued"}, nil
}

// machine is the domain of this machine's users.
func (l *Local) machine() string {
	if domain, err := message.ParseDomain(l.parts.Machine); err == nil {
		return domain
	}
	return "localhost"
}

// crlf reads r with every line end as CRLF.
type crlf struct {
	r    io.Reader
	buf  []byte // as it was read
	left []byte // of buf, not passed on yet
	last byte   // passed on
	err  error  // of r, once left is passed on
}

// Read passes on what r has.
func (c *crlf) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(c.left) == 0 {
			if n > 0 || c.err != nil {
				break
			}
			c.fill()
			continue
		}
		if c.left[0] == '\n' && c.last != '\r' {
			p[n], c.last = '\r', '\r'
			n++
			continue
		}
		run := c.left
		if i := bytes.IndexByte(run[1:], '\n'); i >= 0 {
			run = run[:i+1]
		}
		k := copy(p[n:], run)
		c.last = run[k-1]
		c.left = c.left[k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, c.err
	}
	return n, nil
}

func (c *crlf) fill() {
	if c.buf == nil {
		c.buf = make([]byte, 16<<10)
	}
	n, err := c.r.Read(c.buf)
	c.left, c.err = c.buf[:n], err
}
