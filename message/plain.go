package message

import (
	"bytes"
	"mime"
	"strings"

	"github.com/emersion/go-message/charset"
)

// decodeWords decodes the encoded words of a header value, and leaves what cannot be decoded.
func decodeWords(s string) string {
	decoder := mime.WordDecoder{CharsetReader: charset.Reader}
	if decoded, err := decoder.DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}

// bracketed is the first thing in angle brackets in a value, or the value.
func bracketed(value []byte) string {
	value = bytes.TrimSpace(value)
	if i := bytes.IndexByte(value, '<'); i >= 0 {
		if j := bytes.IndexByte(value[i:], '>'); j > 0 {
			value = value[i : i+j+1]
		}
	}
	return clean(string(value[:min(len(value), maxLine)]))
}

// unfold takes the line ends out of a value (RFC 5322, 2.2.3).
func unfold(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", ""), "\n", "")
}

// maxSubject is how many characters Facts keep of a subject.
const maxSubject = 200

// oneLine decodes an unstructured value for people to read in a list.
func oneLine(value []byte) string {
	const most = 4096 // bytes of it that are looked at
	if value = bytes.TrimSpace(value); len(value) > most {
		value = value[:wholeRunes(value[:most])]
	}
	s := unfold(decodeBytes(value, ""))
	if strings.Contains(s, "=?") {
		s = decodeWords(s)
	}
	s = clean(s)
	if len(s) <= maxSubject {
		return s
	}
	n := 0
	for i := range s {
		if n == maxSubject {
			return s[:i]
		}
		n++
	}
	return s
}
