package postfix

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"dinkymail/cli/world"
)

// Types of tables. All but the patterns are text files here, whatever their type has Postfix make
// of them.
const (
	patterns     = "regexp"
	perlPatterns = "pcre"
)

var textTables = []string{"btree", "cdb", "dbm", "hash", "lmdb", "sdbm", "texthash"}

// cutKind splits "type:file". A file alone is of type hash.
func cutKind(name string) (kind, file string) {
	kind, file, ok := strings.Cut(name, ":")
	if !ok || strings.ContainsAny(kind, "/.") {
		return "hash", name
	}
	return kind, file
}

// largestTable bounds a table, in bytes.
const largestTable = 64 << 20

func openTable(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fail(1, "open database %s: %v", file, cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, largestTable+1))
	if err == nil && len(text) > largestTable {
		err = fmt.Errorf("it is larger than %d bytes", largestTable)
	}
	if err != nil {
		return "", fail(1, "read database %s: %v", file, cause(err))
	}
	return string(text), nil
}

// cause is what the system said, without the name of the file, which stands before it already.
func cause(err error) string {
	text := world.Cause(err)
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

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

// parseTable reads "key value" or, as in aliases(5), "key: value"; with patterns, "/pattern/flags
// value". A line that begins with white space continues the one before; empty lines and those that
// begin with # are comments. A line without a value is left out.
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
