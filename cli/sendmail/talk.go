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

	"dinkymail/cli/world"
	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/smtp"
)

// talk speaks SMTP on standard input and output, as the appliance does on its ports. Each mail goes
// the way of all mail handed in by this program.
func (w program) talk(ctx context.Context, o *options) error {
	places := w.places()
	limits := about(places)
	domain := limits.Domain
	if domain == "" {
		domain = "localhost"
	}
	here := netip.MustParseAddr("127.0.0.1")
	next := &submitter{program: w, o: o, places: places, limits: limits}
	server := smtp.New(next, smtp.Config{
		Hostname: domain, Domain: domain, Trusted: []netip.Prefix{netip.PrefixFrom(here, here.BitLen())},
		Knows:           func(message.Address) bool { return true }, // the appliance will say
		MaxMessageBytes: limits.MaxMessageBytes, MaxRecipients: limits.MaxRecipients,
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ln := &once{conns: make(chan net.Conn, 1)}
	ln.conns <- &stdio{Reader: w.In, Writer: w.Out, closed: cancel, at: net.TCPAddrFromAddrPort(netip.AddrPortFrom(here, 25))}
	if err := server.Serve(ctx, ln); err != nil {
		return err
	}
	return next.outcome(server.Tally())
}

// submitter is where the SMTP server gives its mail to. It belongs to the server's one connection.
type submitter struct {
	program
	o      *options
	places []place
	limits maildrop.About
	failed error // the latest mail that was not taken
}

// outcome says whether the conversation did what it set out to do. Whoever only looks at the exit
// status must not take a mail for sent that was refused, cut off or never finished; to give a mail
// up with RSET is no failure, unless no other one was sent.
func (s *submitter) outcome(t smtp.Tally) error {
	lost := t.Begun - t.GivenUp - t.Accepted
	switch {
	case t.Accepted > 0 && lost <= 0, t.Begun == 0 && t.Refused == 0:
		return nil
	case t.Accepted == 0:
		lost = t.Begun
	}
	code := world.Status(s.failed, world.ExitData)
	if errors.Is(s.failed, queue.ErrTooLarge) {
		code = world.ExitUnavailable
	}
	switch {
	case lost <= 0:
		return world.Failf(code, "no mail was sent, and a command was refused")
	case t.Begun == 1:
		return world.Failf(code, "the mail was not accepted; the replies say why")
	}
	return world.Failf(code, "%d of %d mails were not accepted; the replies say why", lost, t.Begun)
}

// Submit hands a mail in.
func (s *submitter) Submit(ctx context.Context, m queue.Submission) (queue.ID, error) {
	id, err := s.submit(ctx, m)
	if err != nil {
		s.failed = err
		return "", inQueueWords(err)
	}
	return id, nil
}

func (s *submitter) submit(ctx context.Context, m queue.Submission) (queue.ID, error) {
	l, err := read(m.Body, false, s.limits.MaxMessageBytes)
	if err != nil {
		return "", err
	}
	defer l.close()
	if l.mended != (changes{}) {
		return "", world.Failf(world.ExitData, "there is a NUL byte, or a CR without LF") // as on the appliance's ports
	}
	if err := s.program.sign(s.o.name, m.Envelope.From, l); err != nil {
		return "", err
	}
	id, _, err := handIn(ctx, s.places, m.Envelope, l)
	return id, err
}

// inQueueWords makes an error one that the SMTP server has a reply for.
func inQueueWords(err error) error {
	switch world.Status(err, 0) {
	case world.ExitTempFail:
		return fmt.Errorf("%w: %w", queue.ErrFull, err)
	case world.ExitNoUser:
		return fmt.Errorf("%w: %w", queue.ErrNoMailbox, err)
	case world.ExitData, world.ExitUnavailable, world.ExitNoPermission:
		return &message.MalformedError{Reason: err.Error()}
	default:
		return err
	}
}

// stdio is standard input and output as a connection from this machine. It has no deadlines:
// whoever started this program may take as long as they like.
type stdio struct {
	io.Reader
	io.Writer
	at     net.Addr
	closed func()
}

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
	conns chan net.Conn // has that one
	end   sync.Once
}

// Accept returns the connection, and then waits for Close.
func (l *once) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Close ends Accept.
func (l *once) Close() error {
	l.end.Do(func() { close(l.conns) })
	return nil
}

// Addr is where the connection comes from.
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }
