package smtp

import "io"

// chunks reads a body that comes with BDAT (RFC 3030). At the end of a chunk it takes the client's
// next commands, until one of them brings another chunk or gives the body up.
type chunks struct {
	conn *connection
	left int64 // bytes of this chunk that are still to come; below 0: the next one is not announced
	last bool  // no other comes
	err  error // what every Read behind the present chunk returns
}

// begin is told of every BDAT.
func (b *chunks) begin(size int64, last bool) {
	b.left, b.last = size, last
	if size > 0 {
		b.conn.transport.awaitBody()
	}
}

// Read gives the next part of the body, and io.EOF at the end of its last chunk only.
func (b *chunks) Read(p []byte) (int, error) {
	for b.left <= 0 {
		switch {
		case b.err != nil:
			return 0, b.err
		case b.last:
			b.err = io.EOF
		default:
			b.err = b.next()
		}
	}
	return b.read(p)
}

// next waits for another chunk.
func (b *chunks) next() error {
	c := b.conn
	c.say(answer(250, 2, 0, 0, "Continue"))
	for b.left = -1; b.left < 0; {
		err := c.command()
		if err != nil && err != errGivenUp {
			c.fail(err)
		}
		switch {
		case c.lastWord:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return nil
}

func (b *chunks) read(p []byte) (int, error) {
	c := b.conn
	if len(c.in) == 0 {
		if err := c.more(); err != nil {
			return 0, c.failBody(err)
		}
	}
	n := copy(p, c.in[:min(int64(len(c.in)), b.left)])
	c.in = c.in[n:]
	if b.left -= int64(n); b.left == 0 {
		if b.last {
			c.transport.endBody()
		}
		c.transport.awaitCommand()
	}
	return n, nil
}

// skip passes over the rest of this chunk.
func (b *chunks) skip() {
	b.last = true
	_, _ = io.Copy(io.Discard, b)
}
