package cli

import (
	"io"
	"os"
	"strconv"
	"unicode"
	"unicode/utf8"

	printable "dinkymail/internal/plain"
)

// screen is what the output is shown on.
type screen struct {
	terminal bool
	width    int // in characters; 0 without a terminal: as wide as it gets
	colors   bool
}

// screen says what Out is. COLUMNS overrides a terminal's width.
func (p *program) screen() screen {
	file, ok := p.Out.(*os.File)
	if !ok || !isTerminal(file) {
		return screen{}
	}
	s := screen{terminal: true, width: terminalWidth(file)}
	if n, err := strconv.Atoi(p.Getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	}
	if s.width <= 0 {
		s.width = 80
	}
	s.colors = p.Getenv("NO_COLOR") == "" && p.Getenv("TERM") != "dumb"
	return s
}

// color is an ANSI color.
type color string

const (
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	blue   color = "34"
	gray   color = "90"
	bold   color = "1"
)

// paint colors text, where there are colors.
func (s screen) paint(c color, text string) string {
	if !s.colors || c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// plain makes one line of what strangers wrote, without anything that could steer a terminal.
func plain(text string) string { return printable.Line(text) }

// harmless writes text to a terminal. Control characters other than line ends and tabs are shown,
// as ^[ for escape, so that no mail can do anything to the terminal. Carriage returns are left out.
type harmless struct {
	to   io.Writer
	rest []byte // the beginning of a character whose end has not come yet
}

func (h *harmless) Write(p []byte) (int, error) {
	in := append(h.rest, p...)
	var out []byte
	for len(in) > 0 && utf8.FullRune(in) {
		r, n := utf8.DecodeRune(in)
		switch {
		case r == '\n' || r == '\t' || unicode.IsPrint(r) && !(r == utf8.RuneError && n == 1):
			out = append(out, in[:n]...)
		case r == '\r':
		case r < ' ':
			out = append(out, '^', byte(r)+'@')
		default:
			out = append(out, '?')
		}
		in = in[n:]
	}
	h.rest = append([]byte(nil), in...)
	if _, err := h.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
