package plain

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode"
)

// Whatever a stranger wrote comes out as one line without control characters.
func TestLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"450 try  later", "450 try later"},
		{"one\r\n two\tthree\n", "one two three"},
		{"\x1b[31mred\x00\xff", "?[31mred??"},
		{"grüße\u202e", "grüße?"},
	} {
		if got := Line(c.text); got != c.want {
			t.Errorf("Line(%q): got %q, want %q", c.text, got, c.want)
		}
	}
}

// Only a CR before an LF is dropped, wherever the writes are cut.
func TestUnix(t *testing.T) {
	const text, want = "a\r\nb\rc\r\r\nd\n", "a\nb\rc\r\nd\n"
	for cut := range len(text) {
		var out bytes.Buffer
		w := Unix(&out)
		for _, part := range []string{text[:cut], text[cut:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
		}
		if out.String() != want {
			t.Errorf("cut at %d: got %q, want %q", cut, out.String(), want)
		}
	}
}

// A pipe, a file and a buffer are no terminals.
func TestTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Terminal(f) || Terminal(&bytes.Buffer{}) {
		t.Error("a file or a buffer was taken for a terminal")
	}
}

// No text leaves a control character in its line.
func FuzzLine(f *testing.F) {
	f.Add("450 4.2.0\x1b[2J\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if line := Line(text); strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("%q became %q", text, line)
		}
	})
}
