package smtp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
)

// connection is a client's connection as go-smtp sees it: always in the clear, one command line at
// a time, and only lines that the session made. Bodies never pass through go-smtp: the session
// reads them here. It belongs to the connection's goroutine.
type connection struct {
	net.Conn  // the transport, or the TLS on it
	transport *transport
	listener  *listener
	session   *session

	in    []byte // read from the client, not yet used
	room  []byte // the buffer that in lies in
	line  []byte // what go-smtp reads next
	ready []byte // the rest of it
	out   []byte // replies that wait to be sent together

	passed   passed
	doubtful bool // others may see another end of the body: the next reply is the last
	lastWord bool // the last reply was said: nothing is read or written any more
}

// passed is what go-smtp was given last.
type passed struct {
	verb string // of the client's command; empty before the first
	yes  string // the reply to the client when go-smtp agrees; empty: go-smtp's own
	owed bool   // go-smtp has not answered yet
	mute bool   // its next reply is not for the client
}

const (
	bufferSize = 8 << 10
	maxOut     = 32 << 10 // replies kept back before they are sent in any case
)

// newConnection greets the client; go-smtp's own greeting is not for it.
func newConnection(t *transport, l *listener) *connection {
	c := &connection{Conn: t, transport: t, listener: l, room: make([]byte, bufferSize), passed: passed{mute: true}}
	c.session = &session{conn: c, server: t.server, peer: t.peer, trusted: t.trusted}
	c.send("220 " + t.server.cfg.Hostname + " ESMTP Service Ready\r\n")
	return c
}

// Read gives go-smtp its next line.
func (c *connection) Read(p []byte) (n int, err error) {
	defer c.contain(&err)
	if t, secure := c.Conn.(*tls.Conn); secure && c.session.tls == "" && !c.lastWord {
		c.handshake(t)
	}
	for len(c.ready) == 0 {
		switch {
		case c.lastWord:
			return 0, io.EOF
		case c.passed.owed:
			c.fail(errDesync)
		default:
			if err := c.command(); err != nil {
				c.fail(err)
			}
		}
	}
	n = copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// contain turns a panic into the end of this connection. go-smtp contains only those inside a
// command, and logs them when the connection is closed.
func (c *connection) contain(err *error) {
	if cause := recover(); cause != nil {
		c.listener.server.log.Error("panic in a connection", "client", c.transport.client,
			"err", fmt.Sprint(cause), "stack", string(debug.Stack()))
		c.say(answer(421, 4, 0, 0, "Internal server error"))
		c.lastWord, *err = true, io.ErrUnexpectedEOF
	}
}

// command takes one command of the client, which the session answers or passes to go-smtp.
func (c *connection) command() error {
	line, err := c.peekLine(maxCommandLine)
	if err != nil {
		return err
	}
	cmd, err := parseCommand(line, c.session.trusted)
	if err == nil && c.session.chunking && cmd.endsBody() {
		return errGivenUp
	}
	c.in = c.in[len(line):]
	if err == nil {
		err = c.session.command(cmd)
	}
	if err != nil {
		a := reply(err)
		c.say(a)
		c.count(a.Code)
		c.lastWord = c.lastWord || closes(err)
	}
	return nil
}

// pass gives go-smtp a line. The client is answered yes if go-smtp agrees; where yes is empty, it
// gets go-smtp's own words.
func (c *connection) pass(verb, line, yes string) {
	c.passed = passed{verb: verb, yes: yes, owed: true}
	c.nextLine(line)
}

// nextLine is what go-smtp reads next.
func (c *connection) nextLine(line string) {
	c.line = append(append(c.line[:0], line...), "\r\n"...)
	c.ready = c.line
}

// handshake begins TLS. What the client said before it is forgotten: anybody could have said it.
func (c *connection) handshake(t *tls.Conn) {
	c.transport.awaitRest(c.transport.limit.HandshakeTimeout)
	if err := t.Handshake(); err != nil {
		c.lastWord, c.out = true, nil
		c.listener.server.log.Info("tls handshake failed", "client", c.transport.client, "err", err)
		return
	}
	state := t.ConnectionState()
	s := c.session
	s.Reset()
	*s = session{conn: c, server: s.server, peer: s.peer, trusted: s.trusted}
	s.tls = strings.ReplaceAll(tls.VersionName(state.Version), " ", "") + " " + tls.CipherSuiteName(state.CipherSuite)
	c.transport.awaitCommand()
}

// fail ends the conversation after an error, with a last word if it is one of ours.
func (c *connection) fail(err error) {
	if a, ours := knownReply(err); ours {
		c.say(a)
	} else if !c.lastWord {
		c.out = nil
	}
	c.lastWord = true
}

// failBody is fail in the middle of a body, where the end of the connection is an error, too.
func (c *connection) failBody(err error) error {
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	c.fail(err)
	return io.ErrUnexpectedEOF
}

// Close sends what is left to say and closes the connection. A second call does nothing: lastWord
// is set, and the transport is closed.
func (c *connection) Close() error {
	c.flush()
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite() // tells the client that nothing was cut off; before the handshake there is nobody to tell
	}
	if c.lastWord {
		c.transport.drain()
	}
	c.lastWord = true
	return c.transport.Close()
}

// say puts an answer of ours among the replies.
func (c *connection) say(a *gosmtp.SMTPError) { c.send(line(a)) }

// send puts a reply among those that leave together.
func (c *connection) send(text string) {
	if c.lastWord {
		return
	}
	if c.out = append(c.out, text...); len(c.out) > maxOut {
		c.flush()
	}
}

// flush sends the replies that wait.
func (c *connection) flush() {
	if len(c.out) == 0 {
		return
	}
	out := c.out
	c.out = c.out[:0]
	if _, err := c.Conn.Write(out); err != nil {
		c.lastWord = true
	}
}
