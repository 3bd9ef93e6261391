package message

import (
	"strings"
	"unicode/utf8"
)

// listParser reads an address-list (RFC 5322, 3.4) from front to back. Of the obsolete forms it
// knows empty list elements, comments and white space around the @, and dots in display names. It
// also takes names that should stand in quotes, such as "ada@example.org <ada@example.org>" and
// "[Shop] Ada <…>", dots anywhere in a local part, and invisible characters around names and
// addresses. Its methods return in words what is wrong.
type listParser struct {
	s       string
	i       int
	start   int    // of the element that is read
	comment string // the last that was skipped
	groups  bool   // there was one
}

// list reads to the end, or to the semicolon that ends a group.
func (p *listParser) list(group bool) (list []Mailbox, reason string) {
	for {
		if reason := p.skip(); reason != "" {
			return nil, reason
		}
		switch c := p.peek(); {
		case c == 0 && p.i == len(p.s):
			if group {
				return nil, "a group is not ended with a semicolon"
			}
			return list, ""
		case c == ';' && group:
			p.i++
			return list, ""
		case c == ',':
			p.i++
			continue
		}
		p.start = p.i
		entry, reason := p.entry(group)
		if reason != "" {
			return nil, reason
		}
		list = append(list, entry...)
		if reason := p.skip(); reason != "" {
			return nil, reason
		}
		if c := p.peek(); p.i < len(p.s) && c != ',' && (c != ';' || !group) {
			return nil, "there is a comma missing between two addresses"
		}
	}
}

// culprit is the element of the list that reading stopped in.
func (p *listParser) culprit() string {
	end := len(p.s)
	if i := strings.IndexByte(p.s[p.i:], ','); i >= 0 {
		end = p.i + i
	}
	return strings.TrimSpace(p.s[p.start:end])
}

// peek is the next byte, 0 at the end.
func (p *listParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// skip goes over white space, line ends that fold it, invisible characters, and comments.
func (p *listParser) skip() string {
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == ' ' || c == '\t':
		case c == '\r' || c == '\n':
			n := p.lineBreak()
			if n == 0 {
				return "there is a line break in it"
			}
			p.i += n - 1
		case c == '(':
			if !p.skipComment() {
				return "a bracket is never closed"
			}
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(p.s[p.i:])
			if !isTrimmed(r) {
				return ""
			}
			p.i += n - 1
		default:
			return ""
		}
	}
	return ""
}

// lineBreak is the length of the white space that begins with the line break at p.i, when that
// folds the list or stands right before or behind an address; 0 when it does not.
func (p *listParser) lineBreak() int {
	const blank = " \t\r\n"
	rest := p.s[p.i:]
	if len(rest) > 2 && rest[:2] == "\r\n" && (rest[2] == ' ' || rest[2] == '\t') {
		return 3
	}
	before, after := strings.TrimRight(p.s[:p.i], blank), strings.TrimLeft(rest, blank)
	if after == "" || strings.IndexByte(",;>", after[0]) >= 0 || before == "" || strings.IndexByte(",<", before[len(before)-1]) >= 0 {
		return len(rest) - len(after)
	}
	return 0
}

// skipComment goes to the bracket that closes the one at p.i.
func (p *listParser) skipComment() bool {
	var b strings.Builder
	for depth := 0; p.i < len(p.s); p.i++ {
		c := p.s[p.i]
		switch c {
		case '(':
			if depth++; depth == 1 {
				continue
			}
		case ')':
			if depth--; depth == 0 {
				p.comment = TrimInvisible(clean(decodeWords(unfold(b.String()))))
				return true
			}
		case '\\':
			if p.i++; p.i == len(p.s) {
				return false
			}
			c = p.s[p.i]
		}
		b.WriteByte(c)
	}
	return false
}

// word is an atom, dots included, or a quoted string without its quotes.
type word struct {
	text   string
	quoted bool
}

// entry reads a mailbox or a group.
func (p *listParser) entry(inGroup bool) ([]Mailbox, string) {
	if name, ok := p.looseName(); ok {
		m, reason := p.angle()
		m.Name = name
		return []Mailbox{m}, reason
	}
	var words []word
	for {
		w, reason := p.word()
		if reason != "" {
			return nil, reason
		}
		if w != (word{}) {
			words = append(words, w)
		}
		p.comment = ""
		if reason := p.skip(); reason != "" {
			return nil, reason
		}
		switch c := p.peek(); {
		case c == '<':
			p.i++
			m, reason := p.angle()
			m.Name = phrase(words)
			return []Mailbox{m}, reason
		case c == '@':
			m, reason := p.bare(words)
			return []Mailbox{m}, reason
		case c == ':' && len(words) > 0 && !inGroup:
			p.i++
			p.groups = true
			return p.list(true)
		case w == (word{}) || p.i == len(p.s):
			return nil, "there is no address with an @ where one should be"
		}
	}
}

// looseName reads the name before an angle bracket up to behind the bracket, when there is one and
// the name has characters that should stand in quotes. It moves on only then.
func (p *listParser) looseName() (string, bool) {
	i := strings.IndexAny(p.s[p.i:], `"(\,:;<>`+"\r\n")
	if i < 0 || p.s[p.i+i] != '<' || !strings.ContainsAny(p.s[p.i:p.i+i], "@[]") {
		return "", false
	}
	name := TrimInvisible(clean(decodeWords(p.s[p.i : p.i+i])))
	p.i += i + 1
	return name, true
}

// word reads one, or nothing where none stands.
func (p *listParser) word() (word, string) {
	start := p.i
	if p.peek() == '"' {
		text, rest, ok := unquote(p.s[p.i:])
		p.i = len(p.s) - len(rest)
		if !ok {
			return word{}, "a quotation mark is never closed"
		}
		return word{text: text, quoted: true}, ""
	}
	if n := encodedWordLength(p.s[p.i:]); n > 0 {
		p.i += n
		return word{text: p.s[start:p.i]}, ""
	}
	for p.i < len(p.s) && (isAtext(p.s[p.i]) || p.s[p.i] == '.' || p.s[p.i] >= utf8.RuneSelf) {
		p.i++
	}
	return word{text: p.s[start:p.i]}, ""
}

// unquote reads a quoted-string, folded or not.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return unfold(b.String()), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// encodedWordLength is the length of the encoded word that s begins with, 0 without one. Some
// programs write characters into it that RFC 2047, 5 keeps out of a phrase.
func encodedWordLength(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	s = s[:min(len(s), 1000)]
	if i := strings.IndexAny(s, " \t\r\n<>\""); i >= 0 {
		s = s[:i]
	}
	parts := strings.SplitN(s[2:], "?", 4)
	if len(parts) < 4 || len(parts[1]) != 1 || !strings.HasPrefix(parts[3], "=") {
		return 0
	}
	return len("=?") + len(parts[0]) + 1 + 1 + 1 + len(parts[2]) + len("?=")
}

// phrase is a display name as it is read.
func phrase(words []word) string {
	var b, plain strings.Builder
	flush := func() {
		b.WriteString(decodeWords(plain.String()))
		plain.Reset()
	}
	for i, w := range words {
		into := &plain
		if w.quoted {
			flush()
			into = &b
		}
		if i > 0 {
			into.WriteByte(' ')
		}
		into.WriteString(w.text)
	}
	flush()
	return TrimInvisible(clean(b.String()))
}

// angle reads the address in angle brackets, whose first has been read.
func (p *listParser) angle() (Mailbox, string) {
	if reason := p.skip(); reason != "" {
		return Mailbox{}, reason
	}
	local, reason := p.word()
	if reason == "" {
		reason = p.skip()
	}
	if reason != "" {
		return Mailbox{}, reason
	}
	m, reason := p.address(local)
	if reason != "" {
		return m, reason
	}
	if p.peek() != '>' {
		return Mailbox{}, "an angle bracket is never closed"
	}
	p.i++
	return m, ""
}

// bare reads an address without angle brackets; a comment behind it is an old way to give its name.
func (p *listParser) bare(words []word) (Mailbox, string) {
	if len(words) != 1 {
		return Mailbox{}, "the part before the @ is not one word"
	}
	m, reason := p.address(words[0])
	m.Name = p.comment
	return m, reason
}

// address reads the @ and the domain behind local.
func (p *listParser) address(local word) (Mailbox, string) {
	if p.peek() != '@' || local.text == "" {
		return Mailbox{}, "there is no address with an @ where one should be"
	}
	p.i++
	if p.peek() < utf8.RuneSelf { // what cannot be seen is not skipped inside an address
		if reason := p.skip(); reason != "" {
			return Mailbox{}, reason
		}
	}
	a, reason := newAddress(local.text, strings.TrimRightFunc(p.domain(), isTrimmed))
	if reason != "" {
		return Mailbox{}, reason
	}
	p.comment = ""
	return Mailbox{Address: a}, p.skip()
}

// domain reads up to where it cannot go on; whether it is one is checked elsewhere.
func (p *listParser) domain() string {
	start := p.i
	if p.peek() == '[' {
		if i := strings.IndexByte(p.s[p.i:], ']'); i >= 0 {
			p.i += i + 1
			return p.s[start:p.i]
		}
	}
	for p.i < len(p.s) && (isAtext(p.s[p.i]) || p.s[p.i] == '.' || p.s[p.i] >= utf8.RuneSelf) {
		p.i++
	}
	return p.s[start:p.i]
}
