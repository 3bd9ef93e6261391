package smtp

import (
	"crypto/tls"
	"fmt"
	"strings"

	"dinkymail/message"
	"dinkymail/queue"
)

// command checks a line of the client. It answers the command, or passes it to go-smtp in words of
// ours, or returns why it is refused. go-smtp never sees an address, a host name, or a command out
// of order.
func (s *session) command(c command) error {
	if s.idle++; s.idle > s.server.cfg.MaxIdleCommands {
		return errChatter
	}
	switch c.verb {
	case "EHLO", "HELO":
		return s.hello(c)
	case "MAIL":
		return s.mail(c)
	case "RCPT":
		return s.rcpt(c)
	case "DATA":
		return s.data(c)
	case "BDAT":
		return s.bdat(c)
	case "AUTH":
		return s.auth(c)
	case "STARTTLS":
		return s.startTLS(c)
	case "RSET":
		s.countGivenUp()
		s.conn.pass(c.verb, c.verb, "")
	case "QUIT":
		s.conn.pass(c.verb, c.verb, "")
	case "NOOP":
		s.conn.say(answer(250, 2, 0, 0, "I have successfully done nothing"))
	case "VRFY":
		s.conn.say(answer(252, 2, 5, 0, "Cannot VRFY user, but will accept message"))
	case "HELP", "EXPN":
		return answer(502, 5, 5, 1, c.verb+" command not implemented")
	default:
		if c.isHTTP() {
			return lastWord{errHTTP}
		}
		return errUnknown
	}
	return nil
}

// mail lets nobody in who is neither trusted nor logged in. Everything else comes after that.
func (s *session) mail(c command) error {
	if s.tx == nil {
		s.server.tally.begun.Add(1)
	}
	switch {
	case s.helo == "":
		return fmt.Errorf("%w: say EHLO first", errSequence)
	case !s.trusted && s.user.Name == "":
		return s.refuse("mail", errAuthFirst)
	case s.tx != nil:
		return fmt.Errorf("%w: there is a MAIL already, end it or say RSET", errSequence)
	}
	path, params, err := c.path("FROM:", s.trusted)
	if err != nil {
		return err
	}
	if err := checkSize(params, s.server.cfg.MaxMessageBytes); err != nil {
		return s.refuse("mail", err)
	}
	s.path = message.Address{}
	placeholder := "<>"
	if path != "" {
		placeholder = "<a@b>"
		if s.path, err = s.address(path, ""); err != nil {
			return err
		}
		if s.user.Name != "" && !s.user.MaySendAs(s.path) {
			return s.refuse("mail", errSender)
		}
	}
	s.conn.pass(c.verb, "MAIL FROM:"+placeholder+params, "250 2.1.0 sender ok\r\n")
	return nil
}

func (s *session) rcpt(c command) error {
	switch {
	case s.tx == nil:
		return fmt.Errorf("%w: say MAIL first", errSequence)
	case s.chunking:
		return fmt.Errorf("%w: the mail has begun", errSequence)
	}
	path, params, err := c.path("TO:", s.trusted)
	if err == nil {
		s.path, err = s.address(path, s.server.cfg.Domain)
	}
	if err == nil && s.path.Domain == "" && !s.server.cfg.Knows(s.path) {
		err = s.refuse("rcpt", queue.ErrNoMailbox)
	}
	if err != nil {
		s.refused = true
		return err
	}
	s.idle-- // a recipient brings the mail along
	s.conn.pass(c.verb, "RCPT TO:<a@b>"+params, "250 2.1.5 recipient ok\r\n")
	return nil
}

// address parses a path. Programs on this machine and in its networks may name whom they know
// without a domain.
func (s *session) address(path, domain string) (message.Address, error) {
	if s.trusted && s.server.cfg.Knows != nil && !strings.Contains(path, "@") {
		return message.ParseLocalAddress(path)
	}
	return parsePath(path, domain)
}

func (s *session) data(c command) error {
	switch {
	case c.args != "":
		return fmt.Errorf("%w: DATA has none", errParameter)
	case s.chunking:
		return fmt.Errorf("%w: the mail has begun with BDAT", errSequence)
	case s.tx == nil:
		return fmt.Errorf("%w: say MAIL first", errSequence)
	case len(s.tx.envelope.To) == 0 && s.refused:
		return answer(554, 5, 5, 1, "no valid recipients")
	case len(s.tx.envelope.To) == 0:
		return fmt.Errorf("%w: say RCPT first", errSequence)
	}
	s.conn.pass(c.verb, "DATA", "")
	return nil
}

// bdat begins a chunk. The first one is DATA for go-smtp, which has a goroutine and a pipe of its
// own for BDAT and no way to give a body up. One that comes out of order is read over: its bytes
// come in any case.
func (s *session) bdat(c command) error {
	size, last, err := c.chunk()
	if err != nil {
		return err
	}
	if size > s.maxBody() {
		return lastWord{errEndless}
	}
	s.chunks.conn = s.conn
	s.chunks.begin(size, last)
	if size > 0 {
		s.idle-- // a chunk brings the mail along
	}
	switch {
	case s.chunking:
	case s.tx == nil || len(s.tx.envelope.To) == 0:
		s.chunks.skip()
		s.chunks = chunks{}
		return fmt.Errorf("%w: say MAIL and RCPT first", errSequence)
	default:
		s.chunking = true
		s.conn.pass(c.verb, "DATA", "")
		s.conn.passed.mute = true
	}
	return nil
}

// countGivenUp is called before a command that ends a transaction.
func (s *session) countGivenUp() {
	if s.tx != nil {
		s.server.tally.givenUp.Add(1)
	}
}

// startTLS says yes and goes on under TLS. Whatever the client sent behind the command came before
// the encryption, and perhaps from somebody else (RFC 3207, 6).
func (s *session) startTLS(c command) error {
	switch {
	case c.args != "":
		return fmt.Errorf("%w: STARTTLS has none", errParameter)
	case s.tls != "":
		return fmt.Errorf("%w: TLS is on already", errSequence)
	case s.server.cfg.TLS == nil:
		return errNoTLS
	case len(s.conn.in) > 0:
		return lastWord{errInjected}
	}
	s.conn.say(answer(220, 2, 0, 0, "ready for TLS"))
	s.conn.flush()
	t := tls.Server(s.conn.transport, s.server.cfg.TLS)
	s.conn.Conn = t
	s.conn.handshake(t)
	return nil
}
