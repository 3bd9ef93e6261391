// Package plain makes what others wrote fit for a terminal, and for scripts that read lines.
package plain

import (
	"io"
	"os"
	"strings"
	"unicode"
)

// Line makes one line of a text: white space becomes single blanks, and what is no graphic
// character a question mark.
func Line(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, text)
}

// Terminal reports whether w is a terminal, or a device that does not mind being taken for one.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Unix makes a Writer that writes to w what it is given with LF for CRLF.
func Unix(w io.Writer) io.Writer { return &unix{w: w} }

type unix struct {
	w  io.Writer
	cr bool // a CR waits for what follows it
}

func (u *unix) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+1)
	for _, b := range p {
		if u.cr && b != '\n' {
			out = append(out, '\r')
		}
		if u.cr = b == '\r'; !u.cr {
			out = append(out, b)
		}
	}
	if _, err := u.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
