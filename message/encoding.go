package message

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// The content transfer encodings (RFC 2045, 6) that we write.
const (
	sevenBit        = "7bit"
	quotedPrintable = "quoted-printable"
	base64Encoding  = "base64"
)

// maxLine is the length of a line, without its CRLF, that every server takes (RFC 5322, 2.1.1).
const maxLine = 998

// crlf gives every line of s the end CRLF, whichever it had, and the last one too.
func crlf(s string) string { return string(appendCRLF(nil, s)) }

// appendCRLF appends s with the line ends that crlf gives it.
func appendCRLF(dst []byte, s string) []byte {
	for {
		line, rest, more := strings.Cut(s, "\n")
		line = strings.TrimSuffix(line, "\r")
		for {
			piece, after, cut := strings.Cut(line, "\r")
			dst = append(append(dst, piece...), crlfBytes...)
			if !cut {
				break
			}
			line = after
		}
		if !more || rest == "" {
			return dst
		}
		s = rest
	}
}

// validUTF8 is s with U+FFFD for every run of bytes that is not UTF-8.
func validUTF8(s string) string {
	if utf8.ValidString(s) { // many times faster than looking for the first such byte
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// encodeText gives text, whose lines end in CRLF, in the plainest encoding in which it arrives
// unchanged whatever it passes through, and the name of the encoding. Text that could be taken for
// a boundary of ours is never left as it is. What it gives may be text itself.
func encodeText(text []byte) ([]byte, string) {
	if isRobust(text) {
		return text, sevenBit
	}
	return encodeBytes(nil, text)
}

// encodeBytes appends text in quoted-printable or base64, whichever is shorter.
func encodeBytes(dst, text []byte) ([]byte, string) {
	if odd := countOdd(text); 2*odd > len(text)/3 {
		return appendBase64(dst, text), base64Encoding
	}
	return appendQuotedPrintable(dst, text), quotedPrintable
}

// countOdd counts the bytes that take three characters in quoted-printable, but for the rare ones.
func countOdd(text []byte) int {
	odd := 0
	for _, c := range text {
		if c > '~' || c < ' ' && c != '\r' && c != '\n' {
			odd++
		}
	}
	return odd
}

// isRobust reports whether text may stand in a mail as it is: short lines of printable ASCII, none
// that ends in white space (which is stripped on the way), begins with "From " (which becomes
// ">From ") or with a dot, or looks like a boundary.
func isRobust(text []byte) bool {
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, crlfBytes[1:])
		if ended {
			var whole bool
			if line, whole = bytes.CutSuffix(line, crlfBytes[:1]); !whole {
				return false
			}
		}
		switch {
		case len(line) > foldAt, bytes.HasPrefix(line, fromBytes), bytes.HasPrefix(line, markBytes):
			return false
		case len(line) > 0 && (line[0] == '.' || line[len(line)-1] == ' ' || line[len(line)-1] == '\t'):
			return false
		}
		for _, c := range line {
			if c > '~' || c < ' ' && c != '\t' {
				return false
			}
		}
		text = rest
	}
	return true
}

// What a line of text must not begin with, besides a dot.
var (
	fromBytes = []byte("From ")
	markBytes = []byte("--=")
)

// qpLine is the longest line of quoted-printable, without the soft break's "=".
const qpLine = 75

// appendQuotedPrintable encodes text (RFC 2045, 6.7). CRLF stays a line end; everything that a hop
// might change is encoded, so that what is decoded is text, byte for byte. No line of it is a
// multipart boundary unless one of text is.
func appendQuotedPrintable(dst, text []byte) []byte {
	dst, _, _ = quotedPrintableUpTo(dst, text, len(text), 0)
	return dst
}

// qpAhead is how many bytes behind a byte decide how it is encoded.
const qpAhead = len("From ")

// quotedPrintableUpTo encodes text[:end], or one byte more where a line end stands across end, and
// begins in this column of a line. It returns how many bytes were encoded and the column after
// them. Unless end is that of text there are qpAhead bytes more.
func quotedPrintableUpTo(dst, text []byte, end, column int) (out []byte, used, after int) {
	i := 0
	for ; i < end; i++ {
		if column > 0 {
			n := plainRun(text[i:], min(qpLine-column, end-i))
			dst = append(dst, text[i:i+n]...)
			column += n
			if i += n; i >= end {
				break
			}
		}
		c := text[i]
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			dst = append(dst, "\r\n"...)
			column = 0
			i++
			continue
		}
		room := 1
		encode := mustEncode(text, i, column)
		if encode {
			room = 3
		}
		if column+room > qpLine {
			dst = append(dst, "=\r\n"...)
			column = 0
			// A line that begins in the middle of one must not become something else by that.
			encode = encode || c == '.' || c == '-' || c == 'F'
			if encode {
				room = 3
			}
		}
		if encode {
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, c)
		}
		column += room
	}
	return dst, i, column
}

const hexDigits = "0123456789ABCDEF"

// plainRun is how many of the next bytes, most at most, stand for themselves inside a line.
func plainRun(text []byte, most int) int {
	n := 0
	most = min(most, len(text))
	for n < most && plain[text[n]] {
		n++
	}
	if n > 0 && text[n-1] == ' ' && (n == len(text) || text[n] == '\r' || text[n] == '\n') {
		n--
	}
	return n
}

// plain are the bytes that stand for themselves in quoted-printable, the space but at the end of a
// line.
var plain = func() (table [256]bool) {
	for c := ' '; c <= '~'; c++ {
		table[c] = c != '='
	}
	return table
}()

// mustEncode reports whether the byte at i cannot stand for itself in quoted-printable.
func mustEncode(text []byte, i, column int) bool {
	c := text[i]
	switch {
	case c == ' ' || c == '\t':
		return i+1 == len(text) || text[i+1] == '\r' || text[i+1] == '\n'
	case c < ' ' || c > '~' || c == '=':
		return true
	case column > 0:
		return false
	}
	return c == '.' || c == 'F' && bytes.HasPrefix(text[i:], fromBytes)
}

// base64Line is how many bytes make a line of 76 characters.
const base64Line = 57

// appendBase64 encodes b in lines of 76 characters, each with its CRLF.
func appendBase64(dst, b []byte) []byte {
	for len(b) > 0 {
		n := min(base64Line, len(b))
		dst = base64.StdEncoding.AppendEncode(dst, b[:n])
		dst = append(dst, "\r\n"...)
		b = b[n:]
	}
	return dst
}
