package smtp

import "bytes"

// framing is where in the conversation we are.
type framing struct {
	verb     string // the command that go-smtp has; empty before the first
	code     int    // of its latest complete answer to it; 0 while there is none
	quiet    bool   // the greeting was said before STARTTLS
	data     bool   // a DATA body comes in
	ending   ending
	doubtful bool  // other programs may see another end of this body than we do
	chunk    int64 // bytes of a BDAT chunk that are still to come
	last     bool  // it is the last one
	skip     bool  // the next reply is not for the client: see session.giveUp
}

// advanceCommand reads command lines until one is for go-smtp.
func (t *talk) advanceCommand() error {
	line, err := t.readLine(maxCommandLine)
	if err != nil {
		return err
	}
	c, err := parseCommand(line)
	if err == nil {
		var pass string
		if pass, err = t.session.command(c); err == nil && pass != "" {
			t.body.verb, t.body.code = c.verb, 0
			t.pass = append(append(t.pass[:0], pass...), "\r\n"...)
			t.ready = t.pass
		}
	}
	if err != nil {
		t.say(reply(err))
		t.count(reply(err).Code)
		t.lastWord = t.lastWord || closes(err)
	}
	return nil
}

// readLine returns a whole line with its LF. It stays valid until the next read.
func (t *talk) readLine(most int) ([]byte, error) {
	for waited := false; ; waited = true {
		if len(t.in) > 0 && t.in[0] == 0x16 && t.body.verb == "" && t.session.tls == "" {
			return nil, lastWord{errTLSHere} // a ClientHello
		}
		if end := bytes.IndexByte(t.in, '\n'); end >= 0 && end < t.longest(most) {
			line := t.in[:end+1]
			t.in = t.in[end+1:]
			if waited {
				t.wire.awaitCommand()
			}
			return line, nil
		}
		if longest := t.longest(most); len(t.in) >= longest {
			if longest == maxAuthLine {
				return nil, lastWord{errLongAuth}
			}
			return nil, lastWord{errLongLine}
		}
		if err := t.more(); err != nil {
			return nil, err
		}
		if !waited {
			t.wire.awaitRest(t.wire.limit.IdleTimeout)
		}
	}
}

// longest gives AUTH, whose response may stand on the same line, the room that it needs.
func (t *talk) longest(most int) int {
	if len(t.in) >= 5 && bytes.EqualFold(t.in[:5], []byte("AUTH ")) {
		return maxAuthLine
	}
	return most
}

// advanceData passes on what belongs to the body, and notes its end.
func (t *talk) advanceData() error {
	if len(t.in) == 0 {
		if err := t.more(); err != nil {
			return err
		}
	}
	b := &t.body
	n, stray := b.ending.scan(t.in)
	if t.wire.bytes > t.session.maxBody() {
		return errEndless
	}
	t.ready, t.in = t.in[:n], t.in[n:]
	if stray {
		b.doubtful = true
		t.pass = append(append(t.pass[:0], t.ready...), '\r')
		t.ready = t.pass
	}
	if b.ending == bodyEnded {
		b.data, b.code = false, 0
		t.wire.endBody()
		t.wire.awaitCommand()
	}
	return nil
}

// advanceChunk passes on the chunk of a BDAT.
func (t *talk) advanceChunk() error {
	if len(t.in) == 0 {
		if err := t.more(); err != nil {
			return err
		}
	}
	b := &t.body
	n := min(int64(len(t.in)), b.chunk)
	b.chunk -= n
	t.ready, t.in = t.in[:n], t.in[n:]
	if b.chunk == 0 {
		if b.last || !t.session.chunking {
			t.wire.endBody()
		}
		t.wire.awaitCommand()
	}
	return nil
}
