package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAddress is how many octets an address may have as it is written: "MAIL FROM:<" and ">" around
// it fill a command line of 512 (RFC 5321, 4.5.3.1.4). That a local part has at most 64 and a path
// 256 octets (4.5.3.1.1) is not so in the world, and nothing breaks by it. One that needs SMTPUTF8
// has at most maxUTF8Address: notifications write it in ASCII, on one line (RFC 6533, 3).
const (
	maxAddress     = 498
	maxUTF8Address = 254
)

// Address is one mailbox as the envelope means it (RFC 5321, 4.1.2). Local is the local part
// without quotes, in UTF-8. Domain is in lower case and ASCII (A-labels for an internationalised
// name), or an address literal such as "[192.0.2.1]" or "[IPv6:2001:db8::1]". The zero Address is
// the null reverse-path "<>". Two addresses are the same mailbox, as far as we may know, when they
// are equal.
type Address struct{ Local, Domain string }

// AddressError says which address was refused, and why in words for whoever typed it.
type AddressError struct{ Input, Reason string }

// Error shows the input, shortened, and the reason.
func (e *AddressError) Error() string {
	input := e.Input
	if len(input) > 300 {
		input = input[:300] + "…"
	}
	return fmt.Sprintf("%q is no valid address: %s", input, e.Reason)
}

// ParseAddress parses one address without display name, comments or angle brackets: an RFC 5321
// Mailbox, with UTF-8 in the local part and the domain as RFC 6531 allows. The domain may be
// written in Unicode; it is stored as A-labels. The only address without a domain is "postmaster"
// in any case (RFC 5321, 4.1.1.3), whose Domain is then empty. An empty local part is refused
// although `""@example.org` would be grammatical: nobody has that address.
//
// Of what is against the grammar and harmless this is taken: white space, line ends and invisible
// characters around the address, dots at the ends of the local part and next to each other (String
// quotes it), underscores in the domain and a dot behind it. Control characters and invisible ones
// inside are refused; the joiners U+200C and U+200D may stand behind letters beyond ASCII. Every
// error is an *AddressError.
func ParseAddress(s string) (Address, error) {
	a, reason := parseAddress(TrimInvisible(s))
	if reason != "" {
		return Address{}, &AddressError{Input: s, Reason: reason}
	}
	return a, nil
}

func parseAddress(s string) (Address, string) {
	if s == "" {
		return Address{}, "it is empty"
	}
	if strings.EqualFold(s, "postmaster") {
		return Address{Local: s}, ""
	}
	local, rest, reason := cutLocal(s)
	if reason != "" {
		return Address{}, reason
	}
	if !strings.HasPrefix(rest, "@") {
		return Address{}, "there is no @ with a domain"
	}
	return newAddress(local, rest[1:])
}

// newAddress checks an unquoted local part and a domain as somebody wrote it. It returns why they
// are no address.
func newAddress(local, domain string) (Address, string) {
	if !utf8.ValidString(local) || !utf8.ValidString(domain) {
		return Address{}, "it is not valid UTF-8"
	}
	if reason := invisibleReason(local + "@" + domain); reason != "" {
		return Address{}, reason
	}
	if reason := checkLocal(local); reason != "" {
		return Address{}, reason
	}
	domain, reason := parseDomain(domain)
	if reason != "" {
		return Address{}, reason
	}
	n := len(local)
	if !isDotAtom(local) {
		n = len(quoteLocal(local))
	}
	limit := maxAddress
	if !isASCII(local) {
		limit = maxUTF8Address
	}
	if n+1+len(domain) > limit {
		return Address{}, fmt.Sprintf("it is longer than %d octets", limit)
	}
	return Address{Local: local, Domain: domain}, ""
}

// invisibleReason is why s is no address when something in it cannot be seen.
func invisibleReason(s string) string {
	if hidden := Invisible(s); hidden != "" {
		return "there is an invisible or control character in it: " + hidden
	}
	return ""
}

// cutLocal splits a local part off s, and unquotes it.
func cutLocal(s string) (local, rest, reason string) {
	if s[0] == '"' {
		return cutQuoted(s)
	}
	i := strings.IndexByte(s, '@')
	if i < 0 {
		return "", "", "there is no @ with a domain"
	}
	local = s[:i]
	switch {
	case local == "":
		return "", "", "there is nothing before the @"
	case strings.ContainsFunc(local, isSpecial):
		return "", "", "the part before the @ has a character that must be quoted"
	}
	return local, s[i:], ""
}

// cutQuoted reads a Quoted-string at the start of s.
func cutQuoted(s string) (local, rest, reason string) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], ""
		case '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", "a backslash stands before something that it cannot quote"
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", "the quotation mark is never closed"
}

// checkLocal refuses what no local part may hold, quoted or not.
func checkLocal(local string) string {
	switch {
	case local == "":
		return "there is nothing before the @"
	case !utf8.ValidString(local):
		return "it is not valid UTF-8"
	case strings.ContainsFunc(local, isControl):
		return "there is a control character in it"
	}
	return ""
}

// isControl covers what some program or other takes for a line break, besides the control
// characters proper.
func isControl(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// isDotAtom reports whether s is a Dot-string (RFC 5321, 4.1.2; RFC 6531, 3.3).
func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf && c != '.' && !isAtext(c) {
			return false
		}
	}
	return isASCII(s) || utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

// isSpecial reports whether r can stand in a local part only between quotation marks. Of invisible
// characters more is said elsewhere.
func isSpecial(r rune) bool {
	return r < utf8.RuneSelf && r != '.' && !isAtext(byte(r)) && !isInvisible(r)
}

func isAtext(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// String is the address in the form of RFC 5321, its local part quoted where it must be; "" for the null path. It has no CR,
// LF, NUL or other control character in it, and no angle bracket outside quotes, even when the Address was put together by hand
// from something that is none: then what cannot be written is a question mark.
func (a Address) String() string {
	if a.IsNull() {
		return ""
	}
	local := a.Local
	if !isDotAtom(local) {
		local = quoteLocal(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + writableDomain(a.Domain)
}

func quoteLocal(local string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range local {
		switch {
		case isControl(r) || r == utf8.RuneError && !strings.HasPrefix(local[i:], string(utf8.RuneError)):
			b.WriteByte('?')
			continue
		case r == '"' || r == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

// IsNull reports whether a is the null reverse-path "<>".
func (a Address) IsNull() bool { return a == Address{} }

// NeedsUTF8 reports whether a can only be given to a next hop that knows SMTPUTF8 (RFC 6531).
func (a Address) NeedsUTF8() bool { return !isASCII(a.Local) }

// MarshalText writes the address as String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads an address as ParseAddress does; empty text is the null path.
func (a *Address) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*a = Address{}
		return nil
	}
	parsed, err := ParseAddress(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
