package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/joho/godotenv"

	"dinkymail/message"
)

// entry is one variable of .env.
type entry struct {
	value  string
	source string // ".env line 3"
}

// dotenv reads a .env file line by line, so that a line which cannot be read, or which programs
// read differently, is named. godotenv reads each line as well: where it would take another value
// out of it, the line is settled here, with a warning, or refused with its cure.
type dotenv struct {
	path     string
	env      map[string]string // the real environment, for references
	known    map[string]Setting
	lines    []string
	entries  map[string]entry
	warnings []string
	problems []error
}

func readDotenv(data []byte, path string, env map[string]string) *dotenv {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	d := &dotenv{path: path, env: env, known: knownNames(), entries: map[string]entry{}, lines: strings.Split(text, "\n")}
	for i := 0; i < len(d.lines); i++ {
		i = d.read(i)
	}
	return d
}

// knownNames maps every name that is ours, old names and _FILE forms too, to its setting.
func knownNames() map[string]Setting {
	known := map[string]Setting{}
	for _, g := range Groups() {
		for _, st := range g.Settings {
			for _, name := range st.names() {
				known[name] = st
			}
		}
	}
	return known
}

// assignment is one line of .env, taken apart.
type assignment struct {
	line  int // from 1
	name  string
	rest  string // behind the = and the spaces after it
	space bool   // there were such spaces
	ours  bool
	// secret values are never expanded silently
	secret bool
}

func (d *dotenv) where(line int) string { return fmt.Sprintf("%s line %d", d.path, line) }

func (d *dotenv) problem(a assignment, reason, remedy string) {
	d.problems = append(d.problems, &Problem{Variable: a.name, Source: d.where(a.line), Reason: reason, Remedy: remedy})
}

func (d *dotenv) warn(a assignment, text string) {
	d.warnings = append(d.warnings, fmt.Sprintf("%s (%s) %s", a.name, d.where(a.line), text))
}

// read takes in the line at index i and returns the index of the last line it used.
func (d *dotenv) read(i int) int {
	text := strings.TrimFunc(d.lines[i], isBlank)
	if bare := message.TrimInvisible(text); bare == "" || bare[0] == '#' {
		return i
	}
	a, ok := d.assignment(i+1, text)
	if !ok {
		d.problem(assignment{line: i + 1}, "is no NAME=value"+among(a.name), "correct the line, or put # in front of it")
		return i
	}
	if !a.ours {
		return d.foreign(a, i)
	}
	switch {
	case !utf8.ValidString(text):
		d.problem(a, "is not UTF-8", "save the file as UTF-8")
		return i
	case strings.ContainsFunc(strings.ReplaceAll(text, "\t", ""), isControl):
		d.problem(a, "contains a control character", "write the line again by hand; something invisible was pasted")
		return i
	}
	value, ok := d.value(a)
	if !ok {
		return i
	}
	if old, twice := d.entries[a.name]; twice {
		d.warn(a, "was set before, at "+old.source+"; the later line counts.")
	}
	d.entries[a.name] = entry{value, d.where(a.line)}
	return i
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

func (d *dotenv) assignment(line int, text string) (assignment, bool) {
	if t, ok := strings.CutPrefix(text, "export"); ok && t != strings.TrimLeftFunc(t, isBlank) {
		text = strings.TrimLeftFunc(t, isBlank)
	}
	i := strings.IndexAny(text, "=:") // NAME: value is read too, as Docker Compose does
	if i < 0 {
		return assignment{}, false
	}
	a := assignment{line: line, name: message.TrimInvisible(text[:i])}
	a.rest = strings.TrimLeftFunc(text[i+1:], isBlank)
	if bare := message.TrimInvisible(a.rest); bare != "" && strings.IndexByte(`'"`, bare[0]) >= 0 {
		a.rest = a.rest[strings.IndexByte(a.rest, bare[0]):] // what cannot be seen before a quote is no value
	}
	a.space = len(a.rest) < len(text[i+1:])
	st, ours := d.known[a.name]
	a.ours, a.secret = ours, ours && st.Secret
	return a, variableName.MatchString(a.name)
}

// foreign keeps a variable of some other program, for references to it, and steps over a quoted
// value of several lines.
func (d *dotenv) foreign(a assignment, i int) int {
	last := i
	if q := a.rest; q != "" && (q[0] == '\'' || q[0] == '"') && closing(q) < 0 {
		for j := i + 1; j < len(d.lines); j++ {
			if strings.IndexByte(d.lines[j], q[0]) >= 0 {
				last = j
				break
			}
		}
	}
	all, err := godotenv.Unmarshal(a.name + "=" + a.rest)
	if err == nil && last == i {
		d.entries[a.name] = entry{all[a.name], d.where(a.line)}
	}
	return last
}

// value reads what stands behind the =. ok is false when the line was refused.
func (d *dotenv) value(a assignment) (text string, ok bool) {
	if a.rest == "" {
		return "", true
	}
	if a.rest[0] == '\'' {
		return d.quoted(a)
	}
	inQuotes := a.rest[0] == '"'
	var raw string
	if inQuotes {
		raw, ok = d.quoted(a)
	} else {
		raw, ok = d.bare(a)
	}
	if ok {
		text, ok = d.dollars(a, raw, inQuotes)
	}
	if !ok || !a.secret || text == "" {
		return text, ok
	}
	switch all, err := godotenv.Unmarshal("X=" + a.rest); {
	case strings.Contains(raw, `\$`), inQuotes && strings.Contains(strings.ReplaceAll(raw, `\"`, ""), `\`):
		d.warn(a, `has a \ that was read as an escape. If it belongs to the value, `+cure+".")
	case err != nil, all["X"] != text, interpolated.MatchString(raw):
		d.warn(a, "was read as it stands, but docker compose and other readers of .env would change it: "+cure+".")
	}
	return text, true
}

// interpolated is what docker compose replaces in a value, set or not.
var interpolated = regexp.MustCompile(`\$[A-Za-z_{$]`)

const cure = "put the whole value in 'single quotes'"

// quoted reads a value in quotes and checks that nothing but a comment follows.
func (d *dotenv) quoted(a assignment) (string, bool) {
	q := a.rest[:1]
	end := closing(a.rest)
	if end < 0 {
		d.problem(a, "the value begins with "+q+" and has no "+q+" at its end", otherQuotes(a, "close the quote on the same line"))
		return "", false
	}
	if tail := message.TrimInvisible(a.rest[end+1:]); tail != "" && tail[0] != '#' {
		d.problem(a, "something follows the closing "+q, otherQuotes(a, "remove it"))
		return "", false
	}
	return a.rest[1:end], true
}

// otherQuotes adds to a remedy what to do about a quote that belongs to the value.
func otherQuotes(a assignment, remedy string) string {
	if a.rest[0] == '\'' {
		remedy += `; where the quote belongs to the value, write it in "double quotes" with \ before every \, " and $`
	} else {
		remedy += "; where the quote belongs to the value, put the whole value in 'single quotes'"
	}
	if a.secret {
		remedy += ", or put it in a file and name that in " + fileForm(a.name)
	}
	return remedy
}

// fileForm is the variable that names a file with the value.
func fileForm(name string) string { return strings.TrimSuffix(name, "_FILE") + "_FILE" }

// closing is the index of the quote that ends the quoted text s, or -1. A backslash protects a
// double quote, and nothing protects a single one.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == s[0]:
			return i
		}
	}
	return -1
}

// bare reads a value without quotes: up to a # that has a space before it.
func (d *dotenv) bare(a assignment) (string, bool) {
	text := a.rest
	cut := -1
	if text[0] == '#' && a.space {
		cut = 0
	}
	for i := 1; i < len(text) && cut < 0; i++ {
		if text[i] == '#' && (text[i-1] == ' ' || text[i-1] == '\t') {
			cut = i
		}
	}
	if cut < 0 {
		return text, true
	}
	comment := text[cut+1:]
	text = strings.TrimRightFunc(text[:cut], isBlank)
	if !a.secret || text == "" && strings.HasPrefix(comment, " ") {
		return text, true
	}
	if comment != "" && comment[0] != ' ' || strings.Contains(comment, " #") {
		d.problem(a, "a # stands in the value, and what follows would be taken for a comment", cure)
		return "", false
	}
	d.warn(a, "ends before the # on its line. If the # belongs to the value, "+cure+".")
	return text, true
}

// isBlank is what may stand around names and values.
func isBlank(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\v' || r == '\f' }
