package relay

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"dinkymail/message"
)

// extensions are what the next hop offered in its reply to EHLO. The zero value is a server that knows only HELO.
type extensions struct {
	startTLS, pipelining, eightBit, utf8, dsn bool

	size  bool
	limit int64           // of SIZE; 0 when it named none
	auth  map[string]bool // mechanisms; nil without AUTH
}

// parseExtensions reads the text of an EHLO reply, its first line being a greeting (RFC 5321, 4.1.1.1).
func parseExtensions(text string) extensions {
	var e extensions
	_, rest, _ := strings.Cut(text, "\n")
	for line := range strings.SplitSeq(rest, "\n") {
		words := strings.Fields(strings.ToUpper(line))
		if len(words) == 0 {
			continue
		}
		switch word := words[0]; {
		case word == "STARTTLS":
			e.startTLS = true
		case word == "PIPELINING":
			e.pipelining = true
		case word == "8BITMIME":
			e.eightBit = true
		case word == "SMTPUTF8":
			e.utf8 = true
		case word == "DSN":
			e.dsn = true
		case word == "SIZE":
			e.size = true
			if len(words) > 1 {
				e.limit, _ = strconv.ParseInt(words[1], 10, 64)
			}
		case word == "AUTH":
			e.addMechanisms(words[1:])
		case strings.HasPrefix(word, "AUTH="): // how some wrote it before there was a standard
			words[0] = strings.TrimPrefix(word, "AUTH=")
			e.addMechanisms(words)
		}
	}
	return e
}

func (e *extensions) addMechanisms(names []string) {
	if e.auth == nil {
		e.auth = map[string]bool{}
	}
	for _, name := range names {
		e.auth[name] = true
	}
}

// appendMail adds the MAIL command with those parameters that the next hop knows.
func (e *extensions) appendMail(b []byte, env *message.Envelope, size int64, eightBit, utf8 bool) []byte {
	b = append(b, "MAIL FROM:<"...)
	b = append(b, env.From.String()...)
	b = append(b, '>')
	if e.size && size > 0 {
		b = strconv.AppendInt(append(b, " SIZE="...), size, 10)
	}
	if eightBit && e.eightBit {
		b = append(b, " BODY=8BITMIME"...)
	}
	if utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if !e.dsn {
		return append(b, "\r\n"...)
	}
	if env.Ret == "FULL" || env.Ret == "HDRS" {
		b = append(append(b, " RET="...), env.Ret...)
	}
	if env.ID != "" {
		if id := xtext(env.ID); len(id) <= 100 { // RFC 3461, 5.4
			b = append(append(b, " ENVID="...), id...)
		}
	}
	return append(b, "\r\n"...)
}

// appendRcpt adds the RCPT command for one recipient.
func (e *extensions) appendRcpt(b []byte, to *message.Recipient) []byte {
	b = append(b, "RCPT TO:<"...)
	b = append(b, to.Address.String()...)
	b = append(b, '>')
	if !e.dsn {
		return append(b, "\r\n"...)
	}
	if to.Notify != 0 {
		b = append(append(b, " NOTIFY="...), notify(to.Notify)...)
	}
	if o := original(to.Original); o != "" && len(o) <= 500 { // RFC 3461, 5.4
		b = append(append(b, " ORCPT="...), o...)
	}
	return append(b, "\r\n"...)
}

func notify(n message.Notify) string {
	if n&message.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	if n&message.NotifySuccess != 0 {
		words = append(words, "SUCCESS")
	}
	if n&message.NotifyFailure != 0 {
		words = append(words, "FAILURE")
	}
	if n&message.NotifyDelay != 0 {
		words = append(words, "DELAY")
	}
	return strings.Join(words, ",")
}

// original writes "type;address" as ORCPT wants it, or "" where it cannot be written. The address-type utf-8 has an ASCII form of
// its own, which goes through every next hop (RFC 6533, 3).
func original(s string) string {
	kind, address, ok := strings.Cut(s, ";")
	switch {
	case !ok || kind == "" || xtext(kind) != kind:
		return ""
	case strings.EqualFold(kind, "utf-8"):
		return kind + ";" + utf8xtext(address)
	case !ascii(address):
		return ""
	default:
		return kind + ";" + xtext(address)
	}
}

// xtext encodes s for a DSN parameter (RFC 3461, 4).
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// utf8xtext encodes s in the characters that every SMTP server lets through (RFC 6533, 3, utf-8-addr-xtext).
func utf8xtext(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < '!' || r > '~' || r == '+' || r == '=' || r == '\\' {
			fmt.Fprintf(&b, `\x{%X}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
