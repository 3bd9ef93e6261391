package smtp

import (
	"bytes"
	"strconv"
)

// Write takes replies of go-smtp, one line at a time, and keeps them until the client has nothing more to say: the answers to
// pipelined commands leave in one packet (RFC 2920, 3.2). Where we know better words, they replace go-smtp's.
func (t *talk) Write(p []byte) (n int, err error) {
	defer t.contain(&err)
	for rest := p; len(rest) > 0 && !t.lastWord; {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		t.answered(rest[:end])
		rest = rest[end:]
	}
	if len(t.out) > maxOut {
		if err := t.flush(); err != nil {
			t.err, t.lastWord = err, true
		}
	}
	return len(p), nil
}

// answered looks at one reply line.
func (t *talk) answered(line []byte) {
	b := &t.body
	if b.data {
		t.fail(errDesync) // an answer in the middle of a body
		return
	}
	code, final := replyCode(line)
	if b.skip {
		b.skip = !final
		return
	}
	switch own, ours := t.session.words(b.verb, code); {
	case b.verb == "" && b.quiet:
	case !ours:
		t.out = append(t.out, line...)
	case final:
		t.out = append(t.out, own...)
	}
	if !final || b.verb == "" {
		return
	}
	b.code = code
	t.lastWord = t.lastWord || code == 421 || b.doubtful && b.verb == "DATA" && code != 354
	switch {
	case code == 250 && (b.verb == "DATA" || b.verb == "BDAT" && b.last):
		t.session.accepted()
	case b.verb != "DATA":
		t.count(code)
	}
}

// replyCode reads the code at the start of a reply line, and whether the line is the last of its reply.
func replyCode(line []byte) (code int, final bool) {
	if len(line) < 4 {
		return 0, true
	}
	code, _ = strconv.Atoi(string(line[:3]))
	return code, line[3] != '-'
}

// count closes the connection of a client whose commands are refused again and again.
func (t *talk) count(code int) {
	if code < 400 || t.lastWord {
		return
	}
	t.session.errors++
	t.session.server.tally.refused.Add(1)
	if t.session.errors > t.wire.limit.MaxErrors {
		t.say(reply(errErrors))
		t.lastWord = true
	}
}

// flush sends the replies that wait.
func (t *talk) flush() error {
	if len(t.out) == 0 {
		return nil
	}
	out := t.out
	t.out = t.out[:0]
	_, err := t.Conn.Write(out)
	return err
}
