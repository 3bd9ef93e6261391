package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"dinkymail/operate"
)

// parse reads the one JSON object that b must be. A known field may stand there once, in any of its
// spellings. What the others hold is kept as text. Text that is not UTF-8 is refused: guessing
// would send wrong letters.
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
	if err := q.read(b); err != nil {
		// A mistake in the JSON itself comes before any other; encoding/json has the known words
		// for it.
		if wrong := json.Unmarshal(b, new(struct{})); wrong != nil {
			err = wrong
		}
		return badJSON(err)
	}
	return q.checkExtras()
}

// read fills in every field of the JSON object b.
func (q *request) read(b []byte) error {
	var seen [len(fieldTypes)]bool
	d := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	err := members(d, func(name string) error {
		i := fieldNamed(name)
		switch {
		case i < 0:
			value, err := d.ReadValue()
			if err == nil {
				q.others.addJSON(name, value)
			}
			return err
		case seen[i]:
			return operate.Malformed("the field \"" + fieldTypes[i].name + "\" is given twice.")
		}
		seen[i] = true
		err := readField(d, fieldTypes[i].at(q))
		if errors.Is(err, errType) || q.HTML.text != "" && saysWhether[squash(name)] {
			return operate.Malformed("the field \"" + fieldTypes[i].name + "\" must be " + fieldTypes[i].what + ".")
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err = d.ReadToken(); err != io.EOF {
		return errors.New("the JSON goes on behind its end")
	}
	return nil
}

// errType is a value of another type than its field has. The rest of the JSON is not read then.
var errType = errors.New("wrong type")

// readField reads a value into a field, which null leaves empty.
func readField(d *jsontext.Decoder, field any) (err error) {
	switch to := field.(type) {
	case *string:
		*to, err = readText(d)
	case *[]string:
		err = elements(d, func() error {
			text, err := readText(d)
			*to = append(*to, text)
			return err
		})
	case list:
		if d.PeekKind() == '[' {
			return readField(d, to.texts)
		}
		var one string
		if one, err = readText(d); one != "" {
			*to.texts = []string{one}
		}
	case *markup:
		err = to.read(d)
	case *map[string]string:
		err = members(d, func(name string) (err error) {
			if *to == nil {
				*to = map[string]string{}
			}
			(*to)[name], err = readText(d)
			return err
		})
	case *[]attachment:
		err = elements(d, func() error { return readAttachment(d, to) })
	}
	return err
}

// readText reads a string.
func readText(d *jsontext.Decoder) (string, error) {
	t, err := d.ReadToken()
	switch {
	case err != nil || t.Kind() == 'n':
		return "", err
	case t.Kind() != '"':
		return "", errType
	}
	return t.String(), nil
}

// read reads true, false or a string.
func (m *markup) read(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case 't', 'f':
		t, err := d.ReadToken()
		m.body = err == nil && t.Bool()
		return err
	}
	text, err := readText(d)
	m.set(text)
	return err
}

// members reads an object, and calls each for the value behind each name.
func members(d *jsontext.Decoder, each func(name string) error) error {
	return inside(d, '{', '}', func() error {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		return each(name.String())
	})
}

// elements reads an array, and calls each for each value in it.
func elements(d *jsontext.Decoder, each func() error) error { return inside(d, '[', ']', each) }

// inside calls each for all that stands between begin and end. null is as if nothing did.
func inside(d *jsontext.Decoder, begin, end jsontext.Kind, each func() error) error {
	t, err := d.ReadToken()
	switch {
	case err != nil || t.Kind() == 'n':
		return err
	case t.Kind() != begin:
		return errType
	}
	for d.PeekKind() != end {
		if err := each(); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}

// badJSON is the answer to JSON that could not be read, in our words where the decoder's would
// puzzle.
func badJSON(err error) *operate.Error {
	if p, ok := errors.AsType[*operate.Error](err); ok {
		return p
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		if syntax.Error() == "unexpected end of JSON input" {
			return operate.Malformed("the JSON ends too early.")
		}
		return operate.Malformed(fmt.Sprintf("the JSON is wrong at byte %d: %v.", syntax.Offset, syntax))
	}
	return operate.Malformed(err.Error() + ".")
}
