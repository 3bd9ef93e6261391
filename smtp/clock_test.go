package smtp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a net.Listener whose connections are pipes, so that time can be synctest's.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// local is a pipe that looks as if it came from somewhere.
type local struct {
	net.Conn
	from net.Addr
}

func (l local) RemoteAddr() net.Addr { return l.from }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// piped runs a Server on pipes and gives a way to connect from an address. The caller ends it by
// calling stop.
func piped(t testing.TB, cfg Config, next Submitter) (connect func(from string) net.Conn, stop func()) {
	cfg.Hostname, cfg.Domain = "mail.example.org", "example.org"
	ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- New(next, cfg, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	connect = func(from string) net.Conn {
		client, server := net.Pipe()
		ln.conns <- local{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
		return client
	}
	return connect, func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// here trusts 10.0.0.0/8.
func here(cfg Config) Config {
	cfg.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	return cfg
}

// clocked runs test in a bubble of its own time, as a client from an address.
func clocked(t *testing.T, cfg Config, from string, test func(t *testing.T, p *peer, r *recorder)) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		connect, stop := piped(t, cfg, r)
		p := newPeer(t, connect(from))
		p.conn.SetDeadline(time.Time{})
		test(t, p, r)
		p.conn.Close()
		stop()
	})
}

// pass lets time go by in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// drip sends part after each pause, until it is stopped or the connection is gone.
func drip(p *peer, pause time.Duration, part string) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-time.After(pause):
			case <-done:
				return
			}
			if _, err := p.conn.Write([]byte(part)); err != nil {
				return
			}
		}
	}()
	return func() { close(done) }
}

// took checks a duration of the bubble's clock: not before want, and not much later.
func took(t *testing.T, since time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(since); got < want || got > want+want/4 {
		t.Errorf("took %s, want %s", got, want)
	}
}

// A silent client has IdleTimeout for its next command, and is told.
func TestSilentClient(t *testing.T) {
	clocked(t, here(Config{}), "10.0.0.1:1", func(t *testing.T, p *peer, _ *recorder) {
		start := time.Now()
		p.expect("220")
		p.expect("421 4.4.2 waited too long")
		took(t, start, 5*time.Minute)
		p.gone()
	})
}

// A client that drips a command byte by byte has no more time than a silent one.
func TestDrippingClient(t *testing.T) {
	clocked(t, here(Config{}), "10.0.0.1:1", func(t *testing.T, p *peer, _ *recorder) {
		p.expect("220")
		start := time.Now()
		defer drip(p, time.Minute, "x")()
		p.expect("421 4.4.2")
		took(t, start, 6*time.Minute)
		p.gone()
	})
}

// A client that nobody trusts has UnauthenticatedTimeout to log in, however busy it keeps itself;
// one that is trusted has not.
func TestStrangerHasLittleTime(t *testing.T) {
	clocked(t, here(Config{}), "192.0.2.1:1", func(t *testing.T, p *peer, _ *recorder) {
		start := time.Now()
		p.expect("220")
		p.say("EHLO client", "250")
		for range 5 {
			pass(30 * time.Second)
			p.say("NOOP", "250")
		}
		p.expect("421 4.7.0 waited too long for AUTH")
		took(t, start, 3*time.Minute)
		p.gone()
	})
	clocked(t, here(Config{}), "10.0.0.1:1", func(t *testing.T, p *peer, _ *recorder) {
		p.expect("220")
		for range 20 {
			pass(4 * time.Minute)
			p.say("NOOP", "250")
		}
	})
}

// A body that comes steadily may take as long as DataTimeout, far longer than any single wait.
func TestSteadyBodyPasses(t *testing.T) {
	clocked(t, here(Config{}), "10.0.0.1:1", func(t *testing.T, p *peer, r *recorder) {
		p.expect("220")
		p.mail()
		p.say("DATA", "354")
		p.send("Subject: slow\r\n\r\n")
		for range 20 {
			pass(time.Minute)
			p.send(string(make64k()))
		}
		p.send(".\r\n")
		p.expect("250 2.0.0 queued as")
		if n := len(r.all()); n != 1 {
			t.Errorf("%d mails accepted, want 1", n)
		}
	})
}

func make64k() []byte {
	b := make([]byte, 0, 64<<10)
	for len(b) < 64<<10 {
		b = append(b, "0123456789012345678901234567890123456789012345678901234567890\r\n"...)
	}
	return b
}

// A body that stops, one that drips and one that never ends are cut, each at its own limit, and
// none is a mail.
func TestSlowBodies(t *testing.T) {
	for name, test := range map[string]struct {
		pause time.Duration
		part  string
		want  time.Duration
	}{
		"stopped":  {time.Hour, "x", 3 * time.Minute},
		"dripping": {time.Second, "x", 61 * time.Second},
		"endless":  {time.Second, strings.Repeat("x", 200) + "\r\n", 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			clocked(t, here(Config{}), "10.0.0.1:1", func(t *testing.T, p *peer, r *recorder) {
				p.expect("220")
				p.mail()
				p.say("DATA", "354")
				start := time.Now()
				defer drip(p, test.pause, test.part)()
				p.expect("421 4.4.2 the mail came in too slowly")
				took(t, start, test.want)
				p.gone()
				if n := len(r.all()); n != 0 {
					t.Errorf("%d mails accepted, want none", n)
				}
			})
		})
	}
}

// A client that takes no replies is left after WriteTimeout.
func TestClientThatDoesNotRead(t *testing.T) {
	clocked(t, here(Config{}), "10.0.0.1:1", func(t *testing.T, p *peer, _ *recorder) {
		pass(2 * time.Minute)
		p.gone()
	})
}

// A client that only chatters is sent away, and mail makes up for chatter.
func TestChatter(t *testing.T) {
	clocked(t, here(Config{MaxIdleCommands: 20}), "10.0.0.1:1", func(t *testing.T, p *peer, _ *recorder) {
		p.expect("220")
		for range 3 {
			for range 10 {
				p.say("NOOP", "250")
			}
			p.mail()
			for i := range 30 {
				p.say("RCPT TO:<bob"+string(rune('a'+i%26))+"@example.net>", "250")
			}
			p.say("DATA", "354")
			p.send(sample + ".\r\n")
			p.expect("250")
		}
		for range 20 {
			p.say("RSET", "250")
		}
		p.say("RSET", "421 4.7.0 too many commands without a mail")
		p.gone()
	})
}
