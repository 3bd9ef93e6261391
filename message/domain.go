package message

import (
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// domains maps names as people write them to A-labels: the lengths of the DNS, no empty label, the
// rules for right-to-left scripts. Which ASCII characters it leaves is checked by isLabelByte.
var domains = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.ValidateLabels(true),
	idna.VerifyDNSLength(true),
	idna.BidiRule(),
)

// ParseDomain checks a host or mail domain name and returns it in lower case and ASCII, as it
// stands in an Address: a name of letters, digits, hyphens and underscores, its Unicode labels
// converted to A-labels, or an address literal in brackets. White space and invisible characters
// around it and a dot behind it are dropped; inside they are refused. The error is an
// *AddressError.
func ParseDomain(s string) (string, error) {
	d := TrimInvisible(s)
	reason := invisibleReason(d)
	if reason == "" {
		d, reason = parseDomain(d)
	}
	if reason != "" {
		return "", &AddressError{Input: s, Reason: reason}
	}
	return d, nil
}

func parseDomain(s string) (domain, reason string) {
	s = strings.TrimSuffix(s, ".")
	switch {
	case s == "":
		return "", "there is no domain behind the @"
	case s[0] == '[':
		return parseLiteral(s)
	case len(s) > 1000:
		return "", "its domain is too long"
	}
	d, ok := plainDomain(s)
	if !ok {
		if d, ok = unicodeDomain(s); !ok {
			return "", "its domain is no valid name"
		}
	}
	last := d[strings.LastIndexByte(d, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return "", "its domain ends in a number; an IP address is written in brackets"
	}
	return d, ""
}

// plainDomain takes the names that nearly all mail has: ASCII without A-labels.
func plainDomain(s string) (string, bool) {
	if len(s) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(s, ".") {
		n := len(label)
		if n == 0 || n > 63 || label[0] == '-' || label[n-1] == '-' || n >= 4 && strings.EqualFold(label[:4], "xn--") {
			return "", false
		}
		for i := range n {
			if !isLabelByte(label[i]) {
				return "", false
			}
		}
	}
	return strings.ToLower(s), true
}

func unicodeDomain(s string) (string, bool) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Quotation_Mark, r) }) {
		return "", false // idna lets them through
	}
	d, err := domains.ToASCII(s)
	if err != nil || strings.HasSuffix(d, ".") {
		return "", false
	}
	for i := range len(d) {
		if d[i] != '.' && !isLabelByte(d[i]) {
			return "", false
		}
	}
	// What is written must be read again as the same name.
	again, err := domains.ToASCII(d)
	return d, err == nil && again == d
}

func isLetterDigitHyphen(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

// isLabelByte adds the underscore, which is in no host name (RFC 952) and in many names of mail
// domains and containers.
func isLabelByte(c byte) bool { return isLetterDigitHyphen(c) || c == '_' }

// parseLiteral reads "[192.0.2.1]" and "[IPv6:2001:db8::1]" (RFC 5321, 4.1.3). No other kind of
// literal was ever registered.
func parseLiteral(s string) (domain, reason string) {
	const refused = "its address literal is neither [1.2.3.4] nor [IPv6:…]"
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", refused
	}
	const tag = "IPv6:"
	v6 := len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if v6 {
		inner = inner[len(tag):]
	}
	ip, err := netip.ParseAddr(inner)
	switch {
	case err != nil || ip.Zone() != "" || ip.Is4() == v6:
		return "", refused
	case v6:
		return "[" + tag + ip.String() + "]", ""
	}
	return "[" + ip.String() + "]", ""
}

// writableDomain is d with everything replaced that no parsed domain holds.
func writableDomain(d string) string {
	for i := range len(d) {
		if !isDomainByte(d[i]) {
			return strings.Map(func(r rune) rune {
				if r < 128 && isDomainByte(byte(r)) {
					return r
				}
				return '?'
			}, d)
		}
	}
	return d
}

func isDomainByte(c byte) bool {
	return isLabelByte(c) || c == '.' || c == '[' || c == ']' || c == ':'
}
