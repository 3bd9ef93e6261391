package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// seat is an operator at a terminal.
type seat struct {
	console
	keyboard, screen *os.File
	shown            chan string
}

// sit opens a terminal of some width and begins to read what it shows.
func (c console) sit(width int) *seat {
	c.t.Helper()
	s := &seat{console: c, shown: make(chan string, 1)}
	s.keyboard, s.screen = terminal(c.t)
	if err := unix.IoctlSetWinsize(int(s.screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(width)}); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		var all bytes.Buffer
		one := make([]byte, 1)
		for {
			if _, err := io.ReadFull(s.keyboard, one); err != nil || one[0] == 0 {
				s.shown <- strings.ReplaceAll(all.String(), "\r\n", "\n")
				return
			}
			all.Write(one)
		}
	}()
	return s
}

// run runs a command at the terminal, with what is typed meanwhile, and returns its exit status and
// what was shown.
func (s *seat) run(typed string, environ []string, args ...string) (int, string) {
	s.t.Helper()
	w := worldOf(s.screen, s.screen, s.screen, append([]string{"MAIL_DOMAIN=example.com", "DATA_DIR=" + s.dir}, environ...))
	w.Now = func() time.Time { return night }
	if _, err := io.WriteString(s.keyboard, typed); err != nil {
		s.t.Fatal(err)
	}
	code := w.Run(s.t.Context(), args)
	if _, err := s.screen.Write([]byte{0}); err != nil { // the end, for the reader
		s.t.Fatal(err)
	}
	return code, <-s.shown
}

// A table fits the terminal, from the narrowest on; where there is room the reason stands in the
// row.
func TestTablesFitTheTerminal(t *testing.T) {
	c := stocked(t)
	for _, width := range []int{60, 80, 140, 200} {
		_, shown := c.sit(width).run("", []string{"NO_COLOR=1"}, "queue", "--all")
		golden(t, fmt.Sprintf("terminal-%d.txt", width), shown)
		list, _, _ := strings.Cut(shown, "\n\n")
		for line := range strings.Lines(list) {
			if n := columns(strings.TrimSuffix(line, "\n")); n > max(width, 74) {
				t.Errorf("at %d columns a line has %d: %s", width, n, line)
			}
		}
	}
	if _, shown := c.sit(200).run("", []string{"NO_COLOR=1", "COLUMNS=80"}, "queue"); strings.Contains(shown, "WHY") {
		t.Errorf("COLUMNS does not count:\n%s", shown)
	}
}

// There is color on a terminal alone, and none with NO_COLOR or where the terminal has none.
func TestColors(t *testing.T) {
	c := stocked(t)
	for _, test := range []struct {
		environ []string
		want    bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}, {[]string{"TERM=dumb"}, false}} {
		if _, shown := c.sit(100).run("", test.environ, "queue"); strings.Contains(shown, "\x1b[33mheld\x1b[0m") != test.want {
			t.Errorf("%v: got\n%q", test.environ, shown)
		}
	}
	if _, out, _ := c.run("", "queue"); strings.Contains(out, "\x1b") {
		t.Errorf("colors in a pipe: %q", out)
	}
}

// No mail can do anything to the terminal it is shown on, unless --raw asks for every byte.
func TestMailIsHarmlessOnATerminal(t *testing.T) {
	c := stocked(t)
	if _, shown := c.sit(100).run("", nil, "cat", "0cagh3h68onkmkg0"); !strings.Contains(shown, "X-Odd: ^[]0;gotcha^G\n") {
		t.Errorf("got %q", shown)
	}
	if _, shown := c.sit(100).run("", nil, "cat", "0cagh3h68onkmkg0", "--raw"); !strings.Contains(shown, "X-Odd: \x1b]0;gotcha\x07") {
		t.Errorf("got %q", shown)
	}
}

// On a terminal purge asks; only yes removes, and JSON is never mixed with a question.
func TestPurgeAsks(t *testing.T) {
	c := stocked(t)
	for _, test := range []struct {
		typed, want string
		args        []string
	}{
		{"n\n", "Nothing was removed.", nil},
		{"\n", "Nothing was removed.", nil},
		{"y\n", "Removed 2 messages. dinkymail undo takes that back", nil},
		{"", "No message matches.", nil},
	} {
		code, shown := c.sit(100).run(test.typed, []string{"NO_COLOR=1"}, "purge", "--to", "example.net")
		if asked := strings.Contains(shown, "Remove 2 messages? [y/N]"); code != 0 || !strings.Contains(shown, test.want) || asked != (test.typed != "") {
			t.Errorf("typed %q: exit status %d\n%s", test.typed, code, shown)
		}
	}
}

// A list that is cut short says so, and of one message as of one.
func TestFooterOfALimit(t *testing.T) {
	c := stocked(t)
	for limit, want := range map[string]string{"1": "\nThis is the first; there are more:", "2": "\nThese are the first 2; there are more:"} {
		if _, shown := c.sit(100).run("", nil, "queue", "--limit", limit); !strings.Contains(shown, want) {
			t.Errorf("--limit %s:\n%s", limit, shown)
		}
	}
}
