package smtp

import (
	"bytes"
	"strconv"
)

// Write takes replies of go-smtp, whole lines at a time, and keeps them until the client has
// nothing more to say: the answers to pipelined commands leave in one packet (RFC 2920, 3.2).
func (c *connection) Write(p []byte) (n int, err error) {
	defer c.contain(&err)
	for line := range bytes.Lines(p) {
		c.answered(line)
	}
	if len(c.out) > maxOut {
		c.flush()
	}
	return len(p), nil
}

// answered takes in one reply line. Of several lines only the last counts: the one reply that has
// them is that to EHLO, for which there is a reply of ours.
func (c *connection) answered(line []byte) {
	code, final := replyCode(line)
	p := &c.passed
	if !final || c.lastWord {
		return
	}
	p.owed = code == 354 // a line of the body comes next
	if p.mute {
		p.mute = false
		return
	}
	switch {
	case code/100 == 2 && p.yes != "":
		c.out = append(c.out, p.yes...)
	case code == 500: // to MAIL or RCPT
		c.out = append(c.out, "555 5.5.4 parameter not supported\r\n"...)
	default:
		c.out = append(c.out, line...)
	}
	if p.verb != "DATA" {
		c.count(code)
	}
	c.lastWord = c.lastWord || code == 421 || c.doubtful
}

// replyCode reads the code at the start of a reply line, and whether the line is the last of its
// reply.
func replyCode(line []byte) (code int, final bool) {
	if len(line) < 4 {
		return 0, true
	}
	code, _ = strconv.Atoi(string(line[:3]))
	return code, line[3] != '-'
}

// count closes the connection of a client whose commands are refused again and again.
func (c *connection) count(code int) {
	if code < 400 || c.lastWord {
		return
	}
	c.session.errors++
	c.session.server.tally.refused.Add(1)
	if c.session.errors > c.transport.limit.MaxErrors {
		c.say(reply(errErrors))
		c.lastWord = true
	}
}
