package smtp

import (
	"bytes"
	"io"
)

// loose reads a body as printers and scripts write it, and gives every line CR LF for its end: an
// LF that has no CR before it gets one, and of several CRs before it one stays. It stands behind
// whatever finds the end of the mail, so that no line of its making ends one. A CR that ends no
// line stays a fault, as does NUL.
type loose struct {
	r    io.Reader
	last byte   // of what was read
	room []byte // for what became longer or shorter
	left []byte // of it, not passed on yet
	err  error  // of r, once left is passed on
}

// Read gives what r has; nearly always that needs no change.
func (l *loose) Read(p []byte) (int, error) {
	for len(p) > 0 && len(l.left) == 0 && l.err == nil {
		n, err := l.r.Read(p)
		if n > 0 && l.clean(p[:n]) {
			l.last = p[n-1]
			return n, err
		}
		l.normalise(p[:n])
		l.err = err
	}
	n := copy(p, l.left)
	if l.left = l.left[n:]; len(l.left) == 0 {
		return n, l.err
	}
	return n, nil
}

// clean reports whether all line ends in b are CR LF already.
func (l *loose) clean(b []byte) bool {
	ends := bytes.Count(b, []byte("\r\n"))
	if l.last == '\r' && b[0] == '\n' {
		ends++
	}
	return ends == bytes.Count(b, []byte("\n")) && !bytes.Contains(b, []byte("\r\r")) && (l.last != '\r' || b[0] != '\r')
}

func (l *loose) normalise(b []byte) {
	l.room = l.room[:0]
	for _, c := range b {
		switch {
		case c == '\r' && l.last == '\r':
			continue
		case c == '\n' && l.last != '\r':
			l.room = append(l.room, '\r')
		}
		l.room = append(l.room, c)
		l.last = c
	}
	l.left = l.room
}
