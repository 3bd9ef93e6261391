package httpapi

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"dinkymail/message"
	"dinkymail/operate"
)

// attachment is one file of a request.
type attachment struct {
	Filename    string
	Content     string // base64
	ContentType string
	ContentID   string

	unusual *unusual // nil for most
}

// unusual is what an attachment has besides the fields.
type unusual struct {
	upload []byte   // the content of an uploaded file
	odd    string   // what the content is, when it is no base64 by its type
	unread []string // the fields that are none of these, at most maxUnread
}

// maxAttachments is how many attachments a request may have.
const maxAttachments = 1000

// besides is what the attachment has besides the fields, to be changed.
func (a *attachment) besides() *unusual {
	if a.unusual == nil {
		a.unusual = new(unusual)
	}
	return a.unusual
}

// maxUnread is how many unknown fields of an attachment are named.
const maxUnread = 10

// attachmentSpellings are the names of an attachment's fields, squashed, as this service and others
// call them.
var attachmentSpellings = map[string]func(*attachment) *string{
	"filename": (*attachment).filename, "name": (*attachment).filename,
	"content":     func(a *attachment) *string { return &a.Content },
	"contenttype": (*attachment).kind, "type": (*attachment).kind, "mimetype": (*attachment).kind,
	"contentid": (*attachment).id, "cid": (*attachment).id,
}

func (a *attachment) filename() *string { return &a.Filename }
func (a *attachment) kind() *string     { return &a.ContentType }
func (a *attachment) id() *string       { return &a.ContentID }

// readAttachment reads one more attachment. One that is null has nothing.
func readAttachment(d *jsontext.Decoder, all *[]attachment) error {
	if len(*all) == maxAttachments {
		return refuse(operate.CodeAttachment, fmt.Sprintf("There are more than %d attachments.", maxAttachments))
	}
	var a attachment
	err := members(d, func(name string) error { return a.read(d, name) })
	*all = append(*all, a)
	return err
}

// read reads the value behind a name.
func (a *attachment) read(d *jsontext.Decoder, name string) error {
	squashed := squash(name)
	at, known := attachmentSpellings[squashed]
	if !known || d.PeekKind() != '"' {
		value, err := d.ReadValue()
		if err != nil || value[0] == 'n' {
			return err
		}
		return a.readOdd(name, squashed, value)
	}
	text, err := readText(d)
	if err != nil {
		return err
	}
	if field := at(a); *field == "" || *field == text {
		*field = text
		return nil
	}
	return operate.Malformed(fmt.Sprintf("the field %q of an attachment is given twice.", cut(line(name), maxOtherName)))
}

// readOdd remembers what is no field, and a content that is no text.
func (a *attachment) readOdd(name, squashed string, value []byte) error {
	_, known := attachmentSpellings[squashed]
	switch {
	case a.goesWithoutSaying(squashed, value):
	case squashed == "encoding":
		a.besides().odd = "in the encoding " + cut(line(textOf(value)), maxOtherName) + " and not in base64"
	case squashed == "content":
		a.besides().odd = kindOf(value) + " and no string"
	case known:
		return errType
	default:
		if b := a.besides(); len(b.unread) < maxUnread {
			b.unread = append(b.unread, cut(line(name), maxOtherName))
		}
	}
	return nil
}

// goesWithoutSaying reports whether a field says what is so anyway: the content is base64, and a
// content_id that the HTML mentions is shown there.
func (a *attachment) goesWithoutSaying(name string, value []byte) bool {
	switch name {
	case "encoding":
		return strings.EqualFold(textOf(value), "base64")
	case "disposition", "contentdisposition":
		text := strings.ToLower(textOf(value))
		return text == "attachment" || text == "inline"
	}
	return false
}

// kindOf says what a JSON value that is no string is.
func kindOf(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return cut(string(value), maxOtherName)
}

// attach makes files of the attachments, and drops their base64.
func attach(list []attachment) ([]message.Attachment, error) {
	out := make([]message.Attachment, 0, len(list))
	for i := range list {
		a := &list[i]
		content, err := a.decoded(i + 1)
		if err != nil {
			return nil, err
		}
		a.Content = "" // a third more than the bytes themselves
		out = append(out, message.Attachment{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: contentID(a.ContentID), Content: content,
		})
	}
	return out, nil
}

// contentID is an ID without what belongs to where it is used.
func contentID(id string) string {
	if inner, ok := strings.CutPrefix(id, "<"); ok && strings.HasSuffix(inner, ">") {
		return strings.TrimSuffix(inner, ">")
	}
	return strings.TrimPrefix(id, "cid:")
}

// decoded is the content of the attachment number n. Line ends and spaces in base64 do not matter.
func (a *attachment) decoded(n int) ([]byte, error) {
	if a.unusual != nil && a.unusual.upload != nil {
		return a.unusual.upload, nil
	}
	if reason := a.absent(); reason != "" {
		return nil, refuse(operate.CodeAttachment, fmt.Sprintf("The attachment %s has no content: %s. "+
			"Give the bytes of the file as base64 in \"content\".", a.title(n), reason))
	}
	if a.Filename == "" && a.ContentID == "" {
		return nil, refuse(operate.CodeAttachment, fmt.Sprintf("The attachment number %d has no filename.", n))
	}
	text := strings.Join(strings.Fields(a.Content), "")
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		content, err = base64.RawStdEncoding.DecodeString(text)
	}
	switch {
	case err == nil:
		return content, nil
	case strings.HasPrefix(strings.ToLower(text[:min(len(text), 5)]), "data:"):
		return nil, refuse(operate.CodeAttachment, fmt.Sprintf("The content of the attachment %s is a data: URL. "+
			"Give only what stands behind its comma, in base64.", a.title(n)))
	}
	return nil, refuse(operate.CodeAttachment, fmt.Sprintf("The content of the attachment %q is not base64.", a.Filename))
}

// nothing are the words that a content becomes when a program that has none makes a string of it.
// Some would pass for base64.
var nothing = map[string]bool{"null": true, "undefined": true, "None": true, "nil": true, "NULL": true}

// absent says why there is no content; empty when there is.
func (a *attachment) absent() string {
	var extra unusual
	if a.unusual != nil {
		extra = *a.unusual
	}
	switch {
	case extra.odd != "":
		return "\"content\" is " + extra.odd
	case nothing[a.Content]:
		return "\"content\" is the word " + a.Content
	case !blank(a.Content):
		return ""
	case len(extra.unread) > 0:
		return "it is not taken from \"" + strings.Join(extra.unread, "\", \"") + "\""
	}
	return "\"content\" is empty or missing"
}

// title is how a message names the attachment number n.
func (a *attachment) title(n int) string {
	if a.Filename == "" {
		return fmt.Sprintf("number %d", n)
	}
	return fmt.Sprintf("%q (number %d)", cut(line(a.Filename), maxWord), n)
}
