package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/smtp"
)

// talk speaks SMTP on standard input and output, as the appliance does on its ports. Each mail goes the way of all mail handed in
// by this program.
func (w World) talk(ctx context.Context, o *options) error {
	places := w.places()
	limits := about(places)
	domain := limits.Domain
	if domain == "" {
		domain = "localhost"
	}
	here := netip.MustParseAddr("127.0.0.1")
	server := smtp.New(submitter{w, o, places, limits}, smtp.Config{
		Hostname: domain, Domain: domain, Trusted: []netip.Prefix{netip.PrefixFrom(here, here.BitLen())},
		Knows:           func(message.Address) bool { return true }, // the appliance will say
		MaxMessageBytes: limits.MaxMessageBytes, MaxRecipients: limits.MaxRecipients,
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln := &once{conn: &stdio{in: w.In, out: w.Out, closed: cancel, at: net.TCPAddrFromAddrPort(netip.AddrPortFrom(here, 25))},
		done: make(chan struct{})}
	return server.Serve(ctx, ln)
}

// submitter is where the SMTP server gives its mail to.
type submitter struct {
	world  World
	o      *options
	places []place
	limits maildrop.About
}

// Submit hands a mail in.
func (s submitter) Submit(ctx context.Context, m queue.Submission) (queue.ID, error) {
	l, err := read(m.Body, false, s.limits.MaxMessageBytes)
	if err != nil {
		return "", inQueueWords(err)
	}
	defer l.close()
	if err := s.world.sign(s.o.name, m.Envelope.From, l); err != nil {
		return "", err
	}
	id, _, err := handIn(ctx, s.places, m.Envelope, l)
	return id, inQueueWords(err)
}

// inQueueWords makes an error one that the SMTP server has a reply for.
func inQueueWords(err error) error {
	var x *exit
	if !errors.As(err, &x) {
		return err
	}
	switch x.code {
	case exitTryLater:
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	case exitNoUser:
		return fmt.Errorf("%w: %w", queue.ErrNoMailbox, err)
	case exitData, exitUnavailable, exitPermission:
		return &message.MalformedError{Reason: err.Error()}
	default:
		return err
	}
}

// stdio is standard input and output as a connection from this machine. It has no deadlines: whoever started this program may
// take as long as they like.
type stdio struct {
	in     io.Reader
	out    io.Writer
	at     net.Addr
	closed func()
}

// Read reads standard input.
func (c *stdio) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write writes standard output.
func (c *stdio) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close ends the program.
func (c *stdio) Close() error {
	c.closed()
	return nil
}

// LocalAddr and RemoteAddr are loopback's.
func (c *stdio) LocalAddr() net.Addr { return c.at }

// RemoteAddr is who talks: a program on this machine.
func (c *stdio) RemoteAddr() net.Addr { return c.at }

// SetDeadline does nothing, like those for one direction.
func (c *stdio) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *stdio) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *stdio) SetWriteDeadline(time.Time) error { return nil }

// once is a listener with a single connection.
type once struct {
	mu   sync.Mutex // guards conn
	conn net.Conn   // nil once it was taken
	end  sync.Once
	done chan struct{}
}

// Accept returns the connection, and then waits for Close.
func (l *once) Accept() (net.Conn, error) {
	l.mu.Lock()
	c := l.conn
	l.conn = nil
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

// Close ends Accept.
func (l *once) Close() error {
	l.end.Do(func() { close(l.done) })
	return nil
}

// Addr is where the connection comes from.
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }
