package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dinkymail/message"
	"dinkymail/queue"
)

// The longest command lines, with CR LF: RFC 5321, 4.5.3.1.4 with room for the parameters of all extensions, and RFC 4954, 4
// for AUTH and what follows it.
const (
	maxCommandLine = 4096
	maxAuthLine    = 12288 + 2
)

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

// parseCommand cuts a line that ends with LF. It refuses bare line ends and control characters: who tolerates them reads other
// commands than the next program does.
func parseCommand(line []byte) (command, error) {
	n := len(line) - 2
	if n < 0 || line[n] != '\r' {
		return command{}, lastWord{errBareLine}
	}
	for _, c := range line[:n] {
		if c < ' ' || c == 0x7f {
			return command{}, lastWord{errBareLine}
		}
	}
	verb, args, _ := strings.Cut(string(line[:n]), " ")
	return command{verb: strings.ToUpper(verb), args: strings.Trim(args, " ")}, nil
}

// isHTTP recognises a web browser that was led here by a page: its request must not be taken for a few bad commands followed
// by good ones.
func (c command) isHTTP() bool {
	switch c.verb {
	case "GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PRI", "HOST:":
		return true
	}
	return strings.Contains(c.args, "HTTP/")
}

// path cuts the arguments of MAIL and RCPT into what stands between the angle brackets, without a source route (RFC 5321,
// 4.1.1.3), and the parameters. Brackets may be missing and spaces may stand behind the colon: old programs write so.
func (c command) path(keyword string) (path, params string, err error) {
	if len(c.args) < len(keyword) || !strings.EqualFold(c.args[:len(keyword)], keyword) {
		return "", "", fmt.Errorf("%w: expected %s %s<address>", errParameter, c.verb, keyword)
	}
	rest := strings.TrimLeft(c.args[len(keyword):], " ")
	if !strings.HasPrefix(rest, "<") {
		path, params, _ = strings.Cut(rest, " ")
		if path == "" {
			return "", "", fmt.Errorf("%w: expected %s %s<address>", errParameter, c.verb, keyword)
		}
		return path, params, nil
	}
	end := closingBracket(rest)
	if end < 0 || end+1 < len(rest) && rest[end+1] != ' ' {
		return "", "", fmt.Errorf("%w: expected %s %s<address>", errParameter, c.verb, keyword)
	}
	path, params = strings.Trim(rest[1:end], " "), rest[end+1:]
	if strings.HasPrefix(path, "@") {
		route, mailbox, ok := strings.Cut(path, ":")
		if !ok || strings.ContainsAny(route, `"\<> `) {
			return "", "", fmt.Errorf("%w: malformed source route", errParameter)
		}
		path = mailbox
	}
	return path, params, nil
}

// closingBracket finds the ">" that ends the path at the start of s, which is not one in a quoted local part.
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

// parsePath parses a forward-path. The one without a domain, postmaster, is somebody at ours (RFC 5321, 4.5.1).
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

// checkSize refuses a message that says itself that it is too large (RFC 1870, 6.1). go-smtp would call sizes of 4 GiB and
// more malformed.
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

// chunk is the size of the chunk that follows a BDAT (RFC 3030, 2). After a malformed one nobody knows where commands begin
// again.
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
