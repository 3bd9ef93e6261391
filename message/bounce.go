package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Bounds of a notification, in bytes.
const (
	maxReturnedHeader = 64 << 10 // of the mail's header
	maxReturned       = 1 << 20  // of a mail returned in full
	maxDiagnostic     = 1000     // of what the next hop said
)

// The actions of RFC 3464, 2.3.3 that we report.
const (
	ActionFailed  = "failed"
	ActionDelayed = "delayed"
	ActionRelayed = "relayed"
)

// BounceReport is what a notification tells about one mail (RFC 3464).
type BounceReport struct {
	From      Mailbox // in the header; the envelope's sender is null
	To        Address // who is told
	Hostname  string  // ours: Reporting-MTA
	Domain    string  // of the Message-ID when MessageID is empty
	ID        string  // the queue ID of the original
	MessageID string  // of the notification, with its angle brackets; empty: a new one
	EnvID     string  // the original's ENVID, decoded; may be empty
	Arrived   time.Time
	Time      time.Time // now
	// Ret is the original's RET. "FULL" returns the whole mail, when it may be.
	Ret        string
	Recipients []BounceRecipient
	// Original is the mail, or its header, as it was kept. It may be nil; then nothing is returned.
	Original      io.Reader
	OriginalFacts Facts
}

// BounceRecipient is what became of one recipient.
type BounceRecipient struct {
	Address        Address
	Original       string // ORCPT as "addr-type;address", decoded; may be empty
	Action         string // ActionFailed, ActionDelayed or ActionRelayed
	Status         string // "5.1.1"; when it is none, the general one for Action
	Remote         string // who answered, host:port; may be empty
	Diagnostic     string // "550 5.1.1 no such user", or what went wrong in other words
	LastAttempt    time.Time
	WillRetryUntil time.Time // for ActionDelayed
}

// Bounce writes a notification as RFC 3464 has it: words for people, fields for programs (RFC 3464,
// 2), and the mail it is about (RFC 6522). Its envelope has the null sender, so that nothing can
// answer it, and asks for no notification about itself.
//
// The header of the original is returned, up to 64 KiB of it. The whole is returned when Ret is
// "FULL", a recipient failed, the mail has at most 1 MiB, its lines at most 998 bytes, and its
// header is ASCII; RFC 2046 would not let it be encoded.
//
// It is an error to report to nobody: RFC 5321, 4.5.5 wants no notification for mail from the null
// sender. An error of Original is returned as it is.
func Bounce(r BounceReport) (Envelope, io.Reader, error) {
	switch {
	case r.To.IsNull():
		return Envelope{}, nil, errors.New("no notification for mail from the null sender")
	case len(r.Recipients) == 0:
		return Envelope{}, nil, errors.New("a notification about no recipient")
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if r.MessageID == "" {
		r.MessageID = NewMessageID(r.Domain)
	}
	var out bytes.Buffer
	c := newComposer(&out, r.MessageID)
	original, full, err := r.readOriginal(c.mark)
	if err != nil {
		return Envelope{}, nil, err
	}
	c.bounceHeader(r)
	boundary := c.open("multipart/report", "report-type=delivery-status")
	c.delimiter(boundary)
	c.readable("text/plain", r.words(full))
	c.delimiter(boundary)
	c.deliveryStatus(r)
	if r.Original != nil {
		c.delimiter(boundary)
		c.returned(original, full)
	}
	c.end(boundary)
	if _, err := c.close(); err != nil {
		return Envelope{}, nil, err
	}
	env := Envelope{To: []Recipient{{Address: r.To, Notify: NotifyNever}}, UTF8: r.To.NeedsUTF8() || r.From.Address.NeedsUTF8()}
	return env, &out, nil
}

func (c *composer) bounceHeader(r BounceReport) {
	c.field("Date", r.Time.Format(dateFormat))
	c.field("From", r.From.words()...)
	c.field("To", r.To.String())
	c.field("Subject", textWords(r.subject(), longWord)...)
	c.field("Message-ID", c.id)
	if id := r.OriginalFacts.MessageID; isMessageID(id) {
		c.field("In-Reply-To", id)
		c.field("References", id)
	}
	c.field("Auto-Submitted", "auto-replied")
	c.field("MIME-Version", "1.0")
}

func (r *BounceReport) has(action string) bool {
	for _, to := range r.Recipients {
		if to.Action == action {
			return true
		}
	}
	return false
}

func (r *BounceReport) subject() string {
	subject := "Delivered to a server that does not report: "
	switch {
	case r.has(ActionFailed):
		subject = "Undeliverable: "
	case r.has(ActionDelayed):
		subject = "Still trying to deliver: "
	}
	if r.OriginalFacts.Subject == "" {
		return subject + "your mail"
	}
	return clean(subject + r.OriginalFacts.Subject)
}

// readOriginal returns the whole mail, or its header without the empty line behind it. A whole mail
// has no boundary of ours.
func (r *BounceReport) readOriginal(mark string) (original []byte, full bool, err error) {
	if r.Original == nil {
		return nil, false, nil
	}
	limit := int64(maxReturnedHeader)
	facts := r.OriginalFacts
	wanted := r.Ret == "FULL" && r.has(ActionFailed) && !facts.UTF8Header && facts.LongestLine <= maxLine
	if wanted {
		limit = maxReturned
	}
	b, err := io.ReadAll(io.LimitReader(r.Original, limit+1))
	if err != nil {
		return nil, false, err
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	// The facts may be those of another mail; the bytes decide.
	if wanted && int64(len(b)) <= limit && end >= 0 && !hasHighBit(b[:end]) && longestLine(string(b)) <= maxLine &&
		!bytes.Contains(b, []byte(mark)) {
		return b, true, nil
	}
	if end >= 0 {
		b = b[:end+2]
	}
	if len(b) > maxReturnedHeader {
		b = b[:maxReturnedHeader]
		b = b[:bytes.LastIndexByte(b, '\n')+1]
	}
	return b, false, nil
}

// returned writes the third part: the mail, or its header (RFC 6522, 3 and 4).
func (c *composer) returned(original []byte, full bool) {
	if full {
		c.contentType("message/rfc822")
		encoding := sevenBit
		if hasHighBit(original) {
			encoding = "8bit"
		}
		c.field("Content-Transfer-Encoding", encoding)
		c.line("")
		c.buf = append(c.buf, original...)
		c.flush()
		return
	}
	kind := "text/rfc822-headers"
	var params []string
	if hasHighBit(original) {
		params = []string{"charset=utf-8"}
	}
	c.contentType(kind, params...)
	body, encoding := encodeText(original)
	c.field("Content-Transfer-Encoding", encoding)
	c.line("")
	c.buf = append(c.buf, body...)
	c.flush()
}

// words is the part for people.
func (r *BounceReport) words(full bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail server %s.\n\n", appendTrace(nil, r.Hostname))
	subject := clean(r.OriginalFacts.Subject)
	if subject != "" {
		subject = fmt.Sprintf(" with the subject\n\n    %s\n\n", subject)
	} else {
		subject = " "
	}
	fmt.Fprintf(&b, "Your mail of %s%s", r.Arrived.Format(dateFormat), subject)
	b.WriteString(r.verdict())
	for _, to := range r.Recipients {
		fmt.Fprintf(&b, "\n    %s\n%s\n", to.Address, to.summary())
	}
	b.WriteString("\n")
	if r.has(ActionFailed) {
		b.WriteString("It will not be tried again. If the reason can be mended, please send\nthe mail once more.\n\n")
	}
	fmt.Fprintf(&b, "The mail had the number %s here; please name it\nwhen you ask about it.\n", appendTrace(nil, r.ID))
	switch {
	case full:
		b.WriteString("What follows is for programs, and the mail itself.\n")
	case r.Original != nil:
		b.WriteString("What follows is for programs, and the header of the mail.\n")
	default:
		b.WriteString("What follows is for programs.\n")
	}
	return b.String()
}

func (r *BounceReport) verdict() string {
	switch {
	case r.has(ActionFailed) && (r.has(ActionDelayed) || r.has(ActionRelayed)):
		return "did not reach everyone:\n"
	case r.has(ActionFailed):
		return "could not be delivered to:\n"
	case r.has(ActionDelayed):
		return "has not been delivered yet to:\n"
	default:
		return "was handed to a server that will not report on it further, for:\n"
	}
}

// summary says what happened to one recipient, in lines that are indented like its address and
// more.
func (to *BounceRecipient) summary() string {
	said := printable(to.Diagnostic, maxDiagnostic)
	host := remoteHost(to.Remote)
	switch {
	case to.Action == ActionRelayed && host != "":
		said = "accepted by " + host
	case to.Action == ActionRelayed:
		said = "accepted"
	case said == "":
		said = "no reason was given"
	case host != "" && isReply(said):
		said = host + " said: " + said
	}
	const indent = "        "
	var text strings.Builder
	column := foldAt
	for _, w := range chopped(said) {
		if column+1+len(w) > foldAt {
			if text.Len() > 0 {
				text.WriteString("\n")
			}
			text.WriteString(indent + w)
			column = len(indent) + len(w)
			continue
		}
		text.WriteString(" " + w)
		column += 1 + len(w)
	}
	if to.Action == ActionDelayed && !to.WillRetryUntil.IsZero() {
		text.WriteString("\n" + indent + "It will be tried until " + to.WillRetryUntil.Format(dateFormat) + ".")
	}
	return text.String()
}
