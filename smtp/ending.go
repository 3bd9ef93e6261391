package smtp

import "bytes"

// ending looks for the end of a DATA body, CR LF "." CR LF: nothing else ends it (RFC 5321, 4.1.1.4). It goes in step with
// go-smtp, which looks for it as well. The zero value stands at the start of a body.
type ending uint8

const (
	lineStart  ending = iota // at the start of a line
	lineInside               // somewhere else in it
	lineCR                   // behind a CR, which begins a line end if LF follows
	lineDot                  // behind a dot at the start of a line
	lineDotCR                // behind that dot and a CR
	bodyEnded                // all of it was there
)

// scan reads b and returns how many of its bytes belong to the body, its end included. It stops at a stray CR of the kind that
// go-smtp trips over: it swallows the one in CR LF "." CR, and takes CR CR LF for no line end. With one more CR in front of
// what follows, go-smtp passes the stray one on, which gets the mail refused, and is in step again.
func (e *ending) scan(b []byte) (n int, stray bool) {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; *e {
		case lineInside:
			skip := bytes.IndexByte(b[i:], '\r')
			if skip < 0 {
				return len(b), false
			}
			i += skip
			*e = lineCR
		case lineStart:
			*e = after(c, '.', lineDot, after(c, '\r', lineCR, lineInside))
		case lineDot:
			*e = after(c, '\r', lineDotCR, lineInside)
		case lineCR:
			*e = after(c, '\n', lineStart, lineInside)
			if c == '\r' {
				return i, true
			}
		case lineDotCR:
			*e = after(c, '\n', bodyEnded, lineInside)
			if c != '\n' {
				return i, true
			}
			return i + 1, false
		}
	}
	return len(b), false
}

func after(c, want byte, then, otherwise ending) ending {
	if c == want {
		return then
	}
	return otherwise
}
