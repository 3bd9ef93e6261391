package smtp

import (
	"bytes"
	"io"
)

// readLine takes a whole line with its LF. It stays valid until the next read.
func (c *connection) readLine(most int) ([]byte, error) {
	line, err := c.peekLine(most)
	c.in = c.in[len(line):]
	return line, err
}

// peekLine returns a whole line with its LF, which stays the next one.
func (c *connection) peekLine(most int) ([]byte, error) {
	for waited := false; ; waited = true {
		if len(c.in) > 0 && c.in[0] == 0x16 && c.passed.verb == "" && c.session.tls == "" {
			return nil, errTLSHere // a ClientHello
		}
		longest := most
		if len(c.in) >= 5 && bytes.EqualFold(c.in[:5], []byte("AUTH ")) { // its response may stand on the same line
			longest = maxAuthLine
		}
		end := bytes.IndexByte(c.in, '\n')
		switch {
		case end >= 0 && end < longest:
			if waited {
				c.transport.awaitCommand()
			}
			return c.in[:end+1], nil
		case len(c.in) >= longest && longest == maxAuthLine:
			return nil, errLongAuth
		case len(c.in) >= longest:
			return nil, errLongLine
		}
		if err := c.more(); err != nil {
			return nil, err
		}
		if !waited {
			c.transport.awaitRest(c.transport.limit.IdleTimeout)
		}
	}
}

// more reads from the client, after sending it what it waits for.
func (c *connection) more() error {
	c.flush()
	if c.lastWord {
		return io.EOF
	}
	if len(c.in) == 0 {
		c.in = c.room[:0]
	}
	if len(c.in) == cap(c.in) {
		grown := c.room
		if len(c.in) > len(c.room)/2 {
			grown = make([]byte, 2*len(c.room))
		}
		c.in = grown[:copy(grown, c.in)]
		c.room = grown
	}
	n, err := c.Conn.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 {
		return nil
	}
	return err
}
