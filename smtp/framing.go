package smtp

import (
	"bytes"
	"errors"
	"io"
)

// framing is where in the conversation we are.
type framing struct {
	verb     string // the command that go-smtp has; empty before the first
	code     int    // of its latest complete answer to it; 0 while there is none
	quiet    bool   // the greeting was said before STARTTLS
	data     bool   // a DATA body comes in
	ending   ending
	doubtful bool   // other programs may see another end of this body than we do
	stray    int    // bytes since the CR that makes it so
	loneDot  bool   // a line with a dot alone was taken for text: it stood beside a bare LF
	tail     []byte // of what has come, where a lone dot may begin
	chunk    int64  // bytes of a BDAT chunk that are still to come
	last     bool   // it is the last one
	skip     bool   // the next reply is not for the client: see session.giveUp
}

// advanceCommand reads command lines until one is for go-smtp.
func (t *talk) advanceCommand() error {
	line, err := t.readLine(maxCommandLine)
	if err != nil {
		return err
	}
	c, err := parseCommand(line, t.session.mayAsk)
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
	b := &t.body
	if len(t.in) == 0 || b.ending == lineDot && string(t.in) == "\r" {
		if err := t.more(); err != nil {
			return err
		}
	}
	n, odd := b.ending.scan(t.in)
	if t.wire.bytes > t.session.maxBody() {
		return errEndless
	}
	if b.ending == lineDotCR { // the CR stays until it is known what it belongs to
		b.ending = lineDot
		n--
	}
	t.ready, t.in = t.in[:n], t.in[n:]
	b.stray += n
	if b.ending != bodyEnded {
		b.seek(t.ready)
		t.ready = t.amend(odd)
		return nil
	}
	// A CR CR LF in the middle of what a trusted program sends leaves no doubt about the end.
	b.doubtful = b.doubtful && (!t.session.mayAsk || b.stray == len("\r\n.\r\n"))
	b.data, b.code = false, 0
	t.wire.endBody()
	t.wire.awaitCommand()
	return nil
}

// amend adds to what is ready what go-smtp, or a program behind us, would misread without.
func (t *talk) amend(odd oddity) []byte {
	if odd == nothingOdd {
		return t.ready
	}
	t.pass = append(t.pass[:0], t.ready...)
	switch odd {
	case loneDot:
		t.pass = append(t.pass, '.')
		return t.pass
	case strayDotCR:
		t.pass = append(t.pass[:len(t.pass)-1], ".\r"...)
	}
	t.body.doubtful, t.body.stray = true, 0
	return append(t.pass, '\r')
}

// seek looks for a dot alone on a line that did not end the body, since the line ends beside it are
// odd. Between two calls it keeps what one may begin with.
func (b *framing) seek(more []byte) {
	const longest = len("\n.\r\r\n") - 1
	if b.loneDot {
		return
	}
	seam := append(b.tail, more[:min(len(more), longest)]...)
	b.loneDot = hasLoneDot(seam) || hasLoneDot(more)
	if len(more) > longest {
		seam = more[len(more)-longest:]
	}
	b.tail = append(b.tail[:0], seam[max(0, len(seam)-longest):]...)
}

func hasLoneDot(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("\n."))
		if i < 0 {
			return false
		}
		text = text[i+2:]
		for crs := range 3 {
			if len(text) > crs && text[crs] == '\n' {
				return true
			}
			if len(text) <= crs || text[crs] != '\r' {
				break
			}
		}
	}
}

// cut is what the end of the input, or of our patience, means in the middle of a body.
func (b *framing) cut(err error) error {
	switch {
	case !errors.Is(err, io.EOF) && !errors.Is(err, errTooSlow):
		return err
	case b.data && b.loneDot:
		return errLoneDot
	case errors.Is(err, io.EOF):
		return errCut
	default:
		return err
	}
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
