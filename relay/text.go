package relay

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes a stranger's text fit for one line of a log or a bounce: no controls, valid UTF-8, at
// most limit bytes.
func clean(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029':
			return ' '
		case r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
	return strings.TrimSpace(strings.ToValidUTF8(s[:min(len(s), limit)], ""))
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// visible makes a stranger's text fit for a terminal and for one line: what steers one, or would not show, is written as its
// number. At most maxLine bytes are left of it.
func visible(s string) string {
	const cut = "…"
	if len(s) <= maxLine && plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		word := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			word = fmt.Sprintf(`\x%02x`, s[i])
		case r == '\t':
			word = `\t`
		case r < ' ' || r == 0x7f:
			word = fmt.Sprintf(`\x%02x`, r)
		case !unicode.IsPrint(r):
			word = fmt.Sprintf(`\u%04x`, r)
		}
		if b.Len()+len(word) > maxLine-len(cut) && (i+n < len(s) || b.Len()+len(word) > maxLine) {
			return b.String() + cut
		}
		b.WriteString(word)
		i += n
	}
	return b.String()
}
