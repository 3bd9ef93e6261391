package smtp

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/emersion/go-sasl"
)

func (s *session) hello(c command) error {
	name, _, _ := strings.Cut(c.args, " ")
	if name == "" && s.trusted && s.peer.IsValid() {
		name = literal(s.peer)
	}
	if name == "" {
		return fmt.Errorf("%w: expected %s and your host name", errParameter, c.verb)
	}
	s.helo, s.extended = hostName(name), c.verb == "EHLO"
	s.countGivenUp()
	yes := "250 " + s.server.cfg.Hostname + "\r\n"
	if s.extended {
		yes = s.capabilities()
	}
	s.conn.pass(c.verb, c.verb+" client", yes)
	return nil
}

// literal is the address literal of a client that does not say its name (RFC 5321, 4.1.3).
func literal(a netip.Addr) string {
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

// hostName makes what a client calls itself fit to be shown: it is neither true nor well-formed.
func hostName(name string) string {
	const most = 255
	if len(name) > most {
		name = name[:most]
	}
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(".-_:[]", r) {
			return r
		}
		return '?'
	}, name)
}

// capabilities is the answer to EHLO.
func (s *session) capabilities() string {
	lines := []string{s.server.cfg.Hostname, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN"}
	if s.tls == "" && s.server.cfg.TLS != nil {
		lines = append(lines, "STARTTLS")
	}
	if s.server.cfg.Accounts.Any() && s.private() {
		lines = append(lines, "AUTH "+sasl.Plain+" "+sasl.Login)
	}
	return fmt.Sprintf("250-%s\r\n250 SIZE %d\r\n", strings.Join(lines, "\r\n250-"), s.server.cfg.MaxMessageBytes)
}
