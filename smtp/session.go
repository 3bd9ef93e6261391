package smtp

import (
	"errors"
	"io"
	"net/netip"
	"sync"

	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/account"
	"dinkymail/message"
	"dinkymail/queue"
)

// session is what is known of a client, and of the transaction it has open. Commands come to it twice: first as the client
// wrote them, to be checked or answered (command), and then from go-smtp, to be done (Mail, Rcpt, Data, Auth).
type session struct {
	talk   *talk
	server *Server
	peer   netip.Addr
	mayAsk bool // the peer is trusted: it may send without AUTH, and writes as printers and scripts do

	tls       string       // version and cipher suite; empty without
	helo      string       // as the client called itself
	extended  bool         // it said EHLO
	user      account.User // it logged in as; one without a name while it is trusted only
	garbled   bool         // its latest line of a login was no base64, and ends it
	cancelled bool         // it ended a login itself
	errors    int          // commands refused since the last accepted mail
	idle      int          // commands since then that brought nothing

	path     message.Address // of the MAIL or RCPT that go-smtp has just now
	refused  bool            // a recipient of this transaction was
	chunking bool            // a BDAT began its body

	mu sync.Mutex // guards tx: BDAT reads it in another goroutine
	tx *transaction
}

func newSession(t *talk) *session {
	s := t.wire.server
	one := &session{talk: t, server: s, peer: t.wire.peer, mayAsk: s.trusts(t.wire.peer)}
	if one.mayAsk {
		one.user = account.Anybody("")
	}
	return one
}

var _ gosmtp.AuthSession = (*session)(nil)

// Mail opens the transaction. The address is the one that command parsed; go-smtp has only a placeholder.
func (s *session) Mail(_ string, o *gosmtp.MailOptions) error {
	if s.path.NeedsUTF8() && !o.UTF8 {
		return s.refuse("mail", errUTF8)
	}
	s.mu.Lock()
	s.tx = &transaction{
		envelope: message.Envelope{From: s.path, UTF8: o.UTF8, Ret: string(o.Return), ID: o.EnvelopeID},
		trace:    s.trace(o.UTF8),
	}
	s.mu.Unlock()
	s.refused = false
	s.talk.wire.busy.Store(true)
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

// Rcpt adds a recipient. The same address twice is one recipient, with the parameters it came with first.
func (s *session) Rcpt(_ string, o *gosmtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := s.tx
	if tx == nil {
		return reply(errSequence)
	}
	err := tx.add(message.Recipient{Address: s.path, Notify: notify(o.Notify), Original: original(o)}, s.server.cfg.MaxRecipients)
	if err != nil {
		s.refused = true
		return s.refuse("rcpt", err)
	}
	return nil
}

// Data takes the mail in. It returns an error in any case, because that is how go-smtp lets us choose the words.
func (s *session) Data(r io.Reader) error {
	if _, chunks := r.(*io.PipeReader); chunks {
		return s.take(r) // BDAT, in a goroutine that must not touch the talk
	}
	body := &dataReader{talk: s.talk}
	err := s.take(body)
	body.leave()
	return err
}

// take hands the mail to the Submitter.
func (s *session) take(r io.Reader) error {
	s.mu.Lock()
	tx := s.tx
	s.mu.Unlock()
	if tx == nil || !s.talk.visit.enter() {
		return reply(errShutdown)
	}
	defer s.talk.visit.leave()
	trace := tx.trace
	if len(tx.envelope.To) == 1 {
		trace.For = tx.envelope.To[0].Address
	}
	body := &bodyReader{r: r, left: s.server.cfg.MaxMessageBytes, tx: tx}
	var text io.Reader = body
	if s.mayAsk {
		text = &loose{r: body}
	}
	id, err := s.server.next.Submit(s.talk.visit.ctx, queue.Submission{
		Envelope: tx.envelope,
		Trace:    trace,
		Origin:   queue.Origin{Door: "smtp", Client: s.talk.wire.client, User: trace.User},
		Body:     text,
	})
	switch {
	case err == nil:
		return answer(250, 2, 0, 0, "queued as "+string(id))
	case body.cut:
		return reply(errCut)
	default:
		return s.refuse("data", err)
	}
}

// bodyReader passes on a body of at most left bytes and remembers whether it came to an end in order.
type bodyReader struct {
	r    io.Reader
	left int64
	tx   *transaction
	cut  bool
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return 0, queue.ErrTooLarge
	}
	b.left -= int64(n)
	if err == io.EOF && b.tx.givenUp.Load() {
		err = errCut
	}
	if err != nil && err != io.EOF && !errors.Is(err, gosmtp.ErrDataTooLarge) {
		b.cut = true
	}
	return n, err
}

// refuse logs what a client was denied, and returns the reply.
func (s *session) refuse(stage string, err error) *gosmtp.SMTPError {
	a := reply(err)
	s.server.log.Info("refused", "client", s.talk.wire.client, "user", s.user.Name, "stage", stage,
		"code", a.Code, "err", err)
	return a
}

// Reset ends the transaction: it was done, or given up.
func (s *session) Reset() {
	s.mu.Lock()
	s.tx = nil
	s.mu.Unlock()
	s.refused, s.chunking = false, false
	s.talk.wire.endBody()
	s.talk.wire.busy.Store(false)
}

// Logout is the end of the connection, or of its part before STARTTLS.
func (s *session) Logout() error {
	s.Reset()
	return nil
}

// accepted starts counting anew: a client that brings mail is none to get rid of.
func (s *session) accepted() {
	s.errors, s.idle = 0, 0
	s.server.tally.accepted.Add(1)
}

// maxBody is what a body may bring on the wire, with a good deal for TLS and for what we refuse: beyond it we do not even wait
// for its end.
func (s *session) maxBody() int64 { return 2*s.server.cfg.MaxMessageBytes + 1<<20 }
