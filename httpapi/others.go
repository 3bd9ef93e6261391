package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dinkymail/operate"
)

// Bounds of what is kept and shown of fields that are none of a request.
const (
	maxOthers     = 50       // fields
	maxOtherBytes = 10 << 10 // names and values of all of them
	maxOtherName  = 100      // bytes of a name
)

// others are the fields of a request that are none of ours, in their order. More is how many were
// too many to keep, and altering the first name whose loss would change what is delivered. The
// first message, email and name, which forms have, are there whole.
type others struct {
	list                 []other
	forPeople            int // how many of list are not for machines
	more                 int
	altering             string
	message, email, name string
}

// other is one of them, its value as text.
type other struct{ name, value string }

// addJSON takes a member of a JSON object. One that is null says nothing.
func (o *others) addJSON(name string, value []byte) {
	if o.more >= maxOthers {
		o.more++ // whoever sends so many does not mean any
		return
	}
	text := textOf(value)
	switch {
	case value[0] == '"':
		o.add(name, text)
	case value[0] == 'n':
	case text == "" || text == "0" || text == "false" || text == "{}":
		o.keep(name, text) // nothing that would have changed the mail
	default:
		o.note(name)
		o.keep(name, text)
	}
}

// add takes a field that is a text.
func (o *others) add(name, value string) {
	if !blank(value) {
		o.note(name)
		var at *string
		switch squash(name) {
		case "message":
			at = &o.message
		case "email":
			at = &o.email
		case "name":
			at = &o.name
		}
		if at != nil && *at == "" {
			*at = value
		}
	}
	o.keep(name, value)
}

// note remembers the first name that would have changed what is delivered.
func (o *others) note(name string) {
	if _, bad := altering[squash(name)]; bad && o.altering == "" {
		o.altering = name
	}
}

func (o *others) keep(name, value string) {
	switch machines := forMachines(name); {
	case machines && len(o.list)-o.forPeople >= maxOthers:
		return
	case !machines && o.forPeople >= maxOthers:
		o.more++
		return
	case !machines:
		o.forPeople++
	}
	o.list = append(o.list, other{cut(line(name), maxOtherName), strings.Clone(cut(value, maxOtherBytes))})
}

// first puts a field before all others.
func (o *others) first(name, value string) {
	if len(o.list) < 3*maxOthers {
		o.list = slices.Insert(o.list, 0, other{name, strings.Clone(cut(value, maxOtherBytes))})
	}
}

// takeMessage removes the first message and returns it.
func (o *others) takeMessage() string {
	i := slices.IndexFunc(o.list, func(f other) bool { return squash(f.name) == "message" && !blank(f.value) })
	if i >= 0 {
		o.list = slices.Delete(o.list, i, i+1)
	} else if o.message != "" {
		o.more--
	}
	return o.message
}

// warnings says to a program what was not understood.
func (q *request) warnings() []string {
	var all []string
	o := &q.others
	for i := range q.Attachments {
		if q.Attachments[i].unusual == nil {
			continue
		}
		for _, name := range q.Attachments[i].unusual.unread {
			if len(all) < maxOthers {
				all = append(all, fmt.Sprintf("The field %q of the attachment %s was not understood.", name, q.Attachments[i].title(i+1)))
			}
		}
	}
	for _, f := range o.list {
		all = append(all, fmt.Sprintf("The field %q was not understood and is not in the mail.", f.name))
	}
	if o.more > 0 {
		all = append(all, fmt.Sprintf("%d more fields were not understood.", o.more))
	}
	return all
}

// refuse is the answer to a program that gave a field whose loss would change what is delivered;
// nil when there was none.
func (o *others) refuse() error {
	if o.altering == "" {
		return nil
	}
	return refuse(operate.CodeUnknownField, fmt.Sprintf("The field %q is not known here: %s.", cut(line(o.altering), maxOtherName),
		altering[squash(o.altering)]))
}

// shown are the fields that the owner of a form sees, within all bounds, and how many are left out.
// What is meant for machines is not among either.
func (o *others) shown() (list []other, left int) {
	room := maxOtherBytes
	left = o.more
	for _, f := range o.list {
		if forMachines(f.name) || blank(f.value) {
			continue
		}
		if room -= len(f.name) + len(f.value); room < 0 {
			f.value = cut(f.value, max(0, len(f.value)+room))
			if room = 0; f.value == "" {
				left++
				continue
			}
		}
		list = append(list, f)
	}
	return list, left
}

// forMachines reports whether a field is a token of a captcha or a framework, or marked as no
// content.
func forMachines(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "_") || name == "" {
		return true
	}
	for _, part := range [...]string{"captcha", "altcha", "turnstile", "csrf", "authenticity_token"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// textOf is a JSON value as people read it: a string without its quotes, an array of plain values
// with commas, others as they are.
func textOf(value []byte) string {
	var text string
	var list []json.RawMessage
	switch {
	case value[0] == '"' && json.Unmarshal(value, &text) == nil:
		return text
	case value[0] == '[' && len(value) <= maxOtherBytes && json.Unmarshal(value, &list) == nil:
		words := make([]string, 0, len(list))
		for _, one := range list {
			switch one[0] {
			case '[', '{':
				return cut(string(value), maxOtherBytes)
			case 'n':
			default:
				words = append(words, textOf(one))
			}
		}
		return strings.Join(words, ", ")
	}
	return cut(string(value), maxOtherBytes)
}

// line is s on one line, without what cannot be seen.
func line(s string) string {
	return strings.Join(strings.Fields(strings.Map(visible, strings.ToValidUTF8(s, "\ufffd"))), " ")
}

// visible is r, a blank for a control character and nothing for those that change how others look.
func visible(r rune) rune {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return ' '
	case unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d': // these two join letters
		return -1
	}
	return r
}

// cut is the beginning of s that has at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
