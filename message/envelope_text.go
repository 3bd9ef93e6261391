package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// envelopeText is an Envelope as one program of ours hands it to another.
type envelopeText struct {
	From string          `json:"from"`
	To   []recipientText `json:"to"`
	UTF8 bool            `json:"utf8,omitempty"`
	Ret  string          `json:"ret,omitempty"`
	ID   string          `json:"envid,omitempty"`
}

type recipientText struct {
	Address  string `json:"address"`
	Notify   Notify `json:"notify,omitempty"`
	Original string `json:"original,omitempty"`
}

// MarshalEnvelope writes an envelope as one line of JSON without a line end, for UnmarshalEnvelope
// to read.
func MarshalEnvelope(e Envelope) ([]byte, error) {
	text := envelopeText{From: e.From.String(), UTF8: e.UTF8, Ret: e.Ret, ID: e.ID}
	for _, r := range e.To {
		text.To = append(text.To, recipientText{r.Address.String(), r.Notify, r.Original})
	}
	return json.Marshal(text)
}

// UnmarshalEnvelope reads what MarshalEnvelope wrote, or somebody in its place: everything in it is
// checked as an SMTP server checks its parameters. Addresses may be without a domain, as in
// ParseLocalAddress. An error names what is wrong.
func UnmarshalEnvelope(b []byte) (e Envelope, err error) {
	var text envelopeText
	if err := json.Unmarshal(b, &text); err != nil {
		return e, fmt.Errorf("read the envelope: %w", err)
	}
	e.UTF8, e.Ret, e.ID = text.UTF8, text.Ret, text.ID
	if text.From != "" {
		if e.From, err = ParseLocalAddress(text.From); err != nil {
			return e, err
		}
	}
	for _, r := range text.To {
		a, err := ParseLocalAddress(r.Address)
		switch {
		case err != nil:
			return e, err
		case r.Notify&^(NotifyNever|NotifySuccess|NotifyFailure|NotifyDelay) != 0,
			r.Notify&NotifyNever != 0 && r.Notify != NotifyNever:
			return e, fmt.Errorf("the notify of %s is none of RFC 3461", a)
		case !isPlainText(r.Original, 500) || r.Original != "" && !strings.Contains(r.Original, ";"):
			return e, fmt.Errorf("the original recipient of %s is none of RFC 3461", a)
		}
		e.To = append(e.To, Recipient{Address: a, Notify: r.Notify, Original: r.Original})
	}
	switch {
	case e.Ret != "" && e.Ret != "FULL" && e.Ret != "HDRS":
		return e, errors.New("ret is neither FULL nor HDRS")
	case !isPlainText(e.ID, 100):
		return e, errors.New("envid is longer than 100 characters, or has some that cannot be printed")
	}
	return e, nil
}

// isPlainText reports whether s is at most longest bytes of UTF-8 without control characters.
func isPlainText(s string, longest int) bool {
	return len(s) <= longest && checkLocal("x"+s) == ""
}

// ParseLocalAddress is ParseAddress for what programs on this machine write: a local part alone,
// such as "root", is an address whose Domain is empty.
func ParseLocalAddress(s string) (Address, error) {
	a, err := ParseAddress(s)
	if err == nil || strings.Contains(s, "@") {
		return a, err
	}
	a, reason := parseAddress(TrimInvisible(s) + "@localhost")
	if reason != "" {
		return Address{}, &AddressError{Input: s, Reason: reason}
	}
	a.Domain = ""
	return a, nil
}
