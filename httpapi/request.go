package httpapi

import (
	"fmt"
	"strings"

	"dinkymail/operate"
)

// request is the body of POST /send as the caller gave it. Nothing in it has been checked but the
// types.
type request struct {
	To, Cc, Bcc, ReplyTo []string // each with one address or several
	From, Subject        string
	Body, Text           string
	HTML                 markup
	Headers              map[string]string
	Attachments          []attachment
	SendAt               string
	Tags                 []string
	Metadata             map[string]string

	others others // the fields that are none of these
	form   *form  // how the request was written, if it was no JSON
}

// markup is the field html: true when body is HTML, or the HTML text itself.
type markup struct {
	body bool
	text string
}

// flags are the words by which html says yes or no in a string, as forms and shells do. None of
// them is a mail.
var flags = map[string]bool{
	"true": true, "1": true, "yes": true, "on": true, "y": true, "t": true,
	"false": false, "0": false, "no": false, "off": false, "n": false, "f": false, "null": false, "none": false, "undefined": false,
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
	maxTags     = 20
	maxMetadata = 50
	maxWord     = 200  // bytes of a tag or a metadata name
	maxValue    = 2000 // bytes of a metadata value
	longestFlag = 20   // bytes
)

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
