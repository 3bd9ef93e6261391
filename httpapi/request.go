package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
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
}

// fieldTypes says what each field of a request must be.
var fieldTypes = [...]struct{ name, what string }{
	{"to", stringOrList}, {"cc", stringOrList}, {"bcc", stringOrList}, {"reply_to", stringOrList},
	{"from", "a string"}, {"subject", "a string"}, {"body", "a string"}, {"text", "a string"}, {"send_at", "a string"},
	{"html", "true, false or a string"}, {"headers", "an object of strings"}, {"metadata", "an object of strings"},
	{"attachments", "an array of objects of strings"}, {"tags", "an array of strings"},
}

// attachment is one file of a request.
type attachment struct {
	Filename    string `json:"filename"`
	Content     string `json:"content"` // base64
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
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

// UnmarshalJSON reads either form.
func (m *markup) UnmarshalJSON(b []byte) error {
	*m = markup{}
	if b[0] == '"' {
		m.odd = json.Unmarshal(b, &m.text) != nil
	} else {
		m.odd = json.Unmarshal(b, &m.body) != nil
	}
	return nil
}

// Bounds of what is remembered beside the mail.
const (
	maxTags      = 20
	maxMetadata  = 50
	maxWord      = 200  // bytes of a tag or a metadata name
	maxValue     = 2000 // bytes of a metadata value
	stringOrList = "a string or an array of strings"
)

// parse reads the one JSON object that b must be. Names are read without regard to case; a known one may stand there once.
// Unknown ones are skipped, whatever they hold. Text that is not UTF-8 is refused: guessing would send wrong letters.
func (q *request) parse(b []byte) error {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\ufeff")))
	switch {
	case len(b) == 0:
		return malformed("the body is empty.")
	case !utf8.Valid(b):
		return malformed("the body is not UTF-8.")
	case b[0] != '{':
		return malformed("the body must be a JSON object.")
	}
	if r, ok := quick(b); ok {
		*q = r
	} else if err := q.decode(b); err != nil {
		return err
	}
	return q.checkExtras()
}

// decode reads any request, and says what is wrong with one.
func (q *request) decode(b []byte) error {
	if err := json.Unmarshal(b, q); err != nil {
		return badJSON(err)
	}
	if name := q.odd(); name != "" {
		return mistyped(name)
	}
	if name := twice(b); name != "" {
		return malformed("the field \"" + name + "\" is given twice.")
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

// twice is the first field of a request that the object b, which is valid JSON, has a second time.
func twice(b []byte) string {
	var seen [len(fieldTypes)]bool
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			begin := i
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if rest := bytes.TrimLeft(b[i+1:], " \t\r\n"); depth != 1 || rest[0] != ':' {
				continue
			}
			if f := fieldOf(b[begin : i+1]); f >= 0 && seen[f] {
				return fieldTypes[f].name
			} else if f >= 0 {
				seen[f] = true
			}
		}
	}
	return ""
}

// fieldOf is the index in fieldTypes of a quoted name; -1 when it is not there. It reads names as encoding/json does.
func fieldOf(quoted []byte) int {
	name := string(quoted[1 : len(quoted)-1])
	if strings.Contains(name, "\\") && json.Unmarshal(quoted, &name) != nil {
		return -1
	}
	for i, f := range fieldTypes {
		if strings.EqualFold(f.name, name) {
			return i
		}
	}
	return -1
}

// checkExtras bounds what would be stored with the mail.
func (q *request) checkExtras() error {
	if len(q.Tags) > maxTags {
		return malformed(fmt.Sprintf("there are more than %d tags.", maxTags))
	}
	for _, t := range q.Tags {
		if len(t) > maxWord {
			return malformed(fmt.Sprintf("a tag is longer than %d bytes.", maxWord))
		}
	}
	if len(q.Metadata) > maxMetadata {
		return malformed(fmt.Sprintf("there are more than %d entries in \"metadata\".", maxMetadata))
	}
	for name, value := range q.Metadata {
		if len(name) > maxWord || len(value) > maxValue {
			return malformed(fmt.Sprintf("a name in \"metadata\" is longer than %d bytes or its value than %d.", maxWord,
				maxValue))
		}
	}
	return nil
}

func malformed(reason string) *refusal { return refuse(codeFormat, badFormat+reason) }

func mistyped(name string) *refusal {
	for _, f := range fieldTypes {
		if f.name == name {
			return malformed("the field \"" + name + "\" must be " + f.what + ".")
		}
	}
	return malformed("a field has the wrong type.")
}

// badJSON says what is wrong with the JSON in a sentence of ours where the decoder's would puzzle.
func badJSON(err error) *refusal {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		name, _, _ := strings.Cut(t.Field, ".")
		return mistyped(name)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if syntax.Error() == "unexpected end of JSON input" {
			return malformed("the JSON ends too early.")
		}
		return malformed(fmt.Sprintf("the JSON is wrong at byte %d: %v.", syntax.Offset, syntax))
	}
	return malformed(err.Error() + ".")
}
