package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/joho/godotenv"
)

const pw = "SMTP_RELAY_PASSWORD"

// readPassword reads a .env that holds MAIL_DOMAIN, the line given and one more.
func readPassword(t *testing.T, line string) (d *dotenv, text string) {
	t.Helper()
	d = readDotenv([]byte("MAIL_DOMAIN=example.com\n"+line+"\nDEFAULT_TO=ada@example.com\n"), ".env",
		map[string]string{"HOME": "/root"})
	if got := d.entries["DEFAULT_TO"].value; got != "ada@example.com" {
		t.Errorf("%s: the line behind was read as %q", line, got)
	}
	return d, d.entries[pw].value
}

// A password arrives as it was written; where readers of .env disagree about it, the line is named
// as well.
func TestPasswordsArriveUnchanged(t *testing.T) {
	for _, c := range []struct {
		written, want string
		warned        bool
	}{
		{`plain`, `plain`, false},
		{`abcd efgh ijkl mnop`, `abcd efgh ijkl mnop`, false},
		{`  spaces around  `, `spaces around`, false},
		{`p@ss$1w0rd!`, `p@ss$1w0rd!`, true},
		{`p@ss$word`, `p@ss$word`, true},
		{`$start`, `$start`, true},
		{`$START`, `$START`, true},
		{`end$`, `end$`, false},
		{`$`, `$`, false},
		{`$$`, `$$`, true},
		{`a$$B`, `a$$B`, true},
		{`${x`, `${x`, true},
		{`a${NOT_SET}b`, `a${NOT_SET}b`, true},
		{`$(id)`, `$(id)`, false},
		{`a#b`, `a#b`, false},
		{`#begins`, `#begins`, false},
		{`a##`, `a##`, false},
		{`it's`, `it's`, false},
		{`say"hi`, `say"hi`, false},
		{`a\b`, `a\b`, false},
		{`a=b=c`, `a=b=c`, false},
		{`a:b`, `a:b`, false},
		{"a`b`", "a`b`", false},
		{`a!b`, `a!b`, false},
		{`a&b|c;d`, `a&b|c;d`, false},
		{`ключ🔑`, `ключ🔑`, false},
		{`a%20b`, `a%20b`, false},
		{`tab	inside`, `tab	inside`, false},
		{`secret # my comment`, `secret`, true},
		{`pa\$s`, `pa$s`, true},
		{`'plain'`, `plain`, false},
		{`'p@ss$1w0rd!'`, `p@ss$1w0rd!`, false},
		{`'a # b'`, `a # b`, false},
		{`'a #b'  # comment`, `a #b`, false},
		{`'a#b'#comment`, `a#b`, false},
		{`' around '`, ` around `, false},
		{`'say "hi"'`, `say "hi"`, false},
		{`'${MAIL_DOMAIN}'`, `${MAIL_DOMAIN}`, false},
		{`'$HOME'`, `$HOME`, false},
		{`'back\slash'`, `back\slash`, false},
		{`'ends in \'`, `ends in \`, false},
		{`'\n'`, `\n`, false},
		{`''`, ``, false},
		{`"plain"`, `plain`, false},
		{`"a b"`, `a b`, false},
		{`"a # b"`, `a # b`, false},
		{`"it's"`, `it's`, false},
		{`"p@ss$1w0rd!"`, `p@ss$1w0rd!`, true},
		{`"a$b"`, `a$b`, true},
		{`"$(id)"`, `$(id)`, false},
		{`"say \"hi\" now"`, `say "hi" now`, false},
		{`"\"edge\""`, `"edge"`, true}, // godotenv drops the last quote
		{`"a\$b"`, `a$b`, true},
		{`"a\\b"`, `a\b`, true},
		{`"ends in \\"`, `ends in \`, true},
		{`"a\b"`, `ab`, true},
		{`""`, ``, false},
		{`${MAIL_DOMAIN}!`, `example.com!`, true},
		{``, ``, false},
		{` # the password goes here`, ``, false},
	} {
		for _, before := range []string{"", "export ", "  "} {
			d, got := readPassword(t, before+pw+"="+c.written)
			if got != c.want || len(d.problems) > 0 {
				t.Errorf("%s: got %q, want %q; %v", c.written, got, c.want, d.problems)
			}
			if warned := len(d.warnings) > 0; warned != c.warned {
				t.Errorf("%s: warned %v, want %v: %q", c.written, warned, c.warned, d.warnings)
			}
			for _, w := range d.warnings {
				checkHint(t, c.written, w)
			}
		}
	}
}

// A line whose meaning is doubtful is refused: by its number and variable, with a cure, and without
// the password.
func TestDoubtfulPasswordsAreNamed(t *testing.T) {
	for _, written := range []string{
		`abc #def`, `abc # def #ghi`, ` #abcdef`, `'it's mine'`, `"say "hi" there"`, `'unfinished`, `"unfinished`,
		`"ends in \"`, `'`, `"`,
		`''twice''`, `'a'b`, `'a\'b'`, `abc$HOME`, `"abc${HOME}"`, `${PW:-x1y2z3}`, "a\x01bcdef", "a\xffbcdef", "hid\u0085den",
	} {
		d, got := readPassword(t, pw+"="+written)
		if got != "" || len(d.problems) != 1 {
			t.Errorf("%s: got %q and %d problems, want none and one: %v", written, got, len(d.problems), d.problems)
			continue
		}
		checkHint(t, written, d.problems[0].Error())
	}
}

// checkHint checks that a text about the second line of .env names it, has a cure, and does not
// show the value.
func checkHint(t *testing.T, written, text string) {
	t.Helper()
	if !strings.Contains(text, pw) || !strings.Contains(text, ".env line 2") {
		t.Errorf("%s: the message names neither line nor variable: %s", written, text)
	}
	if inner := strings.Trim(written, `'" `); len(inner) > 5 && strings.Contains(text, inner) {
		t.Errorf("%s: the message shows the password: %s", written, text)
	}
}

// Marks and line ends that editors leave behind, repeated variables, values of other programs and
// wrong lines.
func TestDotenvFiles(t *testing.T) {
	for _, c := range []struct {
		name, file, variable, want, says string
		problems                         int
	}{
		{"byte order mark", "\ufeffMAIL_DOMAIN=a.example\n", "MAIL_DOMAIN", "a.example", "", 0},
		{"CRLF", "MAIL_DOMAIN=a.example\r\nDEFAULT_TO=\"b@a.example\"\r\n", "DEFAULT_TO", "b@a.example", "", 0},
		{"no newline at the end", "MAIL_DOMAIN=a.example", "MAIL_DOMAIN", "a.example", "", 0},
		{"colon", "MAIL_DOMAIN: a.example", "MAIL_DOMAIN", "a.example", "", 0},
		{"spaces", "  export\tMAIL_DOMAIN =  a.example  # mine", "MAIL_DOMAIN", "a.example", "", 0},
		{"several #", "MAIL_DOMAIN=a.example #b #c", "MAIL_DOMAIN", "a.example", "", 0},
		{"twice", "MAIL_DOMAIN=a.example\nMAIL_DOMAIN=b.example", "MAIL_DOMAIN", "b.example",
			"line 2) was set before, at .env line 1", 0},
		{"reference", "MAIL_DOMAIN=a.example\nDEFAULT_FROM=web@${MAIL_DOMAIN}", "DEFAULT_FROM", "web@a.example", "", 0},
		{"reference to the environment", "DATA_DIR=$HOME/mail", "DATA_DIR", "/root/mail", "", 0},
		{"reference to nothing", "DEFAULT_FROM=web@${DOMIAN}", "DEFAULT_FROM", "", "${DOMIAN}, which is not set above", 1},
		{"no assignment", "MAIL_DOMAIN a.example", "MAIL_DOMAIN", "", ".env line 1: is no NAME=value", 1},
		{"bad name", "MAIL DOMAIN=a.example", "MAIL_DOMAIN", "", ".env line 1: is no NAME=value", 1},
		{"somebody else's lines", "KEY=\"-----BEGIN\nMAIL_DOMAIN=wrong\nEND-----\"\nX='it's'\nMAIL_DOMAIN=a.example",
			"MAIL_DOMAIN", "a.example", "", 0},
		{"somebody else's open quote", "X=\"oops\nMAIL_DOMAIN=a.example", "MAIL_DOMAIN", "a.example", "", 0},
		{"several wrong lines", "what\nMAIL_DOMAIN='a\nDEFAULT_TO=b@a.example\n", "DEFAULT_TO", "b@a.example",
			"MAIL_DOMAIN (.env line 2)", 2},
		{"old Macintosh", "MAIL_DOMAIN=a.example\rDEFAULT_TO=b@a.example", "MAIL_DOMAIN", "", "control character", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := readDotenv([]byte(c.file), ".env", map[string]string{"HOME": "/root"})
			if got := d.entries[c.variable].value; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if len(d.problems) != c.problems {
				t.Errorf("got %d problems, want %d: %v", len(d.problems), c.problems, d.problems)
			}
			said := strings.Join(d.warnings, "\n")
			if err := errors.Join(d.problems...); err != nil {
				said += err.Error()
			}
			if !strings.Contains(said, c.says) || c.says == "" && said != "" {
				t.Errorf("said %q, want %q", said, c.says)
			}
		})
	}
}

// Whatever the file: no crash, no lost line without a word, and where nothing was said about a
// password, it is what godotenv reads, too, or stood in single quotes.
func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{"plain", "p@ss$1w0rd!", "'it''s'", `"a\"b"`, "a # b", "'a\\'", "${X}", "\ufeffé", `"\\"`,
		"a\x00", "$(", " #x", `"$A`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		d := readDotenv([]byte(pw+"="+rest), ".env", nil)
		if strings.ContainsAny(rest, "\r\n") || len(d.problems) > 0 || len(d.warnings) > 0 {
			return
		}
		got := d.entries[pw].value
		trimmed := strings.TrimFunc(rest, isBlank)
		if strings.HasPrefix(trimmed, "'") {
			if !strings.Contains(trimmed, "'"+got+"'") {
				t.Errorf("%q was read as %q", rest, got)
			}
			return
		}
		if strings.HasPrefix(trimmed, "#") {
			return // a comment in place of a value; godotenv takes it for the value
		}
		all, err := godotenv.Unmarshal(pw + "=" + rest)
		if err != nil || all[pw] != got {
			t.Errorf("%q was read as %q, godotenv reads %q (%v), and nothing was said", rest, got, all[pw], err)
		}
	})
}
