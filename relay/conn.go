package relay

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"net/textproto"
	"time"
)

const (
	bufferSize   = 32 << 10        // of what is written at once, and of what is read of a body
	quitPatience = 2 * time.Second // for saying goodbye
)

var errLongReply = errors.New("a reply without end")

// conn is one connection to the next hop, past greeting, TLS and AUTH. Whoever took it from the pool owns it.
type conn struct {
	cfg       *Config
	remote    string // host:port as configured
	at        netip.AddrPort
	raw       net.Conn
	transport transport
	r         *bufio.Reader
	text      *textproto.Reader // on r
	w         *bufio.Writer
	ext       extensions

	born       time.Time
	since      time.Time     // idle
	used       int           // transactions it carried
	idled      time.Duration // before the transaction at hand
	kept       bool          // it idled before the attempt at hand
	dirty      bool          // a transaction was left open: RSET before the next
	transcript transcript    // of the attempt at hand
	chunk      []byte        // to read bodies into
}

// transport puts deadlines on a connection, and a limit on what is read for one reply.
type transport struct {
	net.Conn
	patience time.Duration // for the whole of the reply that is read
	armed    bool          // its deadline is set
	left     int           // bytes that it may still have
	write    time.Duration // for each write
}

func (t *transport) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, errLongReply
	}
	if !t.armed {
		if err := t.SetReadDeadline(time.Now().Add(t.patience)); err != nil {
			return 0, err
		}
		t.armed = true
	}
	n, err := t.Conn.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

func (t *transport) Write(p []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(t.write)); err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

func newConn(cfg *Config, nc net.Conn) *conn {
	c := &conn{cfg: cfg, remote: cfg.address(), raw: nc, born: time.Now()}
	c.transport = transport{Conn: nc, write: cfg.WriteTimeout}
	c.r = bufio.NewReader(&c.transport)
	c.text = textproto.NewReader(c.r)
	c.w = bufio.NewWriterSize(&c.transport, bufferSize)
	return c
}

// guard closes the connection when ctx ends; what is under way on it then fails at once. The caller calls stop.
func (c *conn) guard(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.raw.Close() })
}

// command sends one line and reads its reply.
func (c *conn) command(stage, line string, patience time.Duration) (reply, *fault) {
	c.w.WriteString(line)
	c.w.WriteString("\r\n")
	c.transcript.send(step{stage: stage}, line)
	if err := c.w.Flush(); err != nil {
		return reply{}, &fault{stage: stage, err: err}
	}
	return c.reply(stage, patience)
}

// quit says goodbye and waits a moment for the answer, so that the next hop sees an orderly end.
func (c *conn) quit() {
	defer c.close()
	c.transport.write = quitPatience
	if _, f := c.command("quit", "QUIT", quitPatience); f == nil {
		c.transport.Close() // with TLS's own farewell, where there is TLS
	}
}

// close ends it at once. It closes the socket below TLS: a farewell there could wait for a next hop that does not read.
func (c *conn) close() { c.raw.Close() }
