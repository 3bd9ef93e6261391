package httpapi

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// A mail that is handed in again under its ID is accepted once; its envelope arrives with every parameter.
func TestHandIn(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	e := message.Envelope{From: message.Address{Local: "ada", Domain: "example.org"}, Ret: "HDRS", ID: "x 1", To: []message.Recipient{
		{Address: message.Address{Local: "bob", Domain: "example.net"}, Notify: message.NotifyFailure, Original: "rfc822;robert@example.net"},
		{Address: message.Address{Local: "carol", Domain: "example.net"}, Notify: message.NotifyNever},
		{Address: message.Address{Local: "dan", Domain: "example.net"}},
	}}
	id := queue.NewID()
	for range 2 {
		sent, err := c.HandIn(t.Context(), id, e, strings.NewReader("Subject: s\n\nb\n"))
		if err != nil || sent.ID != string(id) {
			t.Fatalf("got %+v, %v", sent, err)
		}
	}
	o.await(id, queue.StateDelivered)
	m, err := o.queue.Get(id)
	if got := m.Envelope; err != nil || got.From != e.From || !slices.Equal(got.To, e.To) || got.Ret != e.Ret || got.ID != e.ID {
		t.Errorf("got %+v, %v, want %+v", got, err, e)
	}
	if st := o.queue.Status(); st.Submitted != 1 {
		t.Errorf("%d mails were accepted", st.Submitted)
	}
}

// What is wrong with the parameters of one mail is said, and nothing is accepted.
func TestHandInRefusals(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	for query, word := range map[string]string{
		"&id=":                      "id",
		"&id=../../../../etc/x":     "id",
		"&id=7vvvvvvvvvvvvvvv":      "id", // far in the future
		"&id=00000000000000a0&id=0": "twice",
		"&orcpt=a@b.example":        "orcpt",
		"&orcpt=rfc822%3B" + url.QueryEscape("a\nb"): "orcpt",
		"&orcpt=rfc822%3Ba&orcpt=rfc822%3Bb":         "2 times for 1",
		"&notify=never&notify=delay":                 "2 times for 1",
	} {
		_, err := c.Open(t.Context(), "POST", submitPath+"?from=&to=bob@example.net"+query, "", strings.NewReader("b\n"))
		wantCode(t, err, 400, web.CodeFormat, word)
	}
	if st := o.queue.Status(); st.Submitted != 0 {
		t.Errorf("%d mails were accepted", st.Submitted)
	}
}

// What is wrong with a mail itself is told in its own words, without what the layers in between say
// of each other.
func TestHandInMalformed(t *testing.T) {
	o := operate(t)
	c := NewSocketClient(o.submit)
	defer c.Close()
	for mail, want := range map[string]string{
		"Subject: x\n\na\rb\n":                     "The mail cannot be composed: line 3: a CR stands without LF.",
		"Subject: x\n\na\x00\n":                    "The mail cannot be composed: line 3: there is a NUL byte.",
		strings.Repeat("Received: x\n", 60) + "\n": "The mail cannot be composed: message has more than 50 Received fields: it is going in circles.",
	} {
		_, err := c.Submit(t.Context(), "", []string{"bob@example.net"}, strings.NewReader(mail))
		if e := (*web.Error)(nil); !errors.As(err, &e) || e.Message != want || e.Code != web.CodeMessage {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// The time in an ID is when it was made.
func TestIDTime(t *testing.T) {
	if d := time.Since(queue.NewID().Time()); d < -time.Minute || d > time.Minute {
		t.Errorf("it is %v ago", d)
	}
	if !queue.ID("no ID").Time().IsZero() {
		t.Error("what is no ID has a time")
	}
}
