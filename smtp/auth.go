package smtp

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"

	"dinkymail/account"
)

// private reports whether nobody can listen: the client speaks TLS, or is on this machine.
func (s *session) private() bool { return s.tls != "" || s.peer.IsLoopback() }

// auth does AUTH, from the command to the last answer (RFC 4954).
func (s *session) auth(c command) error {
	switch {
	case s.helo == "":
		return fmt.Errorf("%w: say EHLO first", errSequence)
	case s.user.Name != "":
		return fmt.Errorf("%w: you are logged in already", errSequence)
	case s.tx != nil:
		return fmt.Errorf("%w: AUTH comes before MAIL", errSequence)
	case c.args == "":
		return fmt.Errorf("%w: expected AUTH and a mechanism", errParameter)
	}
	name, initial, _ := strings.Cut(c.args, " ")
	var response []byte // nil: none came with the command
	if initial = strings.TrimLeft(initial, " "); initial != "" {
		var err error
		if response, err = decode(initial); err != nil {
			return err
		}
	}
	mechanism, err := s.mechanism(strings.ToUpper(name))
	if err != nil {
		return err
	}
	for {
		challenge, done, err := mechanism.Next(response)
		if err != nil {
			if _, ours := knownReply(err); !ours {
				err = errSASL
			}
			return err
		}
		if done {
			s.conn.say(answer(235, 2, 0, 0, "Authentication succeeded"))
			return nil
		}
		s.conn.send("334 " + base64.StdEncoding.EncodeToString(challenge) + "\r\n")
		line, err := s.conn.readLine(maxAuthLine)
		if err == nil {
			_, err = parseCommand(line, s.trusted)
		}
		if err != nil {
			s.conn.fail(err)
			return nil
		}
		if response, err = decode(strings.TrimRight(string(line), "\r\n")); err != nil {
			return err
		}
	}
}

// decode decodes a line of a login (RFC 4954, 4): base64, "=" for an empty one at the start, or
// "*", which ends the login.
func decode(line string) ([]byte, error) {
	switch line {
	case "=":
		return []byte{}, nil
	case "*":
		return nil, errCancelled
	}
	response, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, errSASL
	}
	return response, nil
}

// mechanism begins a login.
func (s *session) mechanism(name string) (sasl.Server, error) {
	switch {
	case !s.private():
		return nil, errAuthNeedsTLS
	case !s.server.cfg.Accounts.Any():
		return nil, errNoMechanism
	case name == sasl.Plain:
		return sasl.NewPlainServer(func(identity, name, password string) error {
			if identity != "" && identity != name {
				return account.ErrLogin // nobody may act for another
			}
			return s.login(name, password)
		}), nil
	case name == sasl.Login:
		return &loginServer{check: s.login}, nil
	default:
		return nil, errNoMechanism
	}
}

func (s *session) login(name, password string) error {
	user, err := s.server.cfg.Accounts.Login(s.conn.listener.submitting, s.peer, name, password)
	if err != nil {
		return err
	}
	s.user = user
	s.conn.transport.welcome()
	return nil
}

// loginServer is LOGIN, which has no standard: the server asks for the name, unless it came with
// AUTH, then for the password.
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
