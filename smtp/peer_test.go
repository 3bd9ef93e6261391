package smtp

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// peer is a client that says what a test wants, well-formed or not.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects and takes the greeting.
func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, c)
	p.expect("220 mail.example.org")
	return p
}

// dialFrom connects from an address of the loopback network and takes the greeting.
func dialFrom(t testing.TB, addr, from string) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, c)
	p.expect("220 mail.example.org")
	return p
}

// dialTLS connects with TLS from the first byte and takes the greeting.
func dialTLS(t testing.TB, addr string, cfg *tls.Config) *peer {
	t.Helper()
	c, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, c)
	p.expect("220 mail.example.org")
	return p
}

func newPeer(t testing.TB, c net.Conn) *peer {
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &peer{t: t, conn: c, r: bufio.NewReader(c)}
}

// send writes bytes as they are.
func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Fatalf("send %.60q: %v", s, err)
	}
}

// reply reads a whole reply, its lines joined by "\n".
func (p *peer) reply() string {
	p.t.Helper()
	var lines []string
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("after %q: %v", lines, err)
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// expect reads a reply that must begin with want.
func (p *peer) expect(want string) string {
	p.t.Helper()
	got := p.reply()
	if !strings.HasPrefix(got, want) {
		p.t.Fatalf("got reply %q, want %q", got, want)
	}
	return got
}

// say sends a line and expects the reply to begin with want.
func (p *peer) say(line, want string) string {
	p.t.Helper()
	p.send(line + "\r\n")
	return p.expect(want)
}

// gone expects the server to have closed the connection without another word.
func (p *peer) gone() {
	p.t.Helper()
	rest, err := io.ReadAll(p.r)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		p.t.Fatal("the connection is still open")
	}
	if len(rest) > 0 {
		p.t.Fatalf("got %q, want the end of the connection", rest)
	}
}

// startTLS goes on under TLS.
func (p *peer) startTLS(cfg *tls.Config) {
	p.t.Helper()
	p.say("STARTTLS", "220 2.0.0")
	c := tls.Client(p.conn, cfg)
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.conn, p.r = c, bufio.NewReader(c)
}

// finish says that nothing more will come.
func (p *peer) finish() *peer {
	p.t.Helper()
	if err := p.conn.(*net.TCPConn).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// mail brings the conversation to where a body comes next.
func (p *peer) mail() {
	p.t.Helper()
	p.say("EHLO client.example.net", "250")
	p.say("MAIL FROM:<ada@example.org>", "250")
	p.say("RCPT TO:<bob@example.net>", "250")
}

const sample = "From: ada@example.org\r\nSubject: hello\r\n\r\nHello Bob\r\n"

func dialTCP(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
