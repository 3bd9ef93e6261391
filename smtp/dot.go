package smtp

import (
	"bytes"
	"errors"
	"io"
)

// dotReader reads the body of DATA as it was before it was made fit for SMTP: without the first dot
// of a line that begins with one (RFC 5321, 4.5.2), up to its end, which is CR LF "." CR LF and
// nothing else (RFC 5321, 4.1.1.4). A dot alone on a line of another make is text.
type dotReader struct {
	conn    *connection
	before  [3]byte // what came last, as it came
	odd     bool    // a CR stands where others may see the end of a line
	loneDot bool    // a line with a dot alone was taken for text
	ended   bool
}

func newDotReader(c *connection) *dotReader {
	return &dotReader{conn: c, before: [3]byte{'\n', '\r', '\n'}}
}

// Read gives the next part of the body, and io.EOF at its end only.
func (d *dotReader) Read(p []byte) (int, error) {
	c := d.conn
	for len(p) > 0 && !d.ended {
		if len(c.in) == 0 {
			if err := d.more(); err != nil {
				return 0, err
			}
		}
		if d.before[2] == '\n' && c.in[0] == '.' {
			text, err := d.dot()
			if err != nil {
				return 0, err
			}
			if !text {
				continue
			}
		}
		n := min(len(c.in), len(p))
		if end := bytes.Index(c.in[:n], []byte("\n.")); end >= 0 {
			n = end + 1
		}
		copy(p, c.in[:n])
		d.pass(n)
		return n, nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	return 0, io.EOF
}

// dot looks at a dot at the start of a line: it is text, or it is passed over, with the end of the
// body behind it if that is what it begins.
func (d *dotReader) dot() (text bool, err error) {
	c := d.conn
	rest := c.in
	for ; string(rest) == ".\r\r"[:min(len(rest), len(".\r\r"))]; rest = c.in {
		if err := d.more(); err != nil {
			return false, err
		}
	}
	lone := bytes.HasPrefix(bytes.TrimPrefix(bytes.TrimPrefix(rest[1:], []byte("\r")), []byte("\r")), []byte("\n"))
	if d.before[1] != '\r' { // the line before ends with a bare LF: nobody has put a dot here
		d.loneDot = d.loneDot || lone
		return true, nil
	}
	switch {
	case bytes.HasPrefix(rest, []byte(".\r\n")):
		c.in = rest[len(".\r\n"):]
		d.end()
		return false, nil
	case rest[1] == '\r':
		d.odd = true
		fallthrough
	case rest[1] == '\n':
		d.loneDot = d.loneDot || lone
		return true, nil
	default:
		d.pass(1)
		return false, nil
	}
}

// pass takes n bytes from what has come.
func (d *dotReader) pass(n int) {
	taken := d.conn.in[:n]
	d.conn.in = d.conn.in[n:]
	d.odd = d.odd || d.before[2] == '\r' && taken[0] == '\r' || bytes.Contains(taken, []byte("\r\r"))
	for _, b := range taken[max(0, n-len(d.before)):] {
		d.before = [3]byte{d.before[1], d.before[2], b}
	}
}

// end notes that the whole body was there. A CR CR LF in the middle of what a trusted program sends
// leaves no doubt about the end.
func (d *dotReader) end() {
	c := d.conn
	d.ended = true
	c.doubtful = d.odd && (!c.session.trusted || d.before == [3]byte{'\r', '\r', '\n'})
	c.transport.endBody()
	c.transport.awaitCommand()
}

// more reads on. An error is the end of the connection, too.
func (d *dotReader) more() error {
	c := d.conn
	err := c.more()
	switch {
	case err == nil && c.transport.bytes > c.session.maxBody():
		err = errEndless
	case err == nil:
		return nil
	case d.loneDot && (errors.Is(err, io.EOF) || errors.Is(err, errTooSlow)):
		err = c.session.refuse("data", errLoneDot)
	}
	return c.failBody(err)
}
