package sendmail

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"dinkymail/cli/world"
)

// changes counts the bytes that could not stay.
type changes struct{ nul, cr int }

// String says what was done, or nothing.
func (c changes) String() string {
	var what []string
	if c.nul > 0 {
		what = append(what, fmt.Sprintf("%d NUL", c.nul))
	}
	if c.cr > 0 {
		what = append(what, fmt.Sprintf("%d lone CR", c.cr))
	}
	if len(what) == 0 {
		return ""
	}
	return strings.Join(what, " and ") + " replaced by spaces"
}

// normalise copies a mail as programs write it and makes it one that may travel: every line ends in
// CRLF, and NUL and CR are nowhere else. With dot, a line with nothing but a dot ends it; what
// comes after is not read.
func normalise(in io.Reader, to io.Writer, dot bool) (changes, error) {
	n := normaliser{in: bufio.NewReaderSize(in, 64<<10), out: bufio.NewWriterSize(to, 64<<10)}
	if err := n.run(dot); err != nil {
		return n.changes, err // out has the same one, if it was writing that failed
	}
	return n.changes, n.out.Flush()
}

type normaliser struct {
	changes
	in     *bufio.Reader
	out    *bufio.Writer
	crs    int  // not written yet: they may end the line
	column int  // of the line, CRs not counted
	dot    bool // the line is a dot so far, and nothing is written of it
}

func (n *normaliser) run(dot bool) error {
	for {
		c, err := n.in.ReadByte()
		if errors.Is(err, io.EOF) {
			return n.eof()
		}
		if err != nil {
			return world.Failf(world.ExitInput, "read standard input: %w", err)
		}
		switch {
		case c == '\n' && n.dot && n.column == 1:
			return nil
		case c == '\n':
			err = n.line()
		case c == '\r':
			n.crs++
		case c == '.' && dot && n.column == 0 && n.crs == 0:
			n.dot = true
			n.column++
		default:
			err = n.byte(c)
		}
		if err != nil {
			return err
		}
	}
}

// byte writes what is no line end, after what was held back before it. An error of out stays.
func (n *normaliser) byte(c byte) error {
	if n.dot {
		n.dot = false
		_ = n.out.WriteByte('.')
	}
	for ; n.crs > 0; n.crs-- {
		n.cr++
		_ = n.out.WriteByte(' ')
	}
	if c == 0 {
		n.nul++
		c = ' '
	}
	n.column++
	return n.out.WriteByte(c)
}

// line ends a line. Several CRs before the LF are the work of a program that ended an ended line.
func (n *normaliser) line() error {
	n.crs, n.column = 0, 0
	_, err := n.out.WriteString("\r\n")
	return err
}

// eof ends a last line that has no end.
func (n *normaliser) eof() error {
	if !n.dot && (n.column > 0 || n.crs > 0) {
		return n.line()
	}
	return nil
}
