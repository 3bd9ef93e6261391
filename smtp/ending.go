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

// oddity is what scan stops at.
type oddity uint8

const (
	nothingOdd oddity = iota
	strayCR           // a CR where LF would have ended the line
	strayDotCR        // the same, and the line was a dot so far
	loneDot           // a dot alone on a line that a bare LF ends
)

// scan reads b and returns how many of its bytes belong to the body, its end included. It stops at
// a stray CR of the kind that go-smtp trips over: it swallows the one in CR LF "." CR, and takes CR
// CR LF for no line end. With one more CR in front of what follows, go-smtp passes the stray one
// on, which gets the mail refused, and is in step again. It stops as well behind a dot that looks
// like the end of a mail to others: with one more dot in front of what follows, it is text.
func (e *ending) scan(b []byte) (n int, odd oddity) {
	for i := 0; i < len(b); i++ {
		if *e == lineInside {
			skip := bytes.IndexByte(b[i:], '\r')
			if skip < 0 {
				return len(b), nothingOdd
			}
			i += skip
		}
		was, c := *e, b[i]
		*e = was.next(c)
		switch {
		case was == lineCR && c == '\r':
			return i, strayCR
		case was == lineDotCR && c != '\n':
			return i, strayDotCR
		case was == lineDot && c == '\n':
			return i, loneDot
		case *e == bodyEnded:
			return i + 1, nothingOdd
		}
	}
	return len(b), nothingOdd
}

// unstuff takes out of b the dots that SMTP puts at the start of lines (RFC 5321, 4.5.2) and the end of the body. It returns
// how many bytes of b are left.
func (e *ending) unstuff(b []byte) int {
	kept := 0
	for i := 0; i < len(b) && *e != bodyEnded; {
		n := 1
		if *e == lineInside {
			if n = bytes.IndexByte(b[i:], '\r') + 1; n == 0 {
				n = len(b) - i
			}
		}
		*e = e.next(b[i+n-1])
		if *e != lineDot && *e != lineDotCR && *e != bodyEnded {
			if kept != i {
				copy(b[kept:], b[i:i+n])
			}
			kept += n
		}
		i += n
	}
	return kept
}

// next is where c leads to.
func (e ending) next(c byte) ending {
	switch e {
	case lineStart:
		return after(c, '.', lineDot, after(c, '\r', lineCR, lineInside))
	case lineCR:
		return after(c, '\n', lineStart, lineInside)
	case lineDot:
		return after(c, '\r', lineDotCR, lineInside)
	case lineDotCR:
		return after(c, '\n', bodyEnded, lineInside)
	default:
		return after(c, '\r', lineCR, e)
	}
}

func after(c, want byte, then, otherwise ending) ending {
	if c == want {
		return then
	}
	return otherwise
}
