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
	cfg    *Config
	remote string // host:port as configured
	at     netip.AddrPort
	raw    net.Conn
	wire   wire
	r      *bufio.Reader
	text   *textproto.Reader // on r
	w      *bufio.Writer
	ext    extensions

	born  time.Time
	since time.Time     // idle
	used  int           // transactions it carried
	idled time.Duration // before the transaction at hand
	kept  bool          // it idled before the attempt at hand
	dirty bool          // a transaction was left open: RSET before the next
	said  dialogue      // of the attempt at hand
	chunk []byte        // to read bodies into
}

// wire puts deadlines on a connection, and a limit on what is read for one reply.
type wire struct {
	net.Conn
	patience time.Duration // for the whole of the reply that is read
	armed    bool          // its deadline is set
	left     int           // bytes that it may still have
	write    time.Duration // for each write
}

func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errLongReply
	}
	if !w.armed {
		if err := w.SetReadDeadline(time.Now().Add(w.patience)); err != nil {
			return 0, err
		}
		w.armed = true
	}
	n, err := w.Conn.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.write)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}

func newConn(cfg *Config, nc net.Conn) *conn {
	c := &conn{cfg: cfg, remote: cfg.address(), raw: nc, born: time.Now()}
	c.wire = wire{Conn: nc, write: cfg.WriteTimeout}
	c.r = bufio.NewReader(&c.wire)
	c.text = textproto.NewReader(c.r)
	c.w = bufio.NewWriterSize(&c.wire, bufferSize)
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
	c.said.send(step{stage: stage}, line)
	if err := c.w.Flush(); err != nil {
		return reply{}, &fault{stage: stage, err: err}
	}
	return c.reply(stage, patience)
}

// quit says goodbye and waits a moment for the answer, so that the next hop sees an orderly end.
func (c *conn) quit() {
	defer c.close()
	c.wire.write = quitPatience
	if _, f := c.command("quit", "QUIT", quitPatience); f == nil {
		c.wire.Close() // with TLS's own farewell, where there is TLS
	}
}

// close ends it at once. It closes the socket below TLS: a farewell there could wait for a next hop that does not read.
func (c *conn) close() { c.raw.Close() }
