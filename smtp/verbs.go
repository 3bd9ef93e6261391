package smtp

import (
	"fmt"
	"strconv"
	"strings"

	"dinkymail/message"
	"dinkymail/queue"
)

// command checks a line of the client. It returns the line that go-smtp gets in its place, or "" when everything is said, or
// why it is refused. go-smtp never sees an address, a host name, or a command out of order.
func (s *session) command(c command) (pass string, err error) {
	if s.idle++; s.idle > s.server.cfg.MaxIdleCommands {
		return "", errChatter
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
		return "", s.startTLS(c)
	case "RSET":
		return s.giveUp(c.verb), nil
	case "NOOP", "QUIT", "HELP", "EXPN", "VRFY":
		return c.verb, nil
	}
	if c.isHTTP() {
		return "", lastWord{errHTTP}
	}
	return "", errUnknown
}

// mail lets nobody in who is neither trusted nor logged in. Everything else comes after that.
func (s *session) mail(c command) (string, error) {
	if s.tx == nil {
		s.server.tally.begun.Add(1)
	}
	switch {
	case s.helo == "":
		return "", fmt.Errorf("%w: say EHLO first", errSequence)
	case !s.mayAsk && s.user.Name == "":
		return "", s.refuse("mail", errAuthFirst)
	case s.tx != nil:
		return "", fmt.Errorf("%w: there is a MAIL already, end it or say RSET", errSequence)
	}
	path, params, err := c.path("FROM:", s.mayAsk)
	if err != nil {
		return "", err
	}
	if err := checkSize(params, s.server.cfg.MaxMessageBytes); err != nil {
		return "", s.refuse("mail", err)
	}
	s.path = message.Address{}
	if path == "" {
		return "MAIL FROM:<>" + params, nil
	}
	if s.path, err = s.address(path, ""); err != nil {
		return "", err
	}
	if !s.user.MaySendAs(s.path) {
		return "", s.refuse("mail", errSender)
	}
	return "MAIL FROM:<a@b>" + params, nil
}

func (s *session) rcpt(c command) (string, error) {
	switch {
	case s.tx == nil:
		return "", fmt.Errorf("%w: say MAIL first", errSequence)
	case s.chunking:
		return "", fmt.Errorf("%w: the mail has begun", errSequence)
	}
	path, params, err := c.path("TO:", s.mayAsk)
	if err == nil {
		s.path, err = s.address(path, s.server.cfg.Domain)
	}
	if err == nil && s.path.Domain == "" && !s.server.cfg.Knows(s.path) {
		err = s.refuse("rcpt", queue.ErrNoMailbox)
	}
	if err != nil {
		s.refused = true
		return "", err
	}
	s.idle-- // a recipient brings the mail along
	return "RCPT TO:<a@b>" + params, nil
}

// address parses a path. Programs on this machine and in its networks may name whom they know
// without a domain.
func (s *session) address(path, domain string) (message.Address, error) {
	if s.mayAsk && s.server.cfg.Knows != nil && !strings.Contains(path, "@") {
		return message.ParseLocalAddress(path)
	}
	return parsePath(path, domain)
}

func (s *session) data(c command) (string, error) {
	switch {
	case c.args != "":
		return "", fmt.Errorf("%w: DATA has none", errParameter)
	case s.chunking:
		return "", fmt.Errorf("%w: the mail has begun with BDAT", errSequence)
	}
	return c.verb, s.readyForBody()
}

// readyForBody reports why there is no mail to take.
func (s *session) readyForBody() error {
	switch {
	case s.tx == nil:
		return fmt.Errorf("%w: say MAIL first", errSequence)
	case len(s.tx.envelope.To) == 0 && s.refused:
		return answer(554, 5, 5, 1, "no valid recipients")
	case len(s.tx.envelope.To) == 0:
		return fmt.Errorf("%w: say RCPT first", errSequence)
	}
	return nil
}

// bdat announces a chunk. One that comes out of order goes to go-smtp as well, which reads over it: its bytes come in any case.
func (s *session) bdat(c command) (string, error) {
	size, last, err := c.chunk()
	if err != nil {
		return "", err
	}
	if size > s.maxBody() {
		return "", lastWord{reply(errEndless)}
	}
	s.chunking = s.readyForBody() == nil
	b := &s.talk.body
	b.chunk, b.last = size, last
	if size > 0 {
		s.talk.wire.awaitBody()
		s.idle-- // a chunk brings the mail along
	}
	pass := "BDAT " + strconv.FormatInt(size, 10)
	if last {
		pass += " LAST"
	}
	return pass, nil
}

// giveUp makes pass end a transaction whose body began with BDAT. go-smtp would leave the goroutine that reads the body to
// itself, and its late answer could become the one to the next mail; so the body is ended first, in a way that makes no mail of
// it.
func (s *session) giveUp(pass string) string {
	if s.tx != nil {
		s.server.tally.givenUp.Add(1)
	}
	if !s.chunking {
		return pass
	}
	s.tx.givenUp.Store(true)
	s.talk.body.skip = true
	return "BDAT 0 LAST\r\n" + pass
}

// startTLS says yes and ends this part of the conversation; talk.Close hands the connection on. Whatever the client sent behind
// the command came before the encryption, and perhaps from somebody else (RFC 3207, 6).
func (s *session) startTLS(c command) error {
	switch {
	case c.args != "":
		return fmt.Errorf("%w: STARTTLS has none", errParameter)
	case s.tls != "":
		return fmt.Errorf("%w: TLS is on already", errSequence)
	case s.server.cfg.TLS == nil:
		return errNoTLS
	case len(s.talk.in) > 0:
		return lastWord{errInjected}
	}
	s.talk.say(answer(220, 2, 0, 0, "ready for TLS"))
	s.talk.upgrade, s.talk.lastWord = true, true
	return nil
}

// words are our own for replies whose text go-smtp does not leave to us.
func (s *session) words(verb string, code int) (string, bool) {
	switch {
	case verb == "" && code == 220:
		return "220 " + s.server.cfg.Hostname + " ESMTP Service Ready\r\n", true
	case verb == "EHLO" && code == 250:
		return s.capabilities(), true
	case verb == "HELO" && code == 250:
		return "250 " + s.server.cfg.Hostname + "\r\n", true
	case verb == "MAIL" && code == 250:
		return "250 2.1.0 sender ok\r\n", true
	case verb == "RCPT" && code == 250:
		return "250 2.1.5 recipient ok\r\n", true
	case (verb == "MAIL" || verb == "RCPT") && code == 500:
		return "555 5.5.4 parameter not supported\r\n", true
	case verb == "AUTH" && code == 501 && s.garbled:
		return line(reply(errSASL)), true
	case verb == "AUTH" && code == 501 && s.cancelled:
		return line(reply(errCancelled)), true
	case verb == "BDAT" && code == 502:
		return line(reply(fmt.Errorf("%w: say MAIL and RCPT first", errSequence))), true
	}
	return "", false
}
