package message

import (
	"reflect"
	"strings"
	"testing"
)

// An envelope that was written is read as it was, addresses without a domain and parameters
// included.
func TestEnvelopeText(t *testing.T) {
	for _, e := range []Envelope{
		{To: []Recipient{{Address: Address{"bob", "example.net"}}}},
		{From: Address{"root", ""}, To: []Recipient{{Address: Address{"ops", ""}}}},
		{From: Address{"j\u00fcrgen", "example.org"}, UTF8: true, Ret: "HDRS", ID: "x 1", To: []Recipient{
			{Address: Address{"a b", "example.net"}, Notify: NotifyNever, Original: "rfc822;a b@example.net"},
			{Address: Address{"c", "[127.0.0.1]"}, Notify: NotifyFailure | NotifyDelay}}},
	} {
		text, err := MarshalEnvelope(e)
		if err != nil || strings.ContainsAny(string(text), "\r\n") {
			t.Fatalf("got %q, %v", text, err)
		}
		if again, err := UnmarshalEnvelope(text); err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%s: got %+v, %v, want %+v", text, again, err, e)
		}
	}
}

// Nothing gets in that an SMTP server would not let in.
func TestBadEnvelopeText(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{"from":1}`, `{"from":"a@"}`, `{"from":"a@b.c\r\nx"}`, `{"from":"a b"}`, `{"to":[{"address":""}]}`,
		`{"to":[{"address":"a@b.c","notify":16}]}`, `{"to":[{"address":"a@b.c","notify":3}]}`, `{"to":[{"address":"a@b.c","notify":-1}]}`,
		`{"to":[{"address":"a@b.c","original":"x"}]}`, `{"to":[{"address":"a@b.c","original":"rfc822;\r"}]}`,
		`{"ret":"full"}`, `{"envid":"a\u0000"}`, `{"envid":"` + strings.Repeat("x", 101) + `"}`,
	} {
		if e, err := UnmarshalEnvelope([]byte(text)); err == nil {
			t.Errorf("%s: got %+v", text, e)
		}
	}
}

// FuzzUnmarshalEnvelope: what is read can be written and read again.
func FuzzUnmarshalEnvelope(f *testing.F) {
	f.Add([]byte(`{"from":"root","to":[{"address":"bob@example.net","notify":6,"original":"rfc822;x"}],"utf8":true,"ret":"HDRS","envid":"x"}`))
	f.Add([]byte(`{"from":"\"a b\"@example.org","to":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := UnmarshalEnvelope(text)
		if err != nil {
			return
		}
		again, err := MarshalEnvelope(e)
		if err != nil {
			t.Fatal(err)
		}
		if e2, err := UnmarshalEnvelope(again); err != nil || !reflect.DeepEqual(e, e2) {
			t.Fatalf("%s: %+v, written as %s, is read as %+v, %v", text, e, again, e2, err)
		}
	})
}
