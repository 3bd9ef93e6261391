package message

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const (
	foldAt   = 78  // the line length that RFC 5322, 2.1.1 asks for
	wordRoom = 52  // characters of payload in one encoded word, so that one fits behind "Subject: "
	longWord = 66  // a longer word without spaces is encoded, since it could not be folded
	longest  = 900 // the longest word that is written as it is where encoding would change the meaning; lines end at 998
)

// clean makes one line of printable text out of anything: invalid UTF-8 becomes U+FFFD, control
// characters become spaces.
func clean(s string) string {
	if isPrintable(s) {
		return strings.Trim(s, " ")
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.ReplaceAll(s, "\r\n", " ")
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Trim(s, " ")
}

// isPrintable reports whether s is printable ASCII.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// spaced splits text at its spaces, so that the words joined by single spaces are the text again.
func spaced(s string) []string {
	var words []string
	for len(s) > 0 {
		n := len(s) - len(strings.TrimLeft(s, " "))
		end := len(s)
		if i := strings.IndexByte(s[n:], ' '); i >= 0 {
			end = n + i
		}
		words = append(words, s[:end])
		if end == len(s) {
			break
		}
		s = s[end+1:]
	}
	return words
}

// textWords is an unstructured value (RFC 5322, 2.2.1) as words to fold between: as it is when it
// is ASCII without anything that looks encoded and without a word longer than limit, and in RFC
// 2047 encoded words otherwise.
func textWords(s string, limit int) []string {
	words := spaced(s)
	if !isASCII(s) || limit == longWord && strings.Contains(s, "=?") {
		return encodedWords(s)
	}
	for _, w := range words {
		if len(w) > limit {
			return encodedWords(s)
		}
	}
	return words
}

// encodedWords writes s as RFC 2047 encoded words, in whichever of the two encodings is shorter.
// They are good in text and in a phrase, and never split a character.
func encodedWords(s string) []string {
	quoted := 0
	for i := range len(s) {
		quoted += len(qByte(s[i]))
	}
	if quoted <= base64.StdEncoding.EncodedLen(len(s)) {
		return splitWords(s, "=?utf-8?q?", func(chunk string) string {
			var b strings.Builder
			for i := range len(chunk) {
				b.WriteString(qByte(chunk[i]))
			}
			return b.String()
		})
	}
	return splitWords(s, "=?utf-8?b?", func(chunk string) string {
		return base64.StdEncoding.EncodeToString([]byte(chunk))
	})
}

// splitWords encodes as many characters a word as there is room for.
func splitWords(s, open string, encode func(string) string) []string {
	var words []string
	start := 0
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		if i > start && len(encode(s[start:i+n])) > wordRoom {
			words = append(words, open+encode(s[start:i])+"?=")
			start = i
		}
		i += n
	}
	return append(words, open+encode(s[start:])+"?=")
}

// qTable has the "Q" form of every byte, as strict as a phrase needs it (RFC 2047, 5, rule 3).
var qTable = func() (t [256]string) {
	const upper = "0123456789ABCDEF"
	for c := range t {
		b := byte(c)
		switch {
		case b == ' ':
			t[c] = "_"
		case isLetterDigitHyphen(b) || strings.IndexByte("!*+/", b) >= 0:
			t[c] = string(rune(b))
		default:
			t[c] = string([]byte{'=', upper[b>>4], upper[b&15]})
		}
	}
	return t
}()

func qByte(c byte) string { return qTable[c] }

// appendField writes a header field, folded between its words where a line would get too long.
// Words hold no line breaks.
func appendField(dst []byte, name string, words ...string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':')
	column := len(name) + 1
	for i, w := range words {
		// Nothing is gained by an empty first line.
		if column+1+len(w) > foldAt && i > 0 {
			dst = append(dst, "\r\n"...)
			column = 0
		}
		dst = append(dst, ' ')
		dst = append(dst, w...)
		column += 1 + len(w)
	}
	return append(dst, "\r\n"...)
}
