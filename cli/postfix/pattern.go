package postfix

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// pattern is a line of a table of patterns.
type pattern struct {
	match  *regexp.Regexp
	not    bool
	result string // with ${1} for what the first pair of brackets matched
}

// reference is how Postfix writes what a pair of brackets matched.
var reference = regexp.MustCompile(`\$(?:(\d+)|\{(\d+)\}|\((\d+)\))`)

// compile makes a dictionary of a table of patterns. Their flags are Postfix's: without i, the case
// of letters does not matter.
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
