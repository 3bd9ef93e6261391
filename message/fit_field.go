package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"
)

// decodeBytes makes text of a header's bytes: UTF-8 where they are that, else in the named charset,
// else Windows-1252, in which every byte is something. The last is also meant by those who write
// ISO 8859-1 or US-ASCII.
func decodeBytes(b []byte, name string) string {
	if utf8.Valid(b) {
		return string(b)
	}
	switch name = strings.ToLower(name); name {
	case "", "utf-8", "us-ascii", "iso-8859-1", "latin1":
	default:
		if r, err := charset.Reader(name, bytes.NewReader(b)); err == nil {
			if text, err := io.ReadAll(r); err == nil && utf8.Valid(text) && !bytes.ContainsRune(text, utf8.RuneError) {
				return string(text)
			}
		}
	}
	text, _ := charmap.Windows1252.NewDecoder().Bytes(b) // which never fails
	return string(text)
}

// Fields of whose structure something must be known to write them in ASCII, in small letters.
var (
	addressFields = fieldSet("from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-reply-to",
		"resent-to", "resent-cc", "resent-bcc", "return-path", "delivered-to", "errors-to", "return-receipt-to",
		"disposition-notification-to", "mail-followup-to", "mail-reply-to", "apparently-to", "x-original-from", "x-original-to")
	messageIDFields = fieldSet("message-id", "resent-message-id", "in-reply-to", "references", "content-id")
	paramFields     = fieldSet("content-type", "content-disposition")
	// peopleFields hold text for people, in which a word too long for a line may be encoded.
	peopleFields = fieldSet("subject", "comments", "keywords", "content-description", "thread-topic", "organization")
)

func fieldSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// fieldWords writes the value of a field, which is one line, in ASCII, as words to fold between.
func fieldWords(name, value string) []string {
	switch {
	case addressFields[name]:
		return asciiAddresses(value)
	case paramFields[name]:
		return asciiParams(value)
	case messageIDFields[name]:
		return spaced(asciiID(value))
	}
	return asciiText(value)
}

// asciiText encodes the words of an unstructured value that are not ASCII (RFC 2047, 5, rule 1).
// What stands between two of them is encoded along when it is nothing but an encoded word, since
// white space between encoded words is none.
func asciiText(s string) []string {
	words := spaced(s)
	var out []string
	for at := 0; at < len(words); {
		end, high := at, false
		for end < len(words) && (!isASCII(words[end]) || isEncodedWord(words[end])) {
			high = high || !isASCII(words[end])
			end++
		}
		switch {
		case high:
			out = append(out, encodedWords(decodeWords(strings.Join(words[at:end], " ")))...)
		case end > at:
			out = append(out, words[at:end]...)
		default:
			end++
			out = append(out, words[at])
		}
		at = end
	}
	return out
}

func isEncodedWord(s string) bool {
	s = strings.TrimLeft(s, " ")
	return strings.HasPrefix(s, "=?") && strings.HasSuffix(s, "?=") && len(s) > len("=??=")
}

// asciiID writes the bytes of message IDs that are not ASCII as "=XX": the same ID becomes the same
// in every field and mail.
func asciiID(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "=%02X", s[i])
		}
	}
	return b.String()
}

// asciiParams writes a value with parameters: those that are not ASCII in the form of RFC 2231.
func asciiParams(s string) []string {
	parts := splitOutside(s, ";")
	first := strings.Map(asciiOnly, strings.TrimSpace(parts[0]))
	var params []string
	for _, part := range parts[1:] {
		part = strings.TrimSpace(part)
		if isASCII(part) {
			if part != "" {
				params = append(params, part)
			}
			continue
		}
		name, value, _ := cutParam(part)
		params = append(params, paramWords(strings.Map(asciiOnly, name), value)...)
	}
	return joinParams(first, params)
}

// asciiOnly puts a question mark for what has no business where it stands.
func asciiOnly(r rune) rune {
	if r >= utf8.RuneSelf {
		return '?'
	}
	return r
}

// cutParam splits "name=value" and unquotes the value. Of a name in the form of RFC 2231 that is
// not ASCII all the same, the plain name and the value behind its charset and language are taken.
func cutParam(s string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(s, "=")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	if strings.HasPrefix(value, `"`) {
		if text, _, closed := unquote(value); closed {
			value = text
		}
	}
	if plain, _, extended := strings.Cut(name, "*"); extended && !isASCII(value) {
		name = plain
		if parts := strings.SplitN(value, "'", 3); len(parts) == 3 {
			value = parts[2]
		}
	}
	return name, value, ok
}

// mediaType reads a Content-Type more patiently than mime.ParseMediaType does: what cannot be read
// of it is left out.
func mediaType(s string) (kind string, params map[string]string) {
	parts := splitOutside(s, ";")
	kind = token(parts[0])
	params = map[string]string{}
	for _, part := range parts[1:] {
		if name, value, ok := cutParam(part); ok {
			if _, twice := params[name]; !twice {
				params[name] = value
			}
		}
	}
	return kind, params
}

// token is the word that a value begins with, in small letters: a comment or a stray semicolon may
// stand behind it.
func token(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if i := strings.IndexAny(s, " \t(;"); i >= 0 {
		s = s[:i]
	}
	return s
}

// splitOutside splits s at every one of the separators that stands outside of quotes.
func splitOutside(s, separators string) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(separators, c) >= 0:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// refold breaks the lines of a field that are beyond 998 bytes: before white space, which unfolds
// to what it was; behind commas between addresses; and text for people in encoded words. A longer
// word elsewhere stays, as anything else would change it.
func refold(out []byte, name string, raw []byte) []byte {
	for line := range bytes.Lines(raw) {
		text := bytes.TrimRight(line, "\r\n")
		if len(text) <= maxLine {
			out = append(out, line...)
			continue
		}
		column := 0
		for i, word := range foldable(name, string(text)) {
			if i > 0 && column+len(word) > foldAt && strings.Trim(word, " \t") != "" && column > 0 {
				out = append(out, crlfBytes...)
				column = 0
			}
			out = append(out, word...)
			column += len(word)
		}
		out = append(out, line[len(text):]...)
	}
	return out
}

// foldable cuts a line in words that may each begin a line of their own: but for the first they
// begin with white space.
func foldable(name, line string) []string {
	var words []string
	for len(line) > 0 {
		n := len(line) - len(strings.TrimLeft(line, " \t"))
		end := len(line)
		if i := strings.IndexAny(line[n:], " \t"); i >= 0 {
			end = n + i
		}
		words = append(words, longWords(name, line[:end], len(words) == 0)...)
		line = line[end:]
	}
	return words
}

// longWords cuts a word that is beyond a line, where that is possible.
func longWords(name, word string, first bool) []string {
	switch {
	case len(word) <= maxLine:
		return []string{word}
	case addressFields[name]:
		parts := splitOutside(word, ",")
		for i := range parts {
			if i < len(parts)-1 {
				parts[i] += ","
			}
			if i > 0 {
				parts[i] = " " + parts[i]
			}
		}
		return parts
	case peopleFields[name]:
		label := ""
		if first {
			if i := strings.IndexByte(word, ':'); i >= 0 {
				label, word = word[:i+1], word[i+1:]
			}
		}
		words := encodedWords(strings.TrimLeft(word, " \t"))
		words[0] = label + " " + words[0]
		for i := range words[1:] {
			words[i+1] = " " + words[i+1]
		}
		return words
	}
	return []string{word}
}
