package operate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"dinkymail/message"
	"dinkymail/queue"
)

// Mail is a mail as it is, with its envelope, from a user of this machine.
type Mail struct {
	// Envelope says from whom and to whom. A sender without a domain is at this machine; a
	// recipient without one has an alias, or is DEFAULT_TO.
	Envelope message.Envelope
	// ID names the mail; empty: a new one. A mail that is known by it already is accepted and
	// changes nothing, so that handing in again what was not answered is safe.
	ID   queue.ID
	Body io.Reader // its lines may end in LF
	// User and Client are who hands it in and from where, for the record. Over a socket the kernel
	// says that.
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
		ID: m.ID, Envelope: env, Body: withCRLF(m.Body),
		Trace:  message.Trace{User: m.User},
		Origin: queue.Origin{Door: queue.DoorSendmail, Client: m.Client, User: m.User},
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
	if again && (err != nil || kept.Origin.User != m.User || kept.Origin.Door != queue.DoorSendmail) {
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

// withCRLF reads r with every line end as CRLF.
func withCRLF(r io.Reader) io.Reader {
	const room = 32 << 10
	return bufio.NewReaderSize(&crlf{r: r, buf: make([]byte, room/2)}, room)
}

// crlf is read with room for two bytes or more.
type crlf struct {
	r    io.Reader
	buf  []byte
	last byte // passed on
}

// Read passes on what r has. At worst half of p is CRs of ours.
func (c *crlf) Read(p []byte) (n int, err error) {
	got, err := c.r.Read(c.buf[:min(len(c.buf), len(p)/2)])
	for line := range bytes.Lines(c.buf[:got]) {
		end := len(line) - 1
		if end > 0 {
			c.last = line[end-1]
		}
		if line[end] == '\n' && c.last != '\r' {
			n += copy(p[n:], line[:end])
			n += copy(p[n:], "\r\n")
		} else {
			n += copy(p[n:], line)
		}
		c.last = line[end]
	}
	return n, err
}
