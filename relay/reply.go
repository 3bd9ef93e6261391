package relay

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxReply = 64 << 10 // bytes of a reply, all its lines
	maxLines = 200      // of a reply
	maxText  = 500      // bytes of Result.Text
)

// reply is what the next hop answered.
type reply struct {
	code   int    // 200 to 599
	status string // the enhanced status code, such as "5.1.1"; may be empty (RFC 3463)
	text   string // without codes; lines separated by "\n"
}

func (r reply) positive() bool { return r.code/100 == 2 }

var errNoReply = errors.New("no SMTP reply")

// reply reads one reply of any number of lines (RFC 5321, 4.2.1). The fault it may return is no reply: silence, a broken
// connection, or something that is not SMTP.
func (c *conn) reply(stage string, patience time.Duration) (reply, *fault) {
	c.transport.patience, c.transport.armed, c.transport.left = patience, false, maxReply
	var r reply
	for lines := 0; ; lines++ {
		line, err := c.text.ReadLine()
		if lines == maxLines {
			err = errLongReply
		}
		if err != nil {
			return reply{}, &fault{stage: stage, err: err, patience: patience}
		}
		code, more, text, ok := parseLine(line)
		if !ok || lines > 0 && code != r.code {
			return reply{}, &fault{stage: stage, err: fmt.Errorf("%w: %q", errNoReply, clean(line, 60))}
		}
		status, text := cutStatus(text)
		if lines == 0 {
			r = reply{code, status, text}
		} else {
			r.text += "\n" + text
		}
		if !more {
			c.transcript.hear(stage, r)
			return r, nil
		}
	}
}

// parseLine takes one line of a reply apart. Codes outside 200 to 599 are none (RFC 5321, 4.2).
func parseLine(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, false, "", false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', line[4:], true
}

// cutStatus takes the enhanced status code off the front of a reply's text (RFC 2034).
func cutStatus(text string) (status, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	if len(word) < 5 || len(word) > 9 || word[1] != '.' || word[0] != '2' && word[0] != '4' && word[0] != '5' {
		return "", text
	}
	subject, detail, ok := strings.Cut(word[2:], ".")
	if !ok || !digits(subject) || !digits(detail) {
		return "", text
	}
	return word, rest
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 3
}
