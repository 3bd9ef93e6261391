package message

// encodeChunk is how much of a part is encoded at once: whole lines of base64.
const encodeChunk = 256 * base64Line

// encoder writes a part in its new encoding, a chunk at a time.
type encoder struct {
	how    coding
	column int    // of the line that is written
	buf    []byte // read and not encoded yet
}

// pending reports whether something waits to be encoded.
func (e *encoder) pending() bool { return len(e.buf) > 0 }

// encode appends what can be encoded of buf, which is all of it at the end, and keeps the rest.
func (e *encoder) encode(dst []byte, last bool) []byte {
	used := len(e.buf)
	switch e.how {
	case toQuotedPrintable:
		end := len(e.buf)
		if !last {
			end -= qpAhead
		}
		dst, used, e.column = quotedPrintableUpTo(dst, e.buf, end, e.column)
	case toBase64:
		if !last {
			used -= used % base64Line
		}
		dst = appendBase64(dst, e.buf[:used])
	case rewrapBase64:
		dst = e.breakBase64(dst)
	case rewrapQuotedPrintable:
		dst, used = e.breakQuotedPrintable(dst, last)
	case asIs:
		dst = append(dst, e.buf...)
	}
	e.buf = append(e.buf[:0], e.buf[used:]...)
	return dst
}

// base64Width is the longest line of base64 (RFC 2045, 6.8).
const base64Width = 76

// breakBase64 puts line ends into base64: they mean nothing there.
func (e *encoder) breakBase64(dst []byte) []byte {
	for _, c := range e.buf {
		switch {
		case c == '\r' || c == '\n':
			e.column = 0
		case e.column >= base64Width && c != '-': // no line of it becomes a delimiter
			dst = append(dst, crlfBytes...)
			e.column = 1
		default:
			e.column++
		}
		dst = append(dst, c)
	}
	return dst
}

// breakQuotedPrintable puts soft line breaks into quoted-printable, never within an encoded byte,
// and encodes bytes above 127.
func (e *encoder) breakQuotedPrintable(dst []byte, last bool) (out []byte, used int) {
	const token = len("=XX")
	i := 0
	for i < len(e.buf) && (last || i+token <= len(e.buf)) {
		c, n := e.buf[i], 1
		if c == '\r' || c == '\n' {
			dst = append(dst, c)
			e.column = 0
			i++
			continue
		}
		if c == '=' && i+token <= len(e.buf) {
			if e.buf[i+1] == '\r' { // a soft line break: it ends the line anyway
				dst = append(dst, e.buf[i:i+token]...)
				e.column = 0
				i += token
				continue
			}
			if isHex(e.buf[i+1]) && isHex(e.buf[i+2]) {
				n = token
			}
		}
		width, encode := n, c > '~'
		// White space at the end of a line is none, and must not become some: it stays where it is,
		// as long as a line allows.
		if full := e.column+n > qpLine || encode && e.column+token > qpLine; full && (c != ' ' && c != '\t' || e.column > longest) {
			dst = append(dst, "=\r\n"...)
			e.column = 0
			encode = encode || c == '.' || c == '-' || c == 'F' // as in quotedPrintableUpTo
		}
		if encode {
			width = token
			dst = append(dst, '=', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, e.buf[i:i+n]...)
		}
		e.column += width
		i += n
	}
	return dst, i
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f' }
