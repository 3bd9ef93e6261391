package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dinkymail/message"
	"dinkymail/queue"
)

// The longest command lines, with CR LF: RFC 5321, 4.5.3.1.4 with room for the parameters of all
// extensions, and RFC 4954, 4 for AUTH and what follows it.
const (
	maxCommandLine = 4096
	maxAuthLine    = 12288 + 2
)

// blanks may stand around what a command says.
const blanks = " \t"

// A lastWord is an error after whose answer the connection is closed.
type lastWord struct{ error }

func (e lastWord) Unwrap() error { return e.error }

// closes reports whether the connection ends with the answer to err.
func closes(err error) bool {
	var last lastWord
	return errors.As(err, &last) || reply(err).Code == 421
}

// command is one line from the client, cut up.
type command struct {
	verb string // in upper case
	args string
}

// parseCommand cuts a line that ends with LF. It refuses bare line ends, and control characters
// other than the tab: who tolerates them reads other commands than the next program does. With
// loose, the line may end in any number of CRs and an LF, and tabs part words.
func parseCommand(line []byte, loose bool) (command, error) {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	parting := " "
	if loose {
		text, ok, parting = bytes.TrimLeft(bytes.TrimRight(line, "\r\n"), blanks), true, blanks
	}
	if !ok || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return command{}, lastWord{errBareLine}
	}
	verb, args := string(text), ""
	if i := strings.IndexAny(verb, parting); i >= 0 {
		verb, args = verb[:i], verb[i+1:]
	}
	return command{verb: strings.ToUpper(verb), args: strings.Trim(args, blanks)}, nil
}

// endsBody reports whether a body that comes with BDAT is given up by a command.
func (c command) endsBody() bool {
	switch c.verb {
	case "RSET", "EHLO", "HELO", "QUIT", "STARTTLS":
		return true
	}
	return false
}

// isHTTP recognises a web browser that was led here by a page: its request must not be taken for a
// few bad commands followed by good ones.
func (c command) isHTTP() bool {
	switch c.verb {
	case "GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PRI", "HOST:":
		return true
	}
	return strings.Contains(c.args, "HTTP/")
}

// path cuts the arguments of MAIL and RCPT into what stands between the angle brackets, without a
// source route (RFC 5321, 4.1.1.3), and the parameters. Brackets may be missing and spaces may
// stand behind the colon: old programs write so. With loose, the colon may be missing or have a
// space before it, and a name may stand before the brackets.
func (c command) path(keyword string, loose bool) (path, params string, err error) {
	bad := func() error { return fmt.Errorf("%w: expected %s %s<address>", errParameter, c.verb, keyword) }
	rest, ok := cutFold(c.args, keyword)
	if !ok && loose {
		rest, ok = cutFold(c.args, strings.TrimSuffix(keyword, ":"))
		ok = ok && rest != "" && strings.IndexByte(blanks+"<", rest[0]) >= 0
		rest = strings.TrimPrefix(strings.TrimLeft(rest, blanks), ":")
	}
	if !ok {
		return "", "", bad()
	}
	rest = strings.TrimLeft(rest, blanks)
	if name, bracketed, ok := strings.Cut(rest, "<"); ok && loose && strings.TrimRight(name, blanks) != name && !strings.Contains(name, "@") {
		rest = "<" + bracketed
	}
	if !strings.HasPrefix(rest, "<") {
		path, params, _ = strings.Cut(rest, " ")
		if path == "" {
			return "", "", bad()
		}
		return path, params, nil
	}
	end := closingBracket(rest)
	if end < 0 || end+1 < len(rest) && strings.IndexByte(blanks, rest[end+1]) < 0 {
		return "", "", bad()
	}
	path, params = strings.Trim(rest[1:end], blanks), strings.ReplaceAll(rest[end+1:], "\t", " ")
	if strings.HasPrefix(path, "@") {
		route, mailbox, ok := strings.Cut(path, ":")
		if !ok || strings.ContainsAny(route, `"\<> `) {
			return "", "", fmt.Errorf("%w: malformed source route", errParameter)
		}
		path = mailbox
	}
	return path, params, nil
}

// cutFold cuts a prefix off s, in any case.
func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// closingBracket finds the ">" that ends the path at the start of s, which is not one in a quoted
// local part.
func closingBracket(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// parsePath parses a forward-path. The one without a domain, postmaster, is somebody at ours
// (RFC 5321, 4.5.1).
func parsePath(path, domain string) (message.Address, error) {
	a, err := message.ParseAddress(path)
	if err == nil && a.Domain == "" {
		a.Domain = domain
		if domain == "" {
			return message.Address{}, &message.AddressError{Input: path, Reason: "this server has no domain of its own"}
		}
	}
	return a, err
}

// checkSize refuses a message that says itself that it is too large (RFC 1870, 6.1). go-smtp would
// call sizes of 4 GiB and more malformed.
func checkSize(params string, most int64) error {
	for _, p := range strings.Fields(params) {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(name, "SIZE") || strings.Trim(value, "0123456789") != "" || value == "" {
			continue
		}
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n > most {
			return queue.ErrTooLarge
		}
	}
	return nil
}

// chunk is the size of the chunk that follows a BDAT (RFC 3030, 2). After a malformed one nobody
// knows where commands begin again.
func (c command) chunk() (size int64, last bool, err error) {
	bad := lastWord{fmt.Errorf("%w: expected BDAT size [LAST]", errParameter)}
	number, word, two := strings.Cut(c.args, " ")
	word = strings.TrimLeft(word, " ")
	if two && !strings.EqualFold(word, "LAST") {
		return 0, false, bad
	}
	n, e := strconv.ParseUint(number, 10, 32)
	if e != nil {
		return 0, false, bad
	}
	return int64(n), two, nil
}
