package getopt

import (
	"fmt"
	"strings"
	"testing"
)

// show is what Parse made of a command line, in one string.
func show(options []Option, operands []string, err error) string {
	var b strings.Builder
	for _, o := range options {
		fmt.Fprintf(&b, "%c", o.Letter)
		if o.Value != "" {
			fmt.Fprintf(&b, "=%s", o.Value)
		}
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "%q", operands)
	if err != nil {
		fmt.Fprintf(&b, " %v", err)
	}
	return b.String()
}

// A command line means what it means to getopt(3).
func TestParse(t *testing.T) {
	for _, c := range []struct{ letters, args, want string }{
		{"ab:", "", "[]"},
		{"ab:", "-a", "a []"},
		{"ab:", "-a -b x y", `a b=x ["y"]`},
		{"ab:", "-abx y", `a b=x ["y"]`},
		{"ab:", "-ab x", "a b=x []"},
		{"ab:", "x -a y", `a ["x" "y"]`},
		{"+ab:", "-a x -a y", `a ["x" "-a" "y"]`},
		{"ab:", "-a - -b -", `a b=- ["-"]`},
		{"ab:", "-- -a", `["-a"]`},
		{"ab:", "-b -- -a", "b=-- a []"},
		{"ab:", "-a -x", "a [] invalid option -- 'x'"},
		{"ab:", "-ax", "a [] invalid option -- 'x'"},
		{"ab:", "-a:", "a [] invalid option -- ':'"},
		{"ab:", "-ab", "a [] option requires an argument -- 'b'"},
		{"ab:", "-\x01", `[] invalid option -- '\x01'`},
		{"ab:", "-é", `[] invalid option -- '\xc3'`},
		{"aq::", "-q -aqI5 x", `q a q=I5 ["x"]`},
		{"ab:", "--help", "[] invalid option -- '-'"},
	} {
		if got := show(Parse(strings.Fields(c.args), c.letters)); got != c.want {
			t.Errorf("Parse(%q, %q): got %s, want %s", c.args, c.letters, got, c.want)
		}
	}
}

// Any arguments give options that are known, and lose no operand.
func FuzzParse(f *testing.F) {
	f.Add("-a\x00-b\x00x\x00y", "ab:")
	f.Add("-abx\x00--\x00-a", "+ab:")
	f.Fuzz(func(t *testing.T, line, letters string) {
		args := strings.Split(line, "\x00")
		options, operands, err := Parse(args, letters)
		for _, o := range options {
			if !strings.Contains(strings.TrimPrefix(letters, "+"), string([]byte{o.Letter})) {
				t.Fatalf("%q was not asked for in %q", o.Letter, letters)
			}
		}
		if err == nil && len(options) == 0 && len(operands) < len(args)-1 {
			t.Fatalf("%q lost operands: %q", args, operands)
		}
	})
}
