package httpapi

import (
	"reflect"
	"testing"
	"unicode/utf8"
)

// What programs usually send is read in one pass, and as encoding/json reads it.
func TestQuick(t *testing.T) {
	for _, body := range []string{
		`{}`, ` { "to" : "a@b.example" , "subject":"s","body":"b" } `, plainMail, benchMail,
		`{"to":["a@b.example","c@d.example"],"cc":[],"bcc":"","reply_to":"r@d.example","from":"f@d.example"}`,
		`{"text":"t","html":"<p class=\"x\">\/\\\t\r\n</p>"}`, `{"body":"<b>","html":true}`, `{"body":"b","html":false}`,
		`{"subject":"\u00fc \ud83d\ude00 \b\f","body":"ü 😀 twelve bytes and a quote \""}`,
		`{"headers":{"X-A":"1","X-B":""},"metadata":{},"tags":["a","b"],"send_at":"2030-01-01T00:00:00Z"}`,
		`{"attachments":[{"filename":"f","content":"YQ==","content_type":"a/b","content_id":"x"},{}]}`,
		`{"attachments":[]}`, `{"attachments":[null]}`, `{"to":null}`, `{"html":null}`, `{"t\u006f":"a"}`,
	} {
		if !sameAsJSON(t, body) {
			t.Errorf("%s is not read in one pass", body)
		}
	}
}

// What is unusual is left to encoding/json.
func TestQuickLost(t *testing.T) {
	for _, body := range []string{
		``, `{`, `{"`, `{"to`, `{"to"`, `{"to":`, `{"to":"`, `{"to":"\`, `{"to":"\"`, `{"to":"a"`, `{"to":"a",`, `{"to":"a",}`,
		`{"to":"a"}x`, `{"to":"a"}}`, "{\"to\":\"a\"}\x00", "\x00", `{"to":["a",]}`, `{"to":["a"`, `{"to":[`, `{,}`, `[]`,
		`{"To":"a"}`, `{"to":"a","to":"b"}`, `{"headers":{"X-A":"1","X-A":"2"}}`, `{"subject":"\ud800"}`, `{"to":"a","x":1}`, `{"to":1}`, `{"html":tru}`,
		`{"html":trueish}`, `{"subject":"\x"}`, `{"subject":"\u12"}`, "{\"subject\":\"a\nb\"}", `{"tags":"a"}`,
		`{"headers":{"X-A":1}}`, `{"headers":[]}`, `{"attachments":[{"Filename":"f"}]}`, `{'to':'a'}`,
	} {
		if _, ok := quick([]byte(body)); ok {
			t.Errorf("%s is read in one pass", body)
		}
	}
}

// sameAsJSON reports whether body is read in one pass; then encoding/json must take it and read the same.
func sameAsJSON(t *testing.T, body string) bool {
	t.Helper()
	got, ok := quick([]byte(body))
	if !ok {
		return false
	}
	var want request
	if err := want.decode([]byte(body)); err != nil {
		t.Fatalf("%q is read in one pass, but: %v", body, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is read as\n%+v, not as\n%+v", body, got, want)
	}
	return true
}

// What is read in one pass is what encoding/json reads.
func FuzzQuick(f *testing.F) {
	for _, seed := range []string{
		plainMail, `{"to":["a","b"],"html":"\"\\\/\n\u00fc\ud83d\ude00","headers":{"X-A":"b"},"tags":[],"metadata":{"":""}}`,
		`{"attachments":[{"filename":"f","content":"YQ==","content_type":"a/b","content_id":"x"},{}],"html":true,"cc":""}`,
		`{"to":"a","to":"b"}`, `{"subject":"\ud800","body":"\"}`, "{\"body\":\"\x7f\u2028\"}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if utf8.ValidString(body) {
			sameAsJSON(t, body)
		}
	})
}
