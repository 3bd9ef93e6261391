package config

import (
	"regexp"
	"strings"
)

// reference is a $NAME or ${NAME} at the start of a text.
var reference = regexp.MustCompile(`^\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// conditional is a ${NAME:-other} at the start of a text, which shells know and we do not.
var conditional = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*:?[-+?=][^}]*\}`)

// dollars resolves escapes (double quotes only) and references in a value. A $ that refers to
// nothing stands for itself.
func (d *dotenv) dollars(a assignment, text string, quoted bool) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text) && (quoted || text[i+1] == '$'):
			i++
			b.WriteByte(unescaped(text[i]))
		case c == '$':
			if conditional.MatchString(text[i:]) {
				d.problem(a, "a ${NAME…} with a rule inside is not understood", "write the value itself, or "+cure)
				return "", false
			}
			m := reference.FindStringSubmatch(text[i:])
			if m == nil {
				b.WriteByte(c)
				continue
			}
			v, ok := d.refer(a, m[0], m[1]+m[2])
			if !ok {
				return "", false
			}
			b.WriteString(v)
			i += len(m[0]) - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	default:
		return c
	}
}

// refer is what a reference stands for. In a secret, only a variable of the same file does; a
// password that happens to look like a reference is left alone.
func (d *dotenv) refer(a assignment, written, name string) (string, bool) {
	fromEnv, inEnv := d.env[name]
	inFile, isSet := d.entries[name]
	switch {
	case !a.secret && inEnv:
		return fromEnv, true
	case isSet && !a.secret:
		return inFile.value, true
	case isSet:
		d.warn(a, "contains a reference, which was replaced by the value of a variable above. If it means itself, "+cure+".")
		return inFile.value, true
	case inEnv:
		d.problem(a, "contains what looks like a reference to a variable of the environment, and may mean itself",
			"if it means itself, "+cure+"; else write the value or use "+fileForm(a.name))
		return "", false
	case a.secret:
		return written, true
	default:
		d.problem(a, "refers to "+written+", which is not set above this line", "set "+name+" before it, or "+cure+
			" if the $ is meant")
		return "", false
	}
}
