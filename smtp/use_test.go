package smtp

import (
	"net/netip"
	"strings"
	"testing"
)

// New settings are those of connections that come in from then on; who is connected goes on as
// before.
func TestUse(t *testing.T) {
	h := open(t, Config{MaxRecipients: 1})
	before := dial(t, h.addr)
	before.greet("250 SIZE 26214400")
	cfg := Config{Hostname: "mail.example.org", MaxMessageBytes: 1 << 10, MaxRecipients: 2, MaxConnectionsPerClient: 2,
		Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	h.server.Use(cfg)
	after := dial(t, h.addr)
	after.greet("250 SIZE 1024")
	after.say("MAIL FROM:<ada@example.org> SIZE=1025", "552")
	after.say("MAIL FROM:<ada@example.org>", "250")
	after.say("RCPT TO:<a@example.net>", "250")
	after.say("RCPT TO:<b@example.net>", "250")
	before.say("MAIL FROM:<ada@example.org> SIZE=1025", "250")
	before.say("RCPT TO:<a@example.net>", "250")
	before.say("RCPT TO:<b@example.net>", "452")
	newPeer(t, dialTCP(t, h.addr)).expect("421 4.7.0 too many connections")

	cfg.Trusted, cfg.MaxConnectionsPerClient = nil, 10
	h.server.Use(cfg)
	stranger := dial(t, h.addr)
	stranger.greet("250 SIZE 1024")
	stranger.say("MAIL FROM:<ada@example.org>", "530")
	after.say("RSET", "250")
	after.say("MAIL FROM:<ada@example.org>", "250")
}

// greet says EHLO and expects the last line of the answer.
func (p *peer) greet(last string) {
	p.t.Helper()
	if reply := p.say("EHLO client", "250"); !strings.HasSuffix(reply, last) {
		p.t.Fatalf("got reply %q, want %q at its end", reply, last)
	}
}
