package smtp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/account"
	"dinkymail/internal/gate"
	"dinkymail/message"
	"dinkymail/queue"
)

// What this package itself refuses. The words are what the client reads; reply adds the codes.
var (
	errShutdown        = errors.New("going down for a restart, try again in a moment")
	errIdle            = errors.New("waited too long for a command")
	errUnauthenticated = errors.New("waited too long for AUTH")
	errTooSlow         = errors.New("the mail came in too slowly")
	errCut             = errors.New("the connection broke inside the mail")
	errLoneDot         = errors.New("no end of the mail came: it is a line with a dot between CR LF and CR LF; one beside a bare LF is text")
	errDesync          = errors.New("lost track of this connection")
	errEndless         = errors.New("the mail does not end")
	errErrors          = errors.New("too many errors")
	errChatter         = errors.New("too many commands without a mail")
	errLongLine        = errors.New("command line too long")
	errBareLine        = errors.New("command lines end with CR LF and hold no other control characters")
	errHTTP            = errors.New("this is no HTTP server")
	errTLSHere         = errors.New("TLS begins with STARTTLS on this port")
	errUnknown         = errors.New("command not recognised")
	errSequence        = errors.New("bad sequence of commands")
	errParameter       = errors.New("syntax error in parameters")
	errInjected        = errors.New("nothing may follow STARTTLS before its answer")
	errNoTLS           = errors.New("TLS is not available")
	errAuthFirst       = errors.New("authentication required")
	errAuthNeedsTLS    = errors.New("AUTH needs TLS: say STARTTLS first")
	errNoMechanism     = errors.New("AUTH mechanism not supported")
	errSASL            = errors.New("malformed AUTH response")
	errCancelled       = errors.New("login cancelled")
	errLongAuth        = errors.New("AUTH line too long")
	errSender          = errors.New("this account may not send from this address")
	errUTF8            = errors.New("this address needs SMTPUTF8 on MAIL")

	errGivenUp = errors.New("the client gave the mail up") // nobody is answered that
)

// reply turns an error into the answer that the client gets. An answer with code 421 also closes
// the connection.
func reply(err error) *gosmtp.SMTPError {
	if a, ok := knownReply(err); ok {
		return a
	}
	return answer(451, 4, 3, 0, "internal error, try again later")
}

// knownReply is the answer to an error that this package or the queue means for the client. It is
// the only place that knows reply codes for errors.
func knownReply(err error) (a *gosmtp.SMTPError, ok bool) {
	var badAddress *message.AddressError
	var paused *account.PausedError
	var malformed *message.MalformedError
	switch {
	case errors.As(err, &a):
		return a, true
	case errors.As(err, &badAddress):
		return answer(553, 5, 1, 3, "not a mail address: "+badAddress.Reason), true
	case errors.As(err, &malformed):
		return answer(554, 5, 6, 0, malformed.Error()), true
	case errors.As(err, &paused):
		if paused.Client {
			return answer(421, 4, 7, 0, err.Error()), true
		}
		return answer(454, 4, 7, 0, err.Error()), true
	}
	for _, row := range replies {
		if errors.Is(err, row.err) {
			text := cmp.Or(row.text, row.err.Error())
			if row.detail {
				text = err.Error()
			}
			return answer(row.code, row.status[0], row.status[1], row.status[2], text), true
		}
	}
	return nil, false
}

// replies says what each error is answered. An empty text means the error's own words; detail those
// of what wraps it, which must then be of this package: what others wrap around an error is for the
// log.
var replies = []struct {
	err    error
	code   int
	status [3]int
	text   string
	detail bool
}{
	{err: queue.ErrNoSpace, code: 452, status: [3]int{4, 3, 1}, text: "no space left for mail, try again later"},
	{err: queue.ErrFull, code: 452, status: [3]int{4, 3, 1}, text: "the queue is full, try again later"},
	{err: queue.ErrTooLarge, code: 552, status: [3]int{5, 3, 4}},
	{err: queue.ErrTooManyRecipients, code: 452, status: [3]int{4, 5, 3}},
	{err: queue.ErrNoMailbox, code: 550, status: [3]int{5, 1, 1}},
	{err: queue.ErrNoRecipients, code: 554, status: [3]int{5, 5, 1}},
	{err: queue.ErrBroken, code: 451, status: [3]int{4, 3, 0}, text: "mail cannot be kept at the moment, try again later"},
	{err: queue.ErrPaused, code: 451, status: [3]int{4, 3, 2}, text: "taking mail in is paused, try again later"},
	{err: queue.ErrClosed, code: 421, status: [3]int{4, 3, 2}, text: "going down for a restart, try again in a moment"},
	{err: message.ErrMalformed, code: 554, status: [3]int{5, 6, 0}},
	{err: message.ErrLoop, code: 554, status: [3]int{5, 4, 6}, text: "too many Received fields: this mail goes in circles"},

	{err: errShutdown, code: 421, status: [3]int{4, 3, 2}},
	{err: gate.ErrFull, code: 421, status: [3]int{4, 3, 2}},
	{err: gate.ErrClient, code: 421, status: [3]int{4, 7, 0}},
	{err: errIdle, code: 421, status: [3]int{4, 4, 2}},
	{err: errUnauthenticated, code: 421, status: [3]int{4, 7, 0}},
	{err: errTooSlow, code: 421, status: [3]int{4, 4, 2}},
	{err: errCut, code: 421, status: [3]int{4, 4, 2}},
	{err: errLoneDot, code: 421, status: [3]int{4, 5, 2}},
	{err: errDesync, code: 421, status: [3]int{4, 3, 0}},
	{err: errEndless, code: 421, status: [3]int{4, 3, 4}},
	{err: errErrors, code: 421, status: [3]int{4, 7, 0}},
	{err: errChatter, code: 421, status: [3]int{4, 7, 0}},
	{err: errLongLine, code: 500, status: [3]int{5, 5, 2}},
	{err: errBareLine, code: 500, status: [3]int{5, 5, 2}},
	{err: errHTTP, code: 554, status: [3]int{5, 5, 2}},
	{err: errTLSHere, code: 554, status: [3]int{5, 5, 2}},
	{err: errUnknown, code: 500, status: [3]int{5, 5, 1}},
	{err: errSequence, code: 503, status: [3]int{5, 5, 1}, detail: true},
	{err: errParameter, code: 501, status: [3]int{5, 5, 4}, detail: true},
	{err: errInjected, code: 554, status: [3]int{5, 5, 1}},
	{err: errNoTLS, code: 502, status: [3]int{5, 5, 1}},
	{err: errAuthFirst, code: 530, status: [3]int{5, 7, 0}},
	{err: errAuthNeedsTLS, code: 538, status: [3]int{5, 7, 11}},
	{err: errNoMechanism, code: 504, status: [3]int{5, 5, 4}},
	{err: errSASL, code: 501, status: [3]int{5, 5, 2}},
	{err: errCancelled, code: 501, status: [3]int{5, 7, 0}},
	{err: errLongAuth, code: 500, status: [3]int{5, 5, 6}},
	{err: account.ErrLogin, code: 535, status: [3]int{5, 7, 8}},
	{err: errSender, code: 550, status: [3]int{5, 7, 1}},
	{err: errUTF8, code: 553, status: [3]int{5, 6, 7}},

	{err: context.Canceled, code: 421, status: [3]int{4, 3, 2}, text: "going down for a restart, try again in a moment"},
}

// maxReplyText keeps a reply line within the 512 bytes of RFC 5321, 4.5.3.1.5.
const maxReplyText = 400

// answer is one reply line: printable ASCII, whatever text says.
func answer(code, class, subject, detail int, text string) *gosmtp.SMTPError {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(clean) > maxReplyText {
		clean = clean[:maxReplyText]
	}
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{class, subject, detail}, Message: clean}
}

// line is the answer as the client reads it.
func line(a *gosmtp.SMTPError) string {
	return fmt.Sprintf("%d %d.%d.%d %s\r\n", a.Code, a.EnhancedCode[0], a.EnhancedCode[1], a.EnhancedCode[2], a.Message)
}
