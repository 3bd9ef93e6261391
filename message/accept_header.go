package message

import (
	"bytes"
	"io"
	"slices"
)

// scanner walks over the lines of a header as they come in and writes out the fields that stay.
type scanner struct {
	h     *header
	in    *Incoming
	next  int // start of the line that is looked at
	field int // start of the field that it may continue; -1 before the first
	seen  int // up to here there is no line end after next
	mbox  int // length of the separator lines before the first field; 0 without one
	blank int // where lines of nothing but white space begin that end the field so far; 0 without one

	received              int
	date, messageID, from bool
}

// readHeader reads up to the end of the header and makes in.out and in.rest.
func (in *Incoming) readHeader() error {
	h := headers.Get().(*header)
	s := scanner{h: h, in: in, field: -1}
	h.out = in.trace.appendReceived(h.out)
	for {
		end, done, err := s.lines()
		if err == nil && !done {
			if in.eof {
				end, err = s.atEOF()
				done = true
			} else if len(h.in)-s.mbox > MaxHeader {
				end, done, err = s.oversized()
			}
		}
		if err == nil && done {
			err = s.complete(end)
		}
		if err != nil {
			h.release()
			return err
		}
		if done {
			return nil
		}
		if err := in.fill(h); err != nil {
			h.release()
			return err
		}
	}
}

// fill reads some more into the header's buffer.
func (in *Incoming) fill(h *header) error {
	if len(h.in) == cap(h.in) {
		h.in = slices.Grow(h.in, cap(h.in))
	}
	for range 100 {
		n, err := in.src.Read(h.in[len(h.in):cap(h.in)])
		h.in = h.in[:len(h.in)+n]
		switch {
		case err == io.EOF:
			in.eof = true
			return nil
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return io.ErrNoProgress
}

// lines looks at the whole lines that have come. When the header is over it returns where the body
// begins.
func (s *scanner) lines() (body int, done bool, err error) {
	for {
		from := max(s.next, s.seen)
		i := bytes.IndexByte(s.h.in[from:], '\n')
		if i < 0 {
			s.seen = len(s.h.in)
			return 0, false, nil
		}
		end := from + i + 1
		if body, done, err = s.line(s.h.in[s.next:end], end); done || err != nil {
			return body, done, err
		}
		s.next = end
	}
}

// line looks at one line, which ends in LF.
func (s *scanner) line(line []byte, end int) (body int, done bool, err error) {
	kind := lineKind(line)
	switch {
	case s.field < 0 && kind == notField && s.next == s.mbox && isSeparator(line):
		s.mbox = end
		return 0, false, nil
	case s.field < 0 && (kind == notField || kind == continuation), s.field < 0 && kind == emptyLine && s.mbox > 0:
		return 0, true, nil // No header: what is there is the body, separators too, and its line ends are checked there.
	case kind == notField:
		return s.breakOff(), true, nil
	}
	if err := s.in.checkHeaderLine(line); err != nil {
		return 0, false, err
	}
	if end-s.mbox > MaxHeader {
		return 0, false, s.in.malformed(largeHeader)
	}
	switch kind {
	case emptyLine:
		s.endField(s.next)
		s.in.line++
		return end, true, nil
	case fieldStart:
		if s.field < 0 {
			if err := s.dropSeparators(); err != nil {
				return 0, false, err
			}
		}
		s.endField(s.next)
		s.field, s.blank = s.next, 0
	case continuation:
		switch {
		case len(bytes.TrimSpace(line)) > 0:
			s.blank = 0
		case s.blank == 0:
			s.blank = s.next
		}
	}
	s.in.line++
	return 0, false, nil
}

const largeHeader = "the header is larger than 1 MiB"

// breakOff ends the header before a line that is no field: the body begins there, as with Postfix.
// Lines of white space in front of it were meant for the empty one, and go.
func (s *scanner) breakOff() (body int) {
	end := s.next
	if s.blank > 0 {
		end = s.blank
	}
	s.endField(end)
	return s.next
}

// oversized settles a header that has grown too large before its line is over. What can be no field
// is of the body.
func (s *scanner) oversized() (body int, done bool, err error) {
	switch kind := lineKind(s.h.in[s.next:]); {
	case s.field < 0 && (kind == notField || kind == continuation):
		return 0, true, nil
	case kind == notField && s.next-s.mbox <= MaxHeader:
		return s.breakOff(), true, nil
	default:
		return 0, false, s.in.malformed(largeHeader)
	}
}

// isSeparator recognises the line between mails of an mbox file, also one that was quoted again on
// its way.
func isSeparator(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}

// dropSeparators checks the lines before the first field like those that stay.
func (s *scanner) dropSeparators() error {
	for line := range bytes.Lines(s.h.in[:s.mbox]) {
		if err := s.in.checkHeaderLine(line); err != nil {
			return err
		}
		s.in.line++
	}
	return nil
}

// checkHeaderLine refuses a line with NUL, or CR and LF anywhere but at its end.
func (in *Incoming) checkHeaderLine(line []byte) error {
	n := len(line)
	switch {
	case bytes.IndexByte(line, 0) >= 0:
		return in.malformed(aNUL)
	case n < 2 || line[n-2] != '\r':
		return in.malformed(bareLF)
	case bytes.IndexByte(line[:n-2], '\r') >= 0:
		return in.malformed(bareCR)
	}
	return nil
}

type kindOfLine int

const (
	notField kindOfLine = iota
	fieldStart
	continuation
	emptyLine
)

func lineKind(line []byte) kindOfLine {
	switch line[0] {
	case '\r':
		if len(line) <= 2 {
			return emptyLine
		}
	case '\n':
		return emptyLine
	case ' ', '\t':
		return continuation
	}
	if fieldName(line) != nil {
		return fieldStart
	}
	return notField
}

// fieldName is what stands before the colon, or nil when line is no field. White space between them
// is obsolete, but known (RFC 5322, 4.5.3).
func fieldName(line []byte) []byte {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return nil
	}
	name := bytes.TrimRight(line[:colon], " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return nil
		}
	}
	if len(name) == 0 {
		return nil
	}
	return name
}

// atEOF settles a mail that is over before its header is.
func (s *scanner) atEOF() (body int, err error) {
	tail := s.h.in[s.next:]
	if len(tail) > 0 {
		switch kind := lineKind(append(tail, '\n')); {
		case kind == notField && s.field < 0, kind == continuation && s.field < 0:
			return 0, nil
		case kind == notField:
			return s.breakOff(), nil
		case kind == emptyLine:
			return 0, s.in.malformed(bareCR)
		}
		s.h.in = append(s.h.in, crlfBytes...)
		if _, done, err := s.line(s.h.in[s.next:], len(s.h.in)); err != nil || done {
			return 0, err
		}
		s.next = len(s.h.in)
	}
	if s.field < 0 {
		return 0, nil // nothing at all, or a separator line alone
	}
	s.endField(len(s.h.in))
	return len(s.h.in), nil
}
