package smtp

import (
	"io"
	"net/netip"

	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/account"
	"dinkymail/message"
	"dinkymail/queue"
)

// session is what is known of a client, and of the transaction it has open. Commands come to it
// twice: first as the client wrote them, to be checked or answered (command), and then from
// go-smtp, to be done (Mail, Rcpt, Data).
type session struct {
	conn    *connection
	server  *Server
	peer    netip.Addr
	trusted bool // the peer may send without AUTH, and writes as printers and scripts do

	tls      string       // version and cipher suite; empty without
	helo     string       // as the client called itself
	extended bool         // it said EHLO
	user     account.User // it logged in as
	errors   int          // commands refused since the last accepted mail
	idle     int          // commands since then that brought nothing

	tx       *transaction
	path     message.Address // of the MAIL or RCPT that go-smtp has just now
	refused  bool            // a recipient of this transaction was
	chunking bool            // a BDAT began its body
	chunks   chunks          // which it comes in
}

var _ gosmtp.Session = (*session)(nil)

// Mail opens the transaction. The address is the one that command parsed; go-smtp has only a
// placeholder.
func (s *session) Mail(_ string, o *gosmtp.MailOptions) error {
	if s.path.NeedsUTF8() && !o.UTF8 {
		return s.refuse("mail", errUTF8)
	}
	s.tx = &transaction{
		envelope: message.Envelope{From: s.path, UTF8: o.UTF8, Ret: string(o.Return), ID: o.EnvelopeID},
		trace:    s.trace(o.UTF8),
	}
	s.refused = false
	s.conn.transport.busy = true
	return nil
}

// trace says how the mail comes in. The protocol's name is that of RFC 3848 and RFC 6531, 4.3.
func (s *session) trace(utf8 bool) message.Trace {
	protocol := "SMTP"
	if s.extended {
		protocol = "ESMTP"
		if utf8 {
			protocol = "UTF8SMTP"
		}
		if s.tls != "" {
			protocol += "S"
		}
		if s.user.Name != "" {
			protocol += "A"
		}
	}
	t := message.Trace{Helo: s.helo, Protocol: protocol, TLS: s.tls, User: s.user.Name}
	if s.peer.IsValid() {
		t.Client = s.peer.String()
	}
	return t
}

// Rcpt adds a recipient. The same address twice is one recipient, with the parameters it came with
// first.
func (s *session) Rcpt(_ string, o *gosmtp.RcptOptions) error {
	r := message.Recipient{Address: s.path, Notify: notify(o.Notify), Original: original(o)}
	if err := s.tx.add(r, s.server.cfg.MaxRecipients); err != nil {
		s.refused = true
		return s.refuse("rcpt", err)
	}
	return nil
}

// Data takes the mail in. It reads the body past go-smtp, which gets an empty one afterwards, and
// returns an error in any case, because that is how go-smtp lets us choose the words.
func (s *session) Data(io.Reader) (err error) {
	defer s.conn.contain(&err)
	defer s.conn.nextLine(".")
	if s.chunking {
		err = s.take(&s.chunks)
		s.chunks.skip()
		s.conn.passed.mute = s.chunks.err == errGivenUp
		return err
	}
	s.conn.transport.awaitBody()
	body := newDotReader(s.conn)
	err = s.take(body)
	_, _ = io.Copy(io.Discard, body) // what the Submitter has not read
	return err
}

// take hands the mail to the Submitter.
func (s *session) take(r io.Reader) error {
	tx := s.tx
	trace := tx.trace
	if len(tx.envelope.To) == 1 {
		trace.For = tx.envelope.To[0].Address
	}
	r = &limited{r: r, left: s.server.cfg.MaxMessageBytes}
	if s.trusted {
		r = &loose{r: r}
	}
	id, err := s.server.next.Submit(s.conn.listener.submitting, queue.Submission{
		Envelope: tx.envelope,
		Trace:    trace,
		Origin:   queue.Origin{Door: "smtp", Client: s.conn.transport.client, User: trace.User},
		Body:     r,
	})
	switch {
	case err == nil:
		s.errors, s.idle = 0, 0 // a client that brings mail is none to get rid of
		s.server.tally.accepted.Add(1)
		return answer(250, 2, 0, 0, "queued as "+string(id))
	case s.conn.lastWord || s.chunks.err == errGivenUp: // nobody waits for an answer
		return reply(errCut)
	default:
		return s.refuse("data", err)
	}
}

// limited reads at most left bytes of a body.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, queue.ErrTooLarge
	}
	return n, err
}

// refuse logs what a client was denied, and returns the reply.
func (s *session) refuse(stage string, err error) *gosmtp.SMTPError {
	a := reply(err)
	s.server.log.Info("refused", "client", s.conn.transport.client, "user", s.user.Name, "stage", stage,
		"code", a.Code, "err", err)
	return a
}

// Reset ends the transaction: it was done, or given up.
func (s *session) Reset() {
	s.tx, s.refused, s.chunking, s.chunks = nil, false, false, chunks{}
	s.conn.transport.endBody()
	s.conn.transport.busy = false
}

// Logout is the end of the connection.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// maxBody is what a body may bring on the transport, with a good deal for TLS and for what we
// refuse: beyond it we do not even wait for its end.
func (s *session) maxBody() int64 { return 2*s.server.cfg.MaxMessageBytes + 1<<20 }
