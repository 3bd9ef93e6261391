package message

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"
)

// Bounds of what a Draft says in its header, in bytes.
const (
	maxFields     = 100      // in number
	maxFieldValue = 16 << 10 // and of the subject
	maxFieldName  = 60
	maxFilename   = 255
	maxContentID  = 200
	maxName       = 1000 // a display name
)

// Draft is a mail as the caller of an API says it. The zero Date is now; an empty MessageID is made
// from random bits and Domain, which in turn is From's domain when it is empty: whoever writes one
// Draft twice and wants the same mail sets Date and MessageID. Text and HTML may both be empty, and
// either alone. What Text, HTML, Subject and the names hold can do no harm; invalid UTF-8 in them
// becomes U+FFFD, and control characters in Subject and names become spaces.
type Draft struct {
	From        Mailbox
	To, Cc, Bcc []Mailbox
	ReplyTo     []Mailbox
	Subject     string
	Text        string // plain text in UTF-8 with any line ends; derived from HTML when it is empty
	HTML        string
	Headers     map[string]string // further fields by name; see Validate for what is refused
	Attachments []Attachment
	MessageID   string // with its angle brackets
	Date        time.Time
	Domain      string // right-hand side of the Message-ID
}

// Attachment is a file that goes with a Draft. With a ContentID (without angle brackets) it is
// shown inside the HTML that refers to it as "cid:…"; when no HTML does it is an ordinary
// attachment. An empty ContentType is guessed from Filename.
type Attachment struct {
	Filename    string // in UTF-8; directories in it are dropped
	ContentType string
	ContentID   string
	Content     []byte
}

// DraftError says which part of a Draft cannot be sent, and why.
type DraftError struct{ Field, Reason string }

// Error names the field and the reason.
func (e *DraftError) Error() string { return e.Field + ": " + e.Reason }

// Validate reports everything that keeps the Draft from being written: a missing sender or
// recipients, addresses that are none, header fields with impossible names, with control
// characters, or that are not the caller's to write, attachments of impossible type. Each part of
// the joined error is a *DraftError and names its field.
func (d Draft) Validate() error {
	var errs []error
	refuse := func(field, format string, args ...any) {
		errs = append(errs, &DraftError{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	checkMailbox("from", d.From, refuse)
	for _, list := range []struct {
		field string
		boxes []Mailbox
	}{{"to", d.To}, {"cc", d.Cc}, {"bcc", d.Bcc}, {"reply_to", d.ReplyTo}} {
		for _, m := range list.boxes {
			checkMailbox(list.field, m, refuse)
		}
	}
	if len(d.To)+len(d.Cc)+len(d.Bcc) == 0 {
		refuse("to", "there is no recipient")
	}
	if d.MessageID != "" && !isMessageID(d.MessageID) {
		refuse("message_id", "%q is no message ID such as <something@example.org>", d.MessageID)
	}
	if d.MessageID == "" && d.From.Address.Domain != "" {
		if _, reason := parseDomain(d.domain()); reason != "" {
			refuse("domain", "%q is no domain for a message ID: %s", d.domain(), reason)
		}
	}
	if len(d.Subject) > maxFieldValue {
		refuse("subject", "it is longer than %d bytes", maxFieldValue)
	}
	d.checkHeaders(refuse)
	for i, a := range d.Attachments {
		a.check(fmt.Sprintf("attachments[%d]", i), refuse)
	}
	return errors.Join(errs...)
}

type refuser func(field, format string, args ...any)

func checkMailbox(field string, m Mailbox, refuse refuser) {
	switch parsed, err := ParseAddress(m.Address.String()); {
	case m.Address.IsNull():
		refuse(field, "the address is missing")
	case err != nil:
		refuse(field, "%v", err)
	case parsed != m.Address:
		refuse(field, "%q is not written as an address", m.Address.Local+"@"+m.Address.Domain)
	case m.Address.Domain == "":
		refuse(field, "%q has no domain", m.Address.Local)
	case len(m.Name) > maxName:
		refuse(field, "the name of %s is longer than %d bytes", m.Address, maxName)
	}
}

// reserved are the fields that come from elsewhere in a Draft, or that say what only mail servers
// may say.
var reserved = []string{
	"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "return-path", "received",
	"received-spf", "delivered-to", "authentication-results", "dkim-signature", "domainkey-signature", "lines", "status",
}

// reservedPrefixes are families of such fields.
var reservedPrefixes = []string{"content-", "resent-", "arc-", "dkim-", "x-dkim-"}

func isReserved(lower string) bool {
	return slices.Contains(reserved, lower) ||
		slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(lower, p) })
}

func (d Draft) checkHeaders(refuse refuser) {
	if len(d.Headers) == 0 {
		return
	}
	if len(d.Headers) > maxFields {
		refuse("headers", "there are more than %d", maxFields)
	}
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		value, lower := d.Headers[name], strings.ToLower(name)
		deny := func(format string, args ...any) { refuse(fmt.Sprintf("headers[%q]", name), format, args...) }
		switch {
		case !isFieldName(name) || len(name) > maxFieldName:
			deny("a name has 1 to %d printable ASCII characters, and no space or colon", maxFieldName)
		case isReserved(lower):
			deny("this field is written by the mail server or from another field, and cannot be set")
		case seen[lower]:
			deny("it is there twice, in capital and small letters")
		case len(value) > maxFieldValue:
			deny("its value is longer than %d bytes", maxFieldValue)
		case strings.ContainsFunc(value, isControl):
			deny("its value has a line break or another control character in it")
		}
		seen[lower] = true
	}
}

// isFieldName reports whether s can stand before the colon of a header field (RFC 5322, 2.2).
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

func (a Attachment) check(field string, refuse refuser) {
	if len(a.Filename) > maxFilename {
		refuse(field, "its filename is longer than %d bytes", maxFilename)
	}
	if a.ContentType != "" {
		kind, _, err := mime.ParseMediaType(a.ContentType)
		switch {
		case err != nil || !isMediaType(kind) || len(a.ContentType) > maxFilename:
			refuse(field, "%q is no content type such as image/png", a.ContentType)
		case strings.HasPrefix(kind, "multipart/"):
			refuse(field, "an attachment cannot be of type %s", kind)
		}
	}
	if a.ContentID != "" && !isContentID(a.ContentID) {
		refuse(field, "a content ID has 1 to %d printable ASCII characters, and no space or angle bracket", maxContentID)
	}
}

// isMediaType reports whether s is two tokens and a slash.
func isMediaType(s string) bool {
	main, sub, ok := strings.Cut(s, "/")
	token := func(s string) bool {
		return isFieldName(s) && !strings.ContainsAny(s, `()<>@,;\"/[]?=`)
	}
	return ok && token(main) && token(sub)
}

func isContentID(s string) bool {
	return len(s) <= maxContentID && isASCII(s) && s != "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' })
}

// isMessageID reports whether s is a msg-id (RFC 5322, 3.6.4) of at most 250 bytes, without
// comments and folding.
func isMessageID(s string) bool {
	inner, ok := strings.CutPrefix(s, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	left, right, at := strings.Cut(inner, "@")
	return ok && closed && at && left != "" && right != "" && len(s) <= 250 && isContentID(inner[:len(left)]) && isContentID(right)
}

func (d Draft) domain() string {
	if d.Domain != "" {
		return d.Domain
	}
	return d.From.Address.Domain
}

// messageID is the Draft's own or a new one.
func (d Draft) messageID() string {
	if d.MessageID != "" {
		return d.MessageID
	}
	return NewMessageID(d.domain())
}

// NewMessageID makes a Message-ID at domain, angle brackets included, that nobody has seen before
// or can guess.
func NewMessageID(domain string) string {
	return "<" + strings.ToLower(rand.Text()) + "@" + writableDomain(domain) + ">"
}

// Envelope is where the Draft goes: from From's address to each address of To, Cc and Bcc, once.
func (d Draft) Envelope() Envelope {
	env := Envelope{From: d.From.Address, UTF8: d.From.Address.NeedsUTF8()}
	seen := make(map[Address]bool)
	for _, m := range slices.Concat(d.To, d.Cc, d.Bcc) {
		if !seen[m.Address] {
			seen[m.Address] = true
			env.To = append(env.To, Recipient{Address: m.Address})
			env.UTF8 = env.UTF8 || m.Address.NeedsUTF8()
		}
	}
	return env
}
