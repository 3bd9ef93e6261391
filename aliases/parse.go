package aliases

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"dinkymail/message"
)

// entry is one alias with what it stands for.
type entry struct {
	key     string // in small letters
	targets []string
	file    string
	line    int
}

// reading notes how each file looked just before it was read, and how much may still be read.
type reading struct {
	stamps map[string]stamp
	left   int64
}

func newReading() *reading { return &reading{stamps: map[string]stamp{}, left: MaxFiles} }

// text reads a file; with here, one that is no link.
func (r *reading) text(name string, here bool) (string, error) {
	r.stamps[name] = stampOf(name)
	text, err := readFile(name, min(MaxFile, r.left), here)
	r.left -= int64(len(text))
	return text, err
}

// logical is a line with those that continue it, and where it begins.
type logical struct {
	text string
	line int
}

// logicalLines joins lines that begin with white space to the one before, and drops comments and
// empty ones.
func logicalLines(text string) []logical {
	var all []logical
	n := 0
	for line := range strings.Lines(text) {
		n++
		bare := message.TrimInvisible(line)
		first, _ := utf8.DecodeRuneInString(line)
		switch {
		case bare == "" || bare[0] == '#':
		case unicode.IsSpace(first) && len(all) > 0:
			all[len(all)-1].text += " " + bare
		default:
			all = append(all, logical{bare, n})
		}
	}
	return all
}

// isAliases tells the two forms apart: by the first entry, whose key aliases(5) ends with a colon.
func isAliases(text string) bool {
	for _, l := range logicalLines(text) {
		_, _, ok := cutKey(l.text)
		return ok
	}
	return false
}

// parseAliases reads aliases(5): "name: target, target". A name may be quoted.
func (r *reading) parseAliases(file, text string) (entries []entry, problems []error) {
	for _, l := range logicalLines(text) {
		key, value, ok := cutKey(l.text)
		if !ok {
			problems = append(problems, &Problem{file, l.line, "there is no colon behind the alias; an entry is \"name: target, target\""})
			continue
		}
		if hidden := message.Invisible(key); hidden != "" {
			problems = append(problems, &Problem{file, l.line, "the name of an alias has an invisible character in it: " + hidden})
			continue
		}
		e := entry{key: strings.ToLower(key), line: l.line}
		for _, t := range splitTargets(value) {
			switch target, more, err := r.aliasTarget(file, t); {
			case err != "":
				problems = append(problems, &Problem{file, l.line, fmt.Sprintf("%s: %s", shown(key), err)})
			case more != nil:
				e.targets = append(e.targets, more...)
			default:
				e.targets = append(e.targets, target)
			}
		}
		if len(e.targets) == 0 {
			problems = append(problems, &Problem{file, l.line, shown(key) + " stands for nobody, so it counts as not there"})
			continue
		}
		entries = append(entries, e)
	}
	return entries, problems
}

// cutKey splits an entry of aliases(5) at the colon behind its name.
func cutKey(s string) (key, value string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return "", "", false
		}
		key, s = s[1:1+end], strings.TrimLeft(s[2+end:], " \t")
		value, ok = strings.CutPrefix(s, ":")
		return key, value, ok && key != ""
	}
	key, value, ok = strings.Cut(s, ":")
	key = message.TrimInvisible(key)
	return key, value, ok && key != "" && !strings.ContainsAny(key, " \t")
}

// splitTargets splits at commas outside quotes.
func splitTargets(s string) []string {
	var all []string
	quoted, from := false, 0
	add := func(t string) {
		if t = message.TrimInvisible(t); t != "" {
			all = append(all, t)
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			add(s[from:i])
			from = i + 1
		}
	}
	add(s[from:])
	return all
}

// aliasTarget is a target as it is kept, those of an included file, or why it cannot be used.
func (r *reading) aliasTarget(file, t string) (target string, more []string, problem string) {
	bare := strings.Trim(t, `"`)
	lower := strings.ToLower(bare)
	switch {
	case strings.HasPrefix(lower, ":include:"):
		more, problem = r.include(file, strings.TrimSpace(bare[len(":include:"):]))
		return "", more, problem
	case strings.HasPrefix(bare, "|"):
		return "", nil, fmt.Sprintf("%s: mail is not given to programs here; name an address", t)
	case strings.HasPrefix(bare, "/"):
		return "", nil, fmt.Sprintf("%s: mail is not written to files here; name an address", t)
	case strings.HasPrefix(bare, ":"):
		return "", nil, fmt.Sprintf("%s is not known here; name an address", t)
	}
	return checkTarget(t)
}

// shown is a key as a mistake names it. What is neither a name nor an address may be anything: the
// file may be another one than was meant.
func shown(key string) string {
	name := key
	if strings.HasPrefix(name, "@") {
		name = "x" + name
	}
	if _, _, bad := checkTarget(name); bad != "" {
		return "an entry"
	}
	return key
}

// checkTarget accepts an address or a local name; a backslash before it, which ends expansion,
// stays.
func checkTarget(t string) (target string, more []string, problem string) {
	if strings.HasSuffix(t, ">") { // with a display name
		m, err := message.ParseMailbox(t)
		if err != nil || m.Address.Domain == "" {
			return "", nil, "what stands there is no address: " + reason(err)
		}
		return m.Address.String(), nil, ""
	}
	name := strings.TrimPrefix(t, `\`)
	if !strings.Contains(name, "@") {
		name += "@localhost"
	}
	if _, err := message.ParseAddress(name); err != nil {
		return "", nil, "what stands there is no address and no local name: " + reason(err)
	}
	return t, nil, ""
}

// reason is why message refused an address, without the address: an included file may be another
// than was meant, and hold secrets.
func reason(err error) string {
	if err == nil {
		return "it has no domain"
	}
	var ae *message.AddressError
	if errors.As(err, &ae) {
		return ae.Reason
	}
	return err.Error()
}

// include reads a list of addresses, one or more to a line. A list does not include another.
func (r *reading) include(from, name string) (targets []string, problem string) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(from), name)
	}
	text, err := r.text(name, true)
	if err != nil {
		return nil, err.Error()
	}
	for _, l := range logicalLines(text) {
		for _, t := range splitTargets(l.text) {
			target, _, bad := checkTarget(t)
			if bad != "" {
				return nil, fmt.Sprintf("%s:%d: %s", name, l.line, bad) // and not what: see the package's limits
			}
			targets = append(targets, target)
		}
	}
	if len(targets) == 0 {
		return nil, name + " lists nobody"
	}
	return targets, ""
}

// mapKey is a key of virtual(5) as it is looked up: in small letters, an address as Address.String
// writes it.
func mapKey(key string) (string, error) {
	key = message.TrimInvisible(key)
	if hidden := message.Invisible(key); hidden != "" {
		return "", errors.New("a key has an invisible character in it: " + hidden)
	}
	if domain, ok := strings.CutPrefix(key, "@"); ok {
		if d, err := message.ParseDomain(domain); err == nil {
			return "@" + d, nil
		}
	} else if a, err := message.ParseAddress(key); err == nil {
		key = a.String()
	}
	return strings.ToLower(key), nil
}

// parseMap reads virtual(5): "key value, value", where key and values are addresses, "@domain" or
// local names.
func (*reading) parseMap(file, text string) (entries []entry, problems []error) {
	for _, l := range logicalLines(text) {
		name, value, _ := strings.Cut(strings.ReplaceAll(l.text, "\t", " "), " ")
		key, err := mapKey(name)
		if err != nil {
			problems = append(problems, &Problem{file, l.line, err.Error()})
			continue
		}
		e := entry{key: key, line: l.line}
		for _, t := range splitTargets(value) {
			target, bad := mapTarget(t)
			if bad != "" {
				problems = append(problems, &Problem{file, l.line, fmt.Sprintf("%s: %s", shown(key), bad)})
				continue
			}
			e.targets = append(e.targets, target)
		}
		if len(e.targets) == 0 {
			problems = append(problems, &Problem{file, l.line, shown(key) + " stands for nobody, so it counts as not there"})
			continue
		}
		entries = append(entries, e)
	}
	return entries, problems
}

// mapTarget is a target of virtual(5) as it is kept: that of checkTarget, or "@domain".
func mapTarget(t string) (target, problem string) {
	domain, ok := strings.CutPrefix(t, "@")
	if !ok {
		target, _, problem = checkTarget(t)
		return target, problem
	}
	d, err := message.ParseDomain(domain)
	if err != nil {
		return "", "what stands there is no domain: " + reason(err)
	}
	return "@" + d, ""
}
