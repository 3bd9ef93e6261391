package httpapi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"dinkymail/operate"
)

// What programs usually send is read as encoding/json reads it.
func TestReadJSON(t *testing.T) {
	for _, body := range []string{
		`{}`, ` { "to" : "a@b.example" , "subject":"s","body":"b" } `, plainMail, benchMail,
		`{"to":["a@b.example","c@d.example"],"cc":[],"bcc":"","reply_to":"r@d.example","from":"f@d.example"}`,
		`{"text":"t","html":"<p class=\"x\">\/\\\t\r\n</p>"}`, `{"body":"<b>","html":true}`, `{"body":"b","html":false}`,
		`{"subject":"\u00fc \ud83d\ude00 \b\f","body":"ü 😀 twelve bytes and a quote \""}`,
		`{"headers":{"X-A":"1","X-B":""},"metadata":{},"tags":["a","b"],"send_at":"2030-01-01T00:00:00Z"}`,
		`{"attachments":[{"filename":"f","content":"YQ==","content_type":"a/b","content_id":"x"},{}]}`,
		`{"attachments":[]}`, `{"attachments":[null]}`, `{"to":null}`, `{"html":null}`, `{"t\u006f":"a"}`,
		`{"To":"a"}`, `{"headers":{"X-A":"1","X-A":"2"}}`, `{"subject":"\ud800"}`, `{"to":"a","x":1}`, `{"attachments":[{"Filename":"f"}]}`,
		`{"headers":{"X-A":null},"tags":[null],"to":[null,"a"]}`, `{"attachments":[{"content":{},"path":"/x","disposition":"inline"}]}`,
	} {
		if !sameAsJSON(t, body) {
			t.Errorf("%s is refused", body)
		}
	}
}

// What is wrong is refused, with the words that encoding/json has for it.
func TestReadWrongJSON(t *testing.T) {
	for _, body := range []string{
		`{`, `{"`, `{"to`, `{"to"`, `{"to":`, `{"to":"`, `{"to":"\`, `{"to":"\"`, `{"to":"a"`, `{"to":"a",`, `{"to":"a",}`,
		`{"to":"a"}x`, `{"to":"a"}}`, `{"to":"a"}{}`, "{\"to\":\"a\"}\x00", `{"to":["a",]}`, `{"to":["a"`, `{"to":[`, `{,}`,
		`{"to":"a","to":"b"}`, `{"to":1}`, `{"to":1,"x":}`, `{"html":tru}`, `{"html":trueish}`, `{"html":1}`, `{"isHtml":"<p>"}`,
		`{"subject":"\x"}`, `{"subject":"\u12"}`, "{\"subject\":\"a\nb\"}", `{"tags":"a"}`, `{"tags":["a",1]}`, `{"headers":{"X-A":1}}`,
		`{"headers":[]}`, `{'to':'a'}`, `{"attachments":{}}`, `{"attachments":[1]}`, `{"attachments":[{"filename":1}]}`,
		`{"attachments":[{"filename":"a","name":"b"}]}`,
	} {
		if sameAsJSON(t, body) {
			t.Errorf("%s is read", body)
		}
	}
}

// sameAsJSON reports whether body is read; encoding/json must then read the same, and otherwise say
// the same of it.
func sameAsJSON(t *testing.T, body string) bool {
	t.Helper()
	var got, want request
	err, wrong := got.parse([]byte(body)), slowly(&want, bytes.TrimSpace([]byte(body)))
	if wrong == nil {
		wrong = want.checkExtras()
	}
	switch {
	case (err == nil) != (wrong == nil) || err != nil && err.Error() != wrong.Error():
		t.Fatalf("%q: %v, want %v", body, err, wrong)
	case err == nil && !reflect.DeepEqual(bare(got), bare(want)):
		t.Fatalf("%q is read as\n%+v, not as\n%+v", body, got, want)
	}
	return err == nil
}

// bare is q with nil for everything that is empty.
func bare(q request) request {
	all := reflect.ValueOf(&q).Elem()
	for i := range all.NumField() {
		switch f := all.Field(i); f.Kind() {
		case reflect.Slice, reflect.Map:
			if f.Len() == 0 {
				f.SetZero()
			}
		}
	}
	return q
}

// slowly reads the object b by means of encoding/json.
func slowly(q *request, b []byte) error {
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		return badJSON(err)
	}
	var seen [len(fieldTypes)]bool
	return slowMembers(b, func(name string, value []byte) error {
		i := fieldNamed(name)
		switch {
		case i < 0:
			q.others.addJSON(name, value)
			return nil
		case seen[i]:
			return operate.Malformed("the field \"" + fieldTypes[i].name + "\" is given twice.")
		}
		seen[i] = true
		mistyped := operate.Malformed("the field \"" + fieldTypes[i].name + "\" must be " + fieldTypes[i].what + ".")
		switch to := fieldTypes[i].at(q).(type) {
		case *[]attachment:
			return slowAttachments(to, value, mistyped)
		case list:
			var one string
			if json.Unmarshal(value, to.texts) == nil {
				return nil
			}
			if *to.texts = nil; json.Unmarshal(value, &one) != nil {
				return mistyped
			}
			if one != "" {
				*to.texts = []string{one}
			}
		case *markup:
			var text string
			if json.Unmarshal(value, &to.body) != nil && json.Unmarshal(value, &text) != nil {
				return mistyped
			}
			if to.set(text); saysWhether[squash(name)] && to.text != "" {
				return mistyped
			}
		default:
			if json.Unmarshal(value, to) != nil {
				return mistyped
			}
		}
		return nil
	})
}

func slowAttachments(to *[]attachment, b []byte, mistyped error) error {
	var values []json.RawMessage
	if json.Unmarshal(b, &values) != nil {
		return mistyped
	}
	for _, value := range values {
		if len(*to) == maxAttachments {
			return readAttachment(nil, to)
		}
		var a attachment
		if string(value) != "null" && value[0] != '{' {
			return mistyped
		}
		err := slowMembers(value, func(name string, value []byte) error {
			squashed := squash(name)
			at, known := attachmentSpellings[squashed]
			var text string
			switch {
			case value[0] == 'n':
				return nil
			case !known, json.Unmarshal(value, &text) != nil:
				if err := a.readOdd(name, squashed, value); err != nil {
					return mistyped
				}
				return nil
			}
			if field := at(&a); *field != "" && *field != text {
				return operate.Malformed("the field \"" + name + "\" of an attachment is given twice.")
			}
			*at(&a) = text
			return nil
		})
		if err != nil {
			return err
		}
		*to = append(*to, a)
	}
	return nil
}

func slowMembers(b []byte, each func(name string, value []byte) error) error {
	d := json.NewDecoder(bytes.NewReader(b))
	for _, err := d.Token(); err == nil && d.More(); {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := each(name.(string), value); err != nil {
			return err
		}
	}
	return nil
}

// Whatever object is posted, it is read as encoding/json reads it.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		plainMail, `{"to":["a","b"],"html":"\"\\\/\n\u00fc\ud83d\ude00","headers":{"X-A":"b"},"tags":[],"metadata":{"":""}}`,
		`{"attachments":[{"filename":"f","content":"YQ==","content_type":"a/b","content_id":"x"},{}],"html":true,"cc":""}`,
		`{"to":"a","to":"b"}`, `{"subject":"\ud800","body":"\"}`, "{\"body\":\"\x7f\u2028\"}", `{"attachments":[{"name":"\u00fc","x":[1]}],"y":{}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b := bytes.TrimSpace([]byte(body))
		if utf8.Valid(b) && len(b) > 0 && b[0] == '{' {
			sameAsJSON(t, body)
		}
	})
}
