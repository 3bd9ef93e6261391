package smtp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// talk is the connection as go-smtp sees it: always in the clear, one command line at a time, and only lines that the session
// let through. It knows at every byte whether it belongs to a command or to a body, independently of go-smtp, and closes the
// connection as soon as the two disagree. It belongs to the connection's goroutine.
type talk struct {
	net.Conn // the wire, or the TLS on it
	wire     *wire
	visit    *visit
	session  *session

	in       []byte // read from the client, not yet used
	room     []byte // the buffer that in lies in
	ready    []byte // what go-smtp may have next
	pass     []byte // the line that go-smtp gets instead of the client's
	out      []byte // replies that wait to be sent together
	body     framing
	begun    bool // the TLS handshake, if there is one, is over
	upgrade  bool // the client asked for STARTTLS
	lastWord bool // our last reply was said: nothing is read or written any more
	closed   bool
	err      error // what every further Read returns
}

const (
	bufferSize = 8 << 10
	maxOut     = 32 << 10 // replies kept back before they are sent in any case
)

func newTalk(c net.Conn, w *wire, v *visit) *talk {
	t := &talk{Conn: c, wire: w, visit: v, room: make([]byte, bufferSize)}
	t.session = newSession(t)
	return t
}

// Read gives go-smtp the rest of what it is in the middle of: a command line, or a part of a body.
func (t *talk) Read(p []byte) (n int, err error) {
	defer t.contain(&err)
	for len(t.ready) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		if err := t.advance(); err != nil {
			t.fail(err)
		}
	}
	n = copy(p, t.ready)
	t.ready = t.ready[n:]
	return n, nil
}

// contain turns a panic into the end of this connection: go-smtp only contains those inside a command.
func (t *talk) contain(err *error) {
	if cause := recover(); cause != nil {
		t.visit.server.log.Error("panic in a connection", "client", t.wire.client,
			"err", fmt.Sprint(cause), "stack", string(debug.Stack()))
		t.err, t.lastWord = io.ErrUnexpectedEOF, true
		*err = t.err
	}
}

// advance fills ready.
func (t *talk) advance() error {
	if !t.begun {
		return t.begin()
	}
	switch b := &t.body; {
	case t.lastWord:
		return io.EOF
	case b.data:
		return t.advanceData()
	case b.chunk > 0:
		return t.advanceChunk()
	case b.code == 0 && b.verb != "":
		return errDesync
	case b.code == 354 && b.verb == "DATA":
		b.data, b.ending, b.doubtful, b.loneDot, b.tail = true, lineStart, false, false, append(b.tail[:0], '\n')
		t.wire.awaitBody()
		return nil
	case b.code == 334:
		line, err := t.readLine(maxAuthLine)
		if err != nil {
			return err
		}
		if _, err := parseCommand(line, t.session.mayAsk); err != nil {
			return err
		}
		b.code, t.ready = 0, t.session.response(line)
		return nil
	default:
		return t.advanceCommand()
	}
}

// begin shakes hands where TLS comes first.
func (t *talk) begin() error {
	t.begun = true
	if c, ok := t.Conn.(*tls.Conn); ok {
		t.wire.awaitRest(t.wire.limit.HandshakeTimeout)
		if err := c.Handshake(); err != nil {
			t.lastWord, t.out = true, nil
			t.visit.server.log.Info("tls handshake failed", "client", t.wire.client, "err", err)
			return io.EOF
		}
		state := c.ConnectionState()
		t.session.tls = strings.ReplaceAll(tls.VersionName(state.Version), " ", "") + " " + tls.CipherSuiteName(state.CipherSuite)
	}
	t.wire.awaitCommand()
	return nil
}

// more reads from the client, after sending it what it waits for.
func (t *talk) more() error {
	if err := t.flush(); err != nil {
		return err
	}
	if len(t.in) == 0 {
		t.in = t.room[:0]
	}
	if len(t.in) == cap(t.in) {
		grown := t.room
		if len(t.in) > len(t.room)/2 {
			grown = make([]byte, 2*len(t.room))
		}
		t.in = grown[:copy(grown, t.in)]
		t.room = grown
	}
	n, err := t.Conn.Read(t.in[len(t.in):cap(t.in)])
	t.in = t.in[:len(t.in)+n]
	if n > 0 {
		return nil
	}
	return err
}

// fail ends the conversation after an error: with a last word if it is ours, and without a further byte for go-smtp. Inside a
// body, go-smtp must not take the end of the connection for the end of the mail.
func (t *talk) fail(err error) {
	inBody := t.body.data || t.body.chunk > 0
	if inBody {
		err = t.body.cut(err)
	}
	var ours lastWord
	switch {
	case errors.Is(err, errLoneDot):
		t.say(t.session.refuse("data", err))
		t.lastWord = true
		_ = t.flush()
	case errors.As(err, &ours), ourLastWord(err):
		t.say(reply(err))
		t.lastWord = true
		_ = t.flush()
	case !t.lastWord:
		t.out, t.lastWord = nil, true
	}
	t.err = io.EOF
	if inBody {
		t.err = io.ErrUnexpectedEOF
	}
}

// ourLastWord reports whether err is one of those that end a conversation and that the client is told.
func ourLastWord(err error) bool {
	for _, e := range []error{errShutdown, errIdle, errStranger, errTooSlow, errCut, errDesync, errEndless} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Close sends what is left to say and closes the connection, or hands it on to be greeted by TLS.
func (t *talk) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	_ = t.flush()
	t.err = io.EOF
	if t.upgrade {
		return t.visit.startTLS(t.wire)
	}
	if c, ok := t.Conn.(*tls.Conn); ok {
		_ = c.CloseWrite() // tells the client that nothing was cut off; before the handshake there is nobody to tell
	}
	if t.lastWord {
		t.wire.drain()
	}
	return t.wire.Close()
}

var _ net.Conn = (*talk)(nil)

// The deadlines are the wire's business alone: go-smtp has none to set.
func (t *talk) SetDeadline(time.Time) error      { return nil }
func (t *talk) SetReadDeadline(time.Time) error  { return nil }
func (t *talk) SetWriteDeadline(time.Time) error { return nil }

// say puts an answer of ours among the replies.
func (t *talk) say(a *gosmtp.SMTPError) {
	if !t.lastWord {
		t.out = append(t.out, line(a)...)
	}
}
