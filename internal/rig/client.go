package rig

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// replyLimit is how long one exchange with a server may take.
const replyLimit = 60 * time.Second

// Client is a plain SMTP client: one command, one reply, no cleverness, so that what is measured is
// the server. Use it from one goroutine.
type Client struct {
	Extensions map[string]string // keyword, upper case → arguments, as the last EHLO said
	conn       net.Conn
	in         *bufio.Reader
	out        *bufio.Writer
}

// ReplyError is a reply that was not the hoped for one.
type ReplyError struct {
	Code int
	Text string // the whole reply, lines joined by a newline
}

func (e *ReplyError) Error() string { return "server said " + e.Text }

// Dial connects, speaking TLS from the first byte if config is not nil, and says EHLO.
func Dial(addr string, config *tls.Config) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, replyLimit)
	if err != nil {
		return nil, err
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	c := &Client{}
	c.use(conn)
	if _, err := c.expect(2); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if err := c.hello(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) use(conn net.Conn) {
	c.conn, c.in, c.out = conn, bufio.NewReader(conn), bufio.NewWriterSize(conn, 16<<10)
	_ = conn.SetDeadline(time.Now().Add(replyLimit))
}

func (c *Client) hello() error {
	text, err := c.Command(2, "EHLO rig.example")
	if err != nil {
		return err
	}
	c.Extensions = map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > 4 {
			keyword, args, _ := strings.Cut(line[4:], " ")
			c.Extensions[strings.ToUpper(keyword)] = args
		}
	}
	return nil
}

// Command sends a line and reads the reply, which must begin with the digit class; another one is a
// *ReplyError.
func (c *Client) Command(class int, line string) (string, error) {
	_, _ = c.out.WriteString(line)
	_, _ = c.out.WriteString("\r\n")
	if err := c.out.Flush(); err != nil {
		return "", err
	}
	return c.expect(class)
}

// expect reads one reply.
func (c *Client) expect(class int) (string, error) {
	var text string
	for {
		raw, err := c.in.ReadSlice('\n')
		if err != nil {
			return text, err
		}
		line := bytes.TrimRight(raw, "\r\n")
		if len(line) < 3 {
			return text, fmt.Errorf("server said %q", line)
		}
		if text != "" {
			text += "\n"
		}
		text += string(line)
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if int(line[0]-'0') != class {
			code, _ := strconv.Atoi(string(line[:3]))
			return text, &ReplyError{code, text}
		}
		return text, nil
	}
}

// StartTLS begins TLS and says EHLO again.
func (c *Client) StartTLS(config *tls.Config) error {
	if _, err := c.Command(2, "STARTTLS"); err != nil {
		return err
	}
	c.use(tls.Client(c.conn, config))
	return c.hello()
}

// AuthPlain logs in with AUTH PLAIN and an initial response.
func (c *Client) AuthPlain(user, password string) error {
	_, err := c.Command(2, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
	return err
}

// Transfer says how Send hands over a body.
type Transfer struct {
	Params string // of MAIL, such as " BODY=8BITMIME"
	Chunk  int    // BDAT with chunks of so many bytes; 0: DATA
}

// Send submits one message and returns the final reply, such as "250 2.0.0 queued as …". With DATA
// a body that does not end in CRLF gets one; BDAT sends it as it is. One refused recipient fails
// the whole.
func (c *Client) Send(from string, to []string, body []byte, how Transfer) (string, error) {
	_ = c.conn.SetDeadline(time.Now().Add(replyLimit))
	if _, err := c.Command(2, "MAIL FROM:<"+from+">"+how.Params); err != nil {
		return "", err
	}
	for _, r := range to {
		if _, err := c.Command(2, "RCPT TO:<"+r+">"); err != nil {
			return "", err
		}
	}
	if how.Chunk > 0 {
		return c.bdat(body, how.Chunk)
	}
	if _, err := c.Command(3, "DATA"); err != nil {
		return "", err
	}
	c.stuff(body)
	if err := c.out.Flush(); err != nil {
		return "", err
	}
	return c.expect(2)
}

// stuff writes body with dots doubled at line starts, and the end of data.
func (c *Client) stuff(body []byte) {
	if len(body) > 0 && body[0] == '.' {
		_ = c.out.WriteByte('.')
	}
	for {
		i := bytes.Index(body, []byte("\n."))
		if i < 0 {
			break
		}
		_, _ = c.out.Write(body[:i+2])
		_ = c.out.WriteByte('.')
		body = body[i+2:]
	}
	_, _ = c.out.Write(body)
	if !bytes.HasSuffix(body, []byte("\r\n")) {
		_, _ = c.out.WriteString("\r\n")
	}
	_, _ = c.out.WriteString(".\r\n")
}

func (c *Client) bdat(body []byte, chunk int) (string, error) {
	for len(body) > chunk {
		if err := c.chunk(body[:chunk], ""); err != nil {
			return "", err
		}
		if _, err := c.expect(2); err != nil {
			return "", err
		}
		body = body[chunk:]
	}
	if err := c.chunk(body, " LAST"); err != nil {
		return "", err
	}
	return c.expect(2)
}

func (c *Client) chunk(part []byte, last string) error {
	fmt.Fprintf(c.out, "BDAT %d%s\r\n", len(part), last)
	_, _ = c.out.Write(part)
	return c.out.Flush()
}

// Quit says QUIT, waits for the answer, and closes.
func (c *Client) Quit() error {
	_, err := c.Command(2, "QUIT")
	_ = c.conn.Close()
	return err
}

// Close closes the connection without a word.
func (c *Client) Close() error { return c.conn.Close() }
