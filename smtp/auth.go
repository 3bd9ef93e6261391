package smtp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/account"
)

// AuthMechanisms are offered where there are accounts and nobody can listen: over TLS, and to programs on this machine.
func (s *session) AuthMechanisms() []string {
	if !s.server.cfg.Accounts.Any() || !s.private() {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

func (s *session) private() bool { return s.tls != "" || s.peer.IsLoopback() }

func (s *session) auth(c command) (string, error) {
	switch {
	case s.helo == "":
		return "", fmt.Errorf("%w: say EHLO first", errSequence)
	case s.user.Name != "":
		return "", fmt.Errorf("%w: you are logged in already", errSequence)
	case s.tx != nil:
		return "", fmt.Errorf("%w: AUTH comes before MAIL", errSequence)
	case c.args == "":
		return "", fmt.Errorf("%w: expected AUTH and a mechanism", errParameter)
	}
	s.garbled, s.cancelled = false, false
	mechanism, response, _ := strings.Cut(c.args, " ")
	switch response = strings.TrimLeft(response, " "); {
	case response == "*":
		return "", errCancelled
	case !isSASLResponse(response):
		return "", errSASL
	}
	return strings.TrimRight("AUTH "+mechanism+" "+response, " "), nil
}

// isSASLResponse reports whether go-smtp can decode a line of a login (RFC 4954, 4): base64, "="
// for an empty one at the start, or "*", which ends the login.
func isSASLResponse(line string) bool {
	if line == "=" || line == "*" {
		return true
	}
	_, err := base64.StdEncoding.DecodeString(line)
	return err == nil
}

// Auth begins a login.
func (s *session) Auth(name string) (sasl.Server, error) {
	switch {
	case !s.private():
		return nil, reply(errAuthNeedsTLS)
	case !s.server.cfg.Accounts.Any():
		return nil, reply(errNoMechanism)
	case name == sasl.Plain:
		return mechanism{sasl.NewPlainServer(func(identity, name, password string) error {
			if identity != "" && identity != name {
				return reply(account.ErrLogin) // nobody may act for another
			}
			return s.login(name, password)
		})}, nil
	case name == sasl.Login:
		return mechanism{&loginServer{check: s.login}}, nil
	default:
		return nil, reply(errNoMechanism)
	}
}

func (s *session) login(name, password string) error {
	user, err := s.server.cfg.Accounts.Login(s.talk.visit.ctx, s.peer, name, password)
	if err != nil {
		return reply(err)
	}
	s.user = user
	s.talk.wire.welcome()
	return nil
}

// response is the line of a login that go-smtp gets for the client's. What cannot be decoded
// becomes the end of the login.
func (s *session) response(line []byte) []byte {
	text := strings.TrimRight(string(line), "\r\n")
	s.garbled, s.cancelled = !isSASLResponse(text), text == "*"
	if s.garbled {
		text = "*"
	}
	return []byte(text + "\r\n")
}

// mechanism answers malformed responses with the code that RFC 4954, 4 asks for.
type mechanism struct{ sasl.Server }

func (m mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = m.Server.Next(response)
	var known *gosmtp.SMTPError
	if err != nil && !errors.As(err, &known) {
		err = reply(errSASL)
	}
	return challenge, done, err
}

// loginServer is LOGIN, which has no standard: the server asks for the name, unless it came with AUTH, then for the password.
type loginServer struct {
	check func(name, password string) error
	named bool
	name  string
	done  bool
}

// Next takes one response.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case l.done:
		return nil, false, sasl.ErrUnexpectedClientResponse
	case response == nil:
		return []byte("Username:"), false, nil
	case !l.named:
		l.named, l.name = true, string(response)
		return []byte("Password:"), false, nil
	default:
		l.done = true
		return nil, true, l.check(l.name, string(response))
	}
}
