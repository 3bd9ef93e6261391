package message

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// MaxHeader is how many bytes the header of a submitted mail may have.
const MaxHeader = 1 << 20

// maxReceived is how many Received fields a mail may carry before we call it a loop (RFC 5321,
// 6.3).
const maxReceived = 50

var (
	// ErrMalformed is what every *MalformedError is: the mail breaks rules that no server should
	// help it around.
	ErrMalformed = errors.New("message is malformed")
	// ErrLoop: the mail has passed so many servers that it must be going in circles.
	ErrLoop = errors.New("message has more than 50 Received fields: it is going in circles")
)

// MalformedError says which line of a submitted mail, counted from 1, breaks which rule; line 0:
// the mail as a whole.
type MalformedError struct {
	Line   int
	Reason string
}

// Error names the line and the rule.
func (e *MalformedError) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// Is makes every MalformedError an ErrMalformed.
func (e *MalformedError) Is(target error) bool { return target == ErrMalformed }

// Incoming is a submitted mail on its way in: reading it gives the mail as it will be kept and
// sent. It is made by Accept and belongs to one goroutine.
type Incoming struct {
	src   io.Reader
	trace Trace
	facts Facts
	err   error // what Read will return from now on

	head *header // until all of it has been read out
	out  []byte  // the rest of the header to be read out
	rest []byte  // what was read of the body along with the header

	line    int  // of the source, the one that column is in
	column  int  // bytes of it seen
	cr      bool // the last byte was CR
	hasBody bool
	eof     bool // the source is at its end
}

// Accept takes in the mail that r gives, with CRLF at its line ends, as RFC 6409 wants of a
// submission server: a Received field is put before it; Return-Path, Bcc and Resent-Bcc fields are
// taken out; Date, Message-ID and From, which is t.Author, are added at the end of the header when
// they are missing, and a From of nobody counts as missing; t.From may replace the From field. A
// body whose last line does not end gets a CRLF. Everything else stays as it is, byte for byte. The
// Message-ID is "<" t.ID "@" t.Domain ">".
//
// A mail that does not begin with a header field has no header: ours is put before it with an empty
// line between. mbox separators ("From ada@example.org Sun Nov 22 …", with or without ">" before
// them) in front of the first field are dropped. A line among header fields that is none begins the
// body, and gets the empty line before it that was missing.
//
// Reading fails with a *MalformedError at a CR without LF, an LF without CR, a NUL, and a header
// beyond MaxHeader; with ErrLoop after 50 Received fields; with r's own error, as it is. What was
// read before an error must be thrown away. Memory does not depend on the size of the body.
func Accept(r io.Reader, t Trace) *Incoming {
	if t.Time.IsZero() {
		t.Time = time.Now()
	}
	return &Incoming{src: r, trace: t, line: 1}
}

// Facts is what was seen of the mail as it was read out. It is complete once Read has returned
// io.EOF.
func (in *Incoming) Facts() Facts { return in.facts }

// Read implements io.Reader.
func (in *Incoming) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if in.facts.HeaderSize == 0 {
		if in.err = in.readHeader(); in.err != nil {
			return 0, in.err
		}
	}
	if n := in.readBuffered(p); n > 0 {
		return n, in.err
	}
	return in.readBody(p)
}

// readBuffered gives what the header's buffers still hold.
func (in *Incoming) readBuffered(p []byte) int {
	n := copy(p, in.out)
	in.out = in.out[n:]
	if m := copy(p[n:], in.rest); m > 0 {
		if err := in.scan(in.rest[:m]); err != nil {
			in.err = err
			return 0
		}
		in.rest = in.rest[m:]
		n += m
	}
	if in.head != nil && len(in.out)+len(in.rest) == 0 {
		in.head.release()
		in.head, in.out, in.rest = nil, nil, nil
	}
	return n
}

func (in *Incoming) readBody(p []byte) (int, error) {
	for range 100 {
		if in.err != nil || in.eof {
			return in.finish(p)
		}
		n, err := in.src.Read(p)
		if scanned := in.scan(p[:n]); scanned != nil {
			in.err = scanned
			return 0, in.err
		}
		if err == io.EOF {
			in.eof = true
		} else if err != nil {
			in.err = err
			return 0, err
		}
		if n > 0 {
			return n, nil
		}
	}
	in.err = io.ErrNoProgress
	return 0, in.err
}

// finish gives the CRLF that is missing at the end of the body, if it is, and ends the mail.
func (in *Incoming) finish(p []byte) (int, error) {
	if in.err == nil {
		switch {
		case in.cr:
			in.err = in.malformed(bareCR)
		case in.hasBody && in.column > 0:
			in.out = crlfBytes
			in.endLine(in.column)
			return in.readBuffered(p), nil
		default:
			in.err = io.EOF
		}
	}
	return 0, in.err
}

var crlfBytes = []byte("\r\n")

const (
	bareCR = "a CR stands without LF"
	bareLF = "an LF stands without CR"
	aNUL   = "there is a NUL byte"
)

func (in *Incoming) malformed(reason string) error {
	return &MalformedError{Line: in.line, Reason: reason}
}

func (in *Incoming) endLine(length int) {
	in.facts.LongestLine = max(in.facts.LongestLine, length)
	in.line++
	in.column = 0
}

// scan checks the next bytes of the body.
func (in *Incoming) scan(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	in.hasBody = true
	if bytes.IndexByte(b, 0) >= 0 {
		return in.locate(b)
	}
	if !in.facts.EightBit {
		in.facts.EightBit = hasHighBit(b)
	}
	crs := bytes.Count(b, crlfBytes[:1])
	if in.cr {
		crs++ // it is the one before this chunk's first LF
	}
	line, last := in.line, b[len(b)-1]
	for at := 0; at < len(b); {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			in.column += len(b) - at
			break
		}
		if i > 0 && b[at+i-1] != '\r' || i == 0 && (at > 0 || !in.cr) {
			in.line = line
			return in.locate(b)
		}
		crs--
		in.endLine(in.column + i - 1)
		at += i + 1
	}
	if last == '\r' {
		crs--
	}
	if crs != 0 {
		in.line = line
		return in.locate(b)
	}
	in.cr = last == '\r'
	return nil
}

// locate walks again through a chunk that breaks a rule, to say where.
func (in *Incoming) locate(b []byte) error {
	cr := in.cr
	for _, c := range b {
		switch {
		case cr && c != '\n':
			return in.malformed(bareCR)
		case c == '\n' && !cr:
			return in.malformed(bareLF)
		case c == 0:
			return in.malformed(aNUL)
		case c == '\n':
			in.line++
		}
		cr = c == '\r'
	}
	return in.malformed(bareCR)
}

// hasHighBit reports whether a byte above 127 is in b.
func hasHighBit(b []byte) bool {
	const high = 0x8080808080808080
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&high != 0 {
			return true
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// header holds the buffers that a mail's header passes through. They go round, since one is needed
// for every mail.
type header struct {
	in  []byte // as it came, and maybe some of the body
	out []byte // as it will be
}

var headers = sync.Pool{New: func() any {
	return &header{in: make([]byte, 0, 8<<10), out: make([]byte, 0, 4<<10)}
}}

func (h *header) release() {
	const kept = 64 << 10 // a rare giant should not stay
	if cap(h.in) <= kept && cap(h.out) <= kept {
		h.in, h.out = h.in[:0], h.out[:0]
		headers.Put(h)
	}
}
