package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"dinkymail/operate"

	"github.com/go-json-experiment/json/jsontext"
)

// request is the body of POST /send as the caller gave it. Nothing in it has been checked but the types.
type request struct {
	To          list              `json:"to"`
	Cc          list              `json:"cc"`
	Bcc         list              `json:"bcc"`
	ReplyTo     list              `json:"reply_to"`
	From        string            `json:"from"`
	Subject     string            `json:"subject"`
	Body        string            `json:"body"`
	Text        string            `json:"text"`
	HTML        markup            `json:"html"`
	Headers     map[string]string `json:"headers"`
	Attachments []attachment      `json:"attachments"`
	SendAt      string            `json:"send_at"`
	Tags        []string          `json:"tags"`
	Metadata    map[string]string `json:"metadata"`

	others others // the fields that are none of these
	form   *form  // how the request was written, if it was no JSON
}

// list is a string or an array of strings. A value of another type is remembered, to be reported by the field's name.
type list struct {
	all []string
	odd bool
}

// UnmarshalJSON reads either form.
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	*l = list{}
	if b[0] == '[' {
		l.odd = json.Unmarshal(b, &l.all) != nil
	} else if l.odd = json.Unmarshal(b, &one) != nil; one != "" {
		l.all = []string{one}
	}
	return nil
}

// markup is the field html: true when body is HTML, or the HTML text itself.
type markup struct {
	body bool
	text string
	odd  bool
}

// flags are the words by which html says yes or no in a string, as forms and shells do. None of
// them is a mail.
var flags = map[string]bool{
	"true": true, "1": true, "yes": true, "on": true, "y": true, "t": true,
	"false": false, "0": false, "no": false, "off": false, "n": false, "f": false, "null": false, "none": false, "undefined": false,
}

// UnmarshalJSON reads either form. A string that is but a flag is one.
func (m *markup) UnmarshalJSON(b []byte) error {
	*m = markup{}
	if b[0] == '"' {
		var text string
		m.odd = json.Unmarshal(b, &text) != nil
		m.set(text)
	} else {
		m.odd = json.Unmarshal(b, &m.body) != nil
	}
	return nil
}

// set takes a string: a flag, or the HTML.
func (m *markup) set(text string) {
	word := ""
	if len(text) <= longestFlag {
		word = strings.ToLower(strings.TrimSpace(text))
	}
	if flag, is := flags[word]; is {
		m.body = flag
	} else {
		m.text = text
	}
}

// Bounds of what is remembered beside the mail.
const (
	maxTags      = 20
	maxMetadata  = 50
	maxWord      = 200  // bytes of a tag or a metadata name
	maxValue     = 2000 // bytes of a metadata value
	longestFlag  = 20   // bytes
	stringOrList = "a string or an array of strings"
)

// parse reads the one JSON object that b must be. Names are read in the spellings of spellings,
// without regard to case; a known one may stand there once. What the others hold is kept as text.
// Text that is not UTF-8 is refused: guessing would send wrong letters.
func (q *request) parse(b []byte) error {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\ufeff")))
	switch {
	case len(b) == 0:
		return operate.Malformed("the body is empty.")
	case !utf8.Valid(b):
		return operate.Malformed("the body is not UTF-8.")
	case b[0] != '{':
		return operate.Malformed("the body must be a JSON object.")
	}
	if r, ok := quick(b); ok && len(r.Attachments) <= maxAttachments {
		*q = r
	} else if err := q.decode(b); err != nil {
		return err
	}
	return q.checkExtras()
}

// decode reads any request, and says what is wrong with one.
func (q *request) decode(b []byte) error {
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil { // only here: the messages of its errors are known
		return badJSON(err)
	}
	whole = nil
	var seen [len(fieldTypes)]bool
	return members(b, func(name string, value []byte) error {
		i := fieldNamed(name)
		switch {
		case i < 0:
			q.others.addJSON(name, value)
			return nil
		case seen[i]:
			return operate.Malformed("the field \"" + fieldTypes[i].name + "\" is given twice.")
		}
		seen[i] = true
		if fieldTypes[i].name == "attachments" {
			return q.decodeAttachments(value)
		}
		if json.Unmarshal(value, fieldTypes[i].at(q)) != nil || q.odd() != "" || saysWhether[squash(name)] && q.HTML.text != "" {
			return mistyped(fieldTypes[i].name)
		}
		return nil
	})
}

// members calls each for the members of the valid JSON object b, in their order, until it returns
// an error. The value is only good until each returns.
func members(b []byte, each func(name string, value []byte) error) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		return badJSON(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return badJSON(err)
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return badJSON(err)
		}
		if err := each(key, value); err != nil {
			return err
		}
	}
	return nil
}

// odd is the first of the fields of two types that had a third one; empty when none had.
func (q *request) odd() string {
	for _, f := range [...]struct {
		name string
		odd  bool
	}{{"to", q.To.odd}, {"cc", q.Cc.odd}, {"bcc", q.Bcc.odd}, {"reply_to", q.ReplyTo.odd}, {"html", q.HTML.odd}} {
		if f.odd {
			return f.name
		}
	}
	return ""
}

// checkExtras bounds what would be stored with the mail.
func (q *request) checkExtras() error {
	if len(q.Tags) > maxTags {
		return operate.Malformed(fmt.Sprintf("there are more than %d tags.", maxTags))
	}
	for _, t := range q.Tags {
		if len(t) > maxWord {
			return operate.Malformed(fmt.Sprintf("a tag is longer than %d bytes.", maxWord))
		}
	}
	if len(q.Metadata) > maxMetadata {
		return operate.Malformed(fmt.Sprintf("there are more than %d entries in \"metadata\".", maxMetadata))
	}
	for name, value := range q.Metadata {
		if len(name) > maxWord || len(value) > maxValue {
			return operate.Malformed(fmt.Sprintf("a name in \"metadata\" is longer than %d bytes or its value than %d.", maxWord,
				maxValue))
		}
	}
	return nil
}

func mistyped(name string) *operate.Error {
	for _, f := range fieldTypes {
		if f.name == name {
			return operate.Malformed("the field \"" + name + "\" must be " + f.what + ".")
		}
	}
	return operate.Malformed("a field has the wrong type.")
}

// badJSON says what is wrong with the JSON in a sentence of ours where the decoder's would puzzle.
func badJSON(err error) *operate.Error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if syntax.Error() == "unexpected end of JSON input" {
			return operate.Malformed("the JSON ends too early.")
		}
		return operate.Malformed(fmt.Sprintf("the JSON is wrong at byte %d: %v.", syntax.Offset, syntax))
	}
	return operate.Malformed(err.Error() + ".")
}
