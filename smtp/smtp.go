// Package smtp takes mail in over SMTP submission (RFC 6409, RFC 5321): from programs on this
// machine and on trusted networks as they are, from everybody else after AUTH. What it takes goes
// to a Submitter, which is the queue.
//
// # What it promises
//
// "250 2.0.0 queued as ID" is said only after the Submitter returned that ID. A zero Config refuses
// everybody, so that forgetting a setting never makes an open relay: who is neither trusted nor
// logged in gets 530 at MAIL, before any recipient. Trusted peers may end lines with a bare LF or
// CR CR LF, and write commands as old programs do; nobody else may. A body ends with CR LF "." CR
// LF for all; what others might take for its end is text. No byte of a body is ever read as a
// command: once reading a body went wrong, the connection is closed. Every line that comes in is
// looked at here before go-smtp sees it, with and without TLS, so that go-smtp never parses the
// address of a client, and no body. Passwords are taken over TLS or from loopback only.
//
// # Who runs where
//
// Serve and ServeTLS block and may run several times on one Server. Each has a go-smtp server of
// its own, to which a listener gives those connections that are let in; when it returns, nothing of
// them is left. Below a connection lies its transport (deadlines, limits), perhaps with TLS on it.
// go-smtp takes the connection for its client: it gets the lines that a session made of the
// client's, and calls the session's Mail, Rcpt and Data. All of that runs in the connection's one
// goroutine.
//
// # Limits
//
// All limits are fields of Config and have a default. A connection beyond them is answered 421 in
// one sentence and closed.
package smtp

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"dinkymail/account"
	"dinkymail/internal/gate"
	"dinkymail/message"
	"dinkymail/queue"
)

// Submitter is where accepted mail goes: the queue. A nil error means that the mail is on the disk.
type Submitter interface {
	Submit(ctx context.Context, s queue.Submission) (queue.ID, error)
}

// Config is what an operator decides. The zero value refuses everybody; a zero limit means its
// default.
type Config struct {
	Hostname string // in the greeting, in EHLO and in Received
	Domain   string // completes "RCPT TO:<postmaster>"

	// Knows reports whether somebody gets mail to a name without a domain, such as "RCPT TO:<root>"
	// from Trusted. The Submitter is given such names as they are. Nil: they are refused like those
	// of everybody else.
	Knows func(message.Address) bool

	// Accounts are who may log in; nil: nobody.
	Accounts *account.Accounts
	// Trusted are the networks that may send without AUTH, and in whose words and line ends we are
	// less strict. What counts is the peer address of the TCP connection, never one that somebody
	// names.
	Trusted []netip.Prefix
	// TLS is for STARTTLS and ServeTLS; nil: neither is offered. Versions before TLS 1.2 are never
	// spoken.
	TLS *tls.Config

	MaxMessageBytes int64 // of one message as it comes in; default 25 MiB
	MaxRecipients   int   // of one message; default 1000

	MaxConnections          int // of all Serve calls together, a tenth of them for Trusted alone; default 1000
	MaxConnectionsPerClient int // an IPv4 address or an IPv6 /64; default 200
	MaxErrors               int // commands refused since the last accepted message, then 421; default 20
	MaxIdleCommands         int // commands since then that bring no mail along, then 421; default 200

	IdleTimeout            time.Duration // for the next whole command; default 5 min (RFC 5321, 4.5.3.2.7)
	WriteTimeout           time.Duration // for a reply to be taken; default 1 min
	HandshakeTimeout       time.Duration // for TLS; default 30 s
	UnauthenticatedTimeout time.Duration // from connecting to AUTH, for those who are not trusted; default 3 min
	StallTimeout           time.Duration // between two bytes of a body; default 3 min
	DataTimeout            time.Duration // for a whole body; default 30 min
	MinRate                int64         // bytes per second of a body after its first minute; default 128

	// Grace is how long transactions in flight may go on after the end of Serve's context; default
	// 30 s.
	Grace time.Duration
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	orElse(&c.MaxMessageBytes, 25<<20)
	orElse(&c.MaxRecipients, 1000)
	orElse(&c.MaxConnections, 1000)
	orElse(&c.MaxConnectionsPerClient, 200)
	orElse(&c.MaxErrors, 20)
	orElse(&c.MaxIdleCommands, 200)
	orElse(&c.IdleTimeout, 5*time.Minute)
	orElse(&c.WriteTimeout, time.Minute)
	orElse(&c.HandshakeTimeout, 30*time.Second)
	orElse(&c.UnauthenticatedTimeout, 3*time.Minute)
	orElse(&c.StallTimeout, 3*time.Minute)
	orElse(&c.DataTimeout, 30*time.Minute)
	orElse(&c.MinRate, 128)
	orElse(&c.Grace, 30*time.Second)
	if c.Accounts == nil {
		c.Accounts = account.New(account.Config{}, slog.New(slog.DiscardHandler))
	}
	c.Hostname = cmp.Or(c.Hostname, "localhost")
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	}
	return c
}

func orElse[T int | int64 | time.Duration](value *T, or T) {
	if *value <= 0 {
		*value = or
	}
}

// Server is the SMTP door. All Serve calls on it share its limits.
type Server struct {
	next   Submitter
	cfg    Config
	log    *slog.Logger
	doors  *gate.Gate
	tally  *tally
	latest *atomic.Pointer[Server] // with the settings of now, for connections that come in
	// refusals keeps a flood of connections from becoming a flood of log lines.
	refusals *rate.Sometimes
}

// New makes a Server; it opens and starts nothing.
func New(next Submitter, cfg Config, log *slog.Logger) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		next:   next,
		cfg:    cfg,
		log:    log,
		doors:  gate.New(cfg.MaxConnections, cfg.MaxConnectionsPerClient),
		tally:  new(tally),
		latest: new(atomic.Pointer[Server]),

		refusals: &rate.Sometimes{Interval: time.Minute},
	}
	s.latest.Store(s)
	return s
}

// Use replaces the settings. Connections that are open go on with those they began with.
func (s *Server) Use(cfg Config) {
	fresh := *s
	fresh.cfg = cfg.withDefaults()
	s.doors.Allow(fresh.cfg.MaxConnections, fresh.cfg.MaxConnectionsPerClient)
	s.latest.Store(&fresh)
}

// trusts reports whether a peer may send without AUTH.
func (s *Server) trusts(peer netip.Addr) bool { return gate.Contains(s.cfg.Trusted, peer) }
