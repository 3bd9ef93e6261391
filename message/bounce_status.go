package message

import (
	"fmt"
	"net"
	"strings"
)

// maxEnvID bounds what a notification repeats of an ENVID, in bytes.
const maxEnvID = 128

// deliveryStatus writes the second part of a notification (RFC 3464, 2).
func (c *composer) deliveryStatus(r BounceReport) {
	c.contentType("message/delivery-status")
	c.line("")
	c.field("Reporting-MTA", "dns; "+string(appendTrace(nil, r.Hostname)))
	if id := printable(r.EnvID, maxEnvID); id != "" {
		c.field("Original-Envelope-Id", id)
	}
	if !r.Arrived.IsZero() {
		c.field("Arrival-Date", r.Arrived.Format(dateFormat))
	}
	for _, to := range r.Recipients {
		c.line("")
		c.recipientStatus(to)
	}
	c.flush()
}

func (c *composer) recipientStatus(to BounceRecipient) {
	if kind, address, ok := strings.Cut(to.Original, ";"); ok && isFieldName(kind) {
		if address = kind + ";" + smtpASCII(clean(address)); len(address) <= longest {
			c.field("Original-Recipient", address)
		}
	}
	kind := "rfc822; "
	if to.Address.NeedsUTF8() {
		kind = "utf-8; " // RFC 6533, 3
	}
	c.field("Final-Recipient", kind+smtpASCII(to.Address.String()))
	c.field("Action", to.action())
	c.field("Status", to.status())
	if host := remoteHost(to.Remote); host != "" {
		c.field("Remote-MTA", "dns; "+host)
	}
	if said := printable(to.Diagnostic, maxDiagnostic); said != "" {
		kind := "x-dinkymail;"
		if isReply(said) {
			kind = "smtp;"
		}
		c.field("Diagnostic-Code", append([]string{kind}, chopped(said)...)...)
	}
	if !to.LastAttempt.IsZero() {
		c.field("Last-Attempt-Date", to.LastAttempt.Format(dateFormat))
	}
	if to.Action == ActionDelayed && !to.WillRetryUntil.IsZero() {
		c.field("Will-Retry-Until", to.WillRetryUntil.Format(dateFormat))
	}
}

// action is one of ours; what is unknown has failed.
func (to *BounceRecipient) action() string {
	switch to.Action {
	case ActionDelayed, ActionRelayed:
		return to.Action
	}
	return ActionFailed
}

// status is an enhanced status code (RFC 3463, 2).
func (to *BounceRecipient) status() string {
	class, rest, _ := strings.Cut(to.Status, ".")
	subject, detail, ok := strings.Cut(rest, ".")
	number := func(s string) bool { return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == "" }
	if ok && number(subject) && number(detail) && (class == "2" || class == "4" || class == "5") {
		return to.Status
	}
	switch to.Action {
	case ActionDelayed:
		return "4.0.0"
	case ActionRelayed:
		return "2.0.0"
	}
	return "5.0.0"
}

// remoteHost is the host of host:port, fit for a header.
func remoteHost(remote string) string {
	if remote == "" {
		return ""
	}
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	return string(appendTrace(nil, remote))
}

// isReply reports whether text begins with an SMTP reply code.
func isReply(text string) bool {
	if len(text) < 3 || strings.Trim(text[:3], "0123456789") != "" || text[0] < '2' || text[0] > '5' {
		return false
	}
	return len(text) == 3 || text[3] == ' ' || text[3] == '-'
}

// printable is s on one line, in ASCII and of at most limit bytes.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, clean(s))
	return strings.TrimRight(s[:min(len(s), limit)], " ")
}

// maxChop leaves room for indentation.
const maxChop = 60

// chopped splits text into words to fold between, none of them too long for a line.
func chopped(text string) []string {
	var words []string
	for _, w := range strings.Fields(text) {
		for len(w) > maxChop {
			words = append(words, w[:maxChop])
			w = w[maxChop:]
		}
		words = append(words, w)
	}
	return words
}

// smtpASCII writes characters beyond ASCII as \x{HEX}, as RFC 6533, 3 has it for fields that must
// be ASCII.
func smtpASCII(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r > '~' {
			fmt.Fprintf(&b, `\x{%X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
