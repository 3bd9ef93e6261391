package message

import "strings"

// asciiAddresses writes an address-list in ASCII, whatever its state: names and comments in encoded
// words, domains as A-labels. An address whose local part is not ASCII becomes the name of a group
// without members, which is text to every reader (RFC 6857, 3.1.7). Where it was the member of a
// group it stands behind that, since groups hold no groups.
func asciiAddresses(s string) []string {
	var words, behind []string
	inGroup := false
	for _, e := range addressElements(s) {
		text := strings.Trim(e.text, " \t")
		var own []string
		switch {
		case text == "":
		case isASCII(text):
			own = spaced(text)
		case e.end == ':' && !inGroup:
			own = encodedWords(phraseText(text))
		default:
			if own = asciiMailbox(text); inGroup && own[len(own)-1] == groupEnd {
				behind = append(append(behind, own[:len(own)-1]...), groupEnd+",")
				own = nil
			}
		}
		words = append(words, own...)
		words = endElement(words, e.end, len(own) > 0)
		if e.end == ':' {
			inGroup = true
		}
		if e.end == ';' {
			inGroup = false
			if len(behind) > 0 {
				words[len(words)-1] += ","
				behind[len(behind)-1] = groupEnd
				words, behind = append(words, behind...), nil
			}
		}
	}
	return append(words, behind...)
}

// groupEnd closes a group without members.
const groupEnd = ":;"

// endElement writes what ended an element: directly behind it, but for an encoded word, which
// stands alone (RFC 2047, 5). A comma behind nothing is left out.
func endElement(words []string, end byte, own bool) []string {
	n := len(words)
	switch {
	case end == 0, end == ',' && !own && (n == 0 || strings.HasSuffix(words[n-1], ",") || strings.HasSuffix(words[n-1], ":")):
	case n == 0 || isEncodedWord(words[n-1]):
		words = append(words, string(end))
	case end == ';':
		words[n-1] = strings.TrimSuffix(words[n-1], ",") + ";"
	default:
		words[n-1] += string(end)
	}
	return words
}

// element is a stretch of an address-list and the comma, colon or semicolon behind it; 0 at the
// end.
type element struct {
	text string
	end  byte
}

// addressElements cuts an address-list. A colon ends an element when it may be the name of a group.
func addressElements(s string) []element {
	var all []element
	from, depth, angle, group := 0, 0, false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			i++
		case c == '"' && depth == 0:
			if _, rest, ok := unquote(s[i:]); ok {
				i = len(s) - len(rest) - 1
			}
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case angle:
		case c == ',', c == ';' && group, c == ':' && !group && !strings.ContainsAny(s[from:i], "@["):
			all = append(all, element{s[from:i], c})
			from = i + 1
			group = c == ':' || group && c != ';'
		}
	}
	return append(all, element{text: s[from:]})
}

// asciiMailbox writes one mailbox that is not ASCII.
func asciiMailbox(s string) []string {
	name, address, comments := cutMailbox(s)
	var words []string
	ascii, ok := asciiSpec(address)
	switch {
	case ok && name == "":
		words = []string{ascii}
		if strings.Contains(s, "<") {
			words = []string{"<" + ascii + ">"}
		}
	case ok && isASCII(name):
		words = append(spaced(name), "<"+ascii+">")
	case ok:
		words = append(phraseWords(phraseText(name)), "<"+ascii+">")
	case strings.Contains(address, "@"):
		text := address
		if name != "" {
			text = phraseText(name) + " " + address
		}
		words = append(encodedWords(text), groupEnd)
	default: // no address at all
		words = encodedWords(phraseText(name + " " + address))
	}
	var remarks []string
	for _, c := range comments {
		if isASCII(c) {
			remarks = append(remarks, spaced("("+c+")")...)
			continue
		}
		encoded := encodedWords(decodeWords(strings.ReplaceAll(c, `\`, "")))
		encoded[0] = "(" + encoded[0]
		encoded[len(encoded)-1] += ")"
		remarks = append(remarks, encoded...)
	}
	if words[len(words)-1] == groupEnd { // what closes the group closes the element
		return append(remarks, words...)
	}
	return append(words, remarks...)
}

// cutMailbox cuts a mailbox in its name, as it is written, its address without angle brackets, and
// its comments without brackets.
func cutMailbox(s string) (name, address string, comments []string) {
	var outside, angle strings.Builder
	into, bracketed := &outside, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if _, rest, ok := unquote(s[i:]); ok {
				into.WriteString(s[i : len(s)-len(rest)])
				i = len(s) - len(rest) - 1
				continue
			}
			into.WriteByte(c)
		case c == '(':
			p := listParser{s: s, i: i}
			if !p.skipComment() {
				into.WriteByte(c)
				continue
			}
			comments = append(comments, s[i+1:p.i])
			i = p.i
		case c == '<' && !bracketed:
			into, bracketed = &angle, true
		case c == '>':
			into = &outside
		default:
			into.WriteByte(c)
		}
	}
	if !bracketed {
		return "", strings.TrimSpace(outside.String()), comments
	}
	return strings.TrimSpace(outside.String()), strings.TrimSpace(angle.String()), comments
}

// asciiSpec writes an address with its domain as A-labels. It is false when that does not make it
// ASCII.
func asciiSpec(s string) (string, bool) {
	at := strings.LastIndexByte(s, '@')
	switch {
	case s != "" && isASCII(s):
		return s, true // whatever it is
	case at < 0 || !isASCII(s[:at]):
		return "", false
	}
	domain, err := ParseDomain(s[at+1:])
	return s[:at+1] + domain, err == nil
}

// phraseText is a phrase as it is read: quotes and encoded words are dissolved.
func phraseText(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		text, rest, ok := unquote(s[i:])
		if !ok {
			break
		}
		b.WriteString(decodeWords(s[:i]))
		b.WriteString(text)
		s = rest
	}
	b.WriteString(decodeWords(s))
	return clean(b.String())
}
