package postfix

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"dinkymail/cli/world"
)

// entry is one line of a table, with those that continue it.
type entry struct {
	key, value string
	line       int
}

// readTable reads a table of a type that is known.
func readTable(kind, file string) ([]entry, error) {
	pattern := kind == patterns || kind == perlPatterns
	if !pattern && !slices.Contains(textTables, kind) {
		return nil, fail(1, "unsupported dictionary type: %s", kind)
	}
	text, err := openTable(file)
	if err != nil {
		return nil, err
	}
	return parseTable(text, pattern), nil
}

// parseTable reads "key value" or, as in aliases(5), "key: value"; with patterns, "/pattern/flags value". A line that
// begins with white space continues the one before; empty lines and those that begin with # are comments. A line without
// a value is left out.
func parseTable(text string, pattern bool) []entry {
	var all []entry
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		first, _ := utf8.DecodeRuneInString(line)
		switch bare := strings.TrimLeftFunc(line, unicode.IsSpace); {
		case bare == "" || bare[0] == '#':
		case unicode.IsSpace(first) && len(all) > 0:
			all[len(all)-1].value += line
		default:
			all = append(all, entry{value: bare, line: number})
		}
	}
	cut := cutKey
	if pattern {
		cut = cutPattern
	}
	for i := range all {
		all[i].key, all[i].value = cut(all[i].value)
	}
	return slices.DeleteFunc(all, func(e entry) bool { return !pattern && (e.key == "" || e.value == "") })
}

// cutKey splits a line at the white space behind its key, or at the colon of aliases(5).
func cutKey(line string) (key, value string) {
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		key, value, _ = strings.Cut(quoted, `"`)
		return key, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(value), ":"))
	}
	if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
		key, value = strings.TrimSuffix(line[:i], ":"), strings.TrimSpace(line[i:])
		if after, ok := strings.CutPrefix(value, ": "); ok {
			value = strings.TrimSpace(after)
		}
		return key, value
	}
	key, value, _ = strings.Cut(line, ":")
	return key, value
}

// cutPattern splits a line behind its pattern and flags.
func cutPattern(line string) (key, value string) {
	start := 0
	if strings.HasPrefix(line, "!") {
		start = 1
	}
	if len(line) <= start+1 {
		return line, ""
	}
	for i := start + 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case line[start]:
			end := strings.IndexFunc(line[i:], unicode.IsSpace)
			if end < 0 {
				return line, ""
			}
			return line[:i+end], strings.TrimSpace(line[i+end:])
		}
	}
	return line, ""
}

// pattern is a line of a table of patterns.
type pattern struct {
	match  *regexp.Regexp
	not    bool
	result string // with ${1} for what the first pair of brackets matched
}

// reference is how Postfix writes what a pair of brackets matched.
var reference = regexp.MustCompile(`\$(?:(\d+)|\{(\d+)\}|\((\d+)\))`)

// compile makes a dictionary of a table of patterns. Their flags are Postfix's: without i, the case of letters does not
// matter.
func (c *command) compile(file string, entries []entry) (dictionary, error) {
	all := make([]pattern, 0, len(entries))
	for _, e := range entries {
		text, not := strings.CutPrefix(e.key, "!")
		if text == "" || text[0] >= utf8.RuneSelf || plausible(text[:1]) { // if and endif among them
			return nil, fail(1, "%s, line %d: this is no /pattern/ with a result; if and endif are not known here", file, e.line)
		}
		end := strings.LastIndexByte(text, text[0])
		if end == 0 {
			return nil, fail(1, "%s, line %d: the pattern has no end", file, e.line)
		}
		flags := "(?is)"
		if strings.Contains(text[end:], "i") {
			flags = "(?s)"
		}
		if strings.Contains(text[end:], "m") {
			flags += "(?m)"
		}
		match, err := regexp.Compile(flags + text[1:end])
		if err != nil {
			return nil, fail(1, "%s, line %d: %v", file, e.line, err)
		}
		all = append(all, pattern{match, not, reference.ReplaceAllString(e.value, "$${$1$2$3}")})
	}
	return func(key string) (string, bool) {
		for _, p := range all {
			if value, found := p.apply(key); found {
				return value, true
			}
		}
		return "", false
	}, nil
}

func (p *pattern) apply(key string) (string, bool) {
	at := p.match.FindStringSubmatchIndex(key)
	if p.not {
		return p.result, at == nil
	}
	if at == nil {
		return "", false
	}
	return string(p.match.ExpandString(nil, p.result, key, at)), true
}

// cause is what the system said, without the name of the file, which stands before it already.
func cause(err error) string {
	text := world.Cause(err)
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}
