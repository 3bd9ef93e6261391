package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"dinkymail/operate"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// urlFields reads name=value&name=value.
func urlFields(s string) (pairs []pair, err error) {
	for part := range strings.SplitSeq(s, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, operate.Malformed("a field of the form is not URL-encoded.")
		}
		if len(pairs) == maxFields {
			return nil, tooManyFields()
		}
		if name != "" {
			pairs = append(pairs, pair{name, value})
		}
	}
	return pairs, nil
}

func tooManyFields() *operate.Error {
	return operate.Malformed(fmt.Sprintf("the form has more than %d fields.", maxFields))
}

// textFields reads lines of name=value. A line without a name, as the second of a text has none,
// belongs to the one before it, and so does one whose name is a known field that was there before.
func textFields(s string) (pairs []pair) {
	var seen [len(fieldTypes)]bool
	begin, at := 0, 0 // where the newest value begins, and the line
	end := func() {
		if n := len(pairs); n > 0 {
			pairs[n-1].value = strings.TrimRight(s[begin:at], "\r\n")
		}
	}
	for text := range strings.Lines(s) {
		name, value, ok := textField(text)
		if known := fieldNamed(name); ok && known >= 0 {
			ok, seen[known] = !seen[known], true
		}
		if ok && len(pairs) < maxFields {
			end()
			pairs = append(pairs, pair{name: name})
			begin = at + len(text) - len(value)
		}
		at += len(text)
	}
	end()
	return pairs
}

// textField is the name before the first = of a line, if it can be one.
func textField(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	name = strings.TrimPrefix(name, "\ufeff")
	return name, value, ok && name != "" && len(name) <= maxOtherName && !strings.ContainsAny(name, " \t\r\n<>\"'&/?;,")
}

// partFields reads a multipart form. An upload is an attachment, whatever its field is called; a
// choice of no file is nothing.
func partFields(b []byte, boundary string) (pairs []pair, files []attachment, err error) {
	r := multipart.NewReader(bytes.NewReader(b), boundary)
	for boundary != "" {
		part, err := r.NextPart()
		if err == io.EOF {
			return pairs, files, nil
		}
		if err != nil {
			break
		}
		content := new(bytes.Buffer)
		if _, err := content.ReadFrom(part); err != nil {
			break
		}
		_, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		_, isFile := params["filename"]
		switch name := part.FileName(); {
		case len(pairs) == maxFields:
			return nil, nil, tooManyFields()
		case !isFile && part.FormName() != "":
			pairs = append(pairs, pair{part.FormName(), content.String()})
		case !isFile, name == "" && content.Len() == 0:
		case len(files) == maxFiles:
			return nil, nil, refuse(operate.CodeAttachment, fmt.Sprintf("The form brings more than %d files.", maxFiles))
		default:
			files = append(files, upload(name, part.Header.Get("Content-Type"), content.Bytes()))
		}
	}
	return nil, nil, operate.Malformed("the form is damaged or ends too early.")
}

// upload is a file of a form. A type that is none is left to be guessed from the name.
func upload(name, kind string, content []byte) attachment {
	if main, _, err := mime.ParseMediaType(kind); err != nil || !strings.Contains(main, "/") || strings.HasPrefix(main, "multipart/") {
		kind = ""
	}
	if name = line(inUTF8(name, "")); name == "" {
		name = "file"
	}
	return attachment{Filename: name, ContentType: kind, unusual: &unusual{upload: append([]byte{}, content...)}}
}

// toUTF8 makes UTF-8 of fields in the charset that the form names in its type or in the field
// _charset_, which browsers fill in.
func toUTF8(pairs []pair, charset string) {
	for _, p := range pairs {
		if charset == "" && p.name == "_charset_" {
			charset = p.value
		}
	}
	for i := range pairs {
		pairs[i] = pair{inUTF8(pairs[i].name, charset), inUTF8(pairs[i].value, charset)}
	}
}

// inUTF8 is s itself if it is UTF-8; otherwise it is in charset, or in Windows-1252, which is what
// browsers understand by Latin-1.
func inUTF8(s, charset string) string {
	if utf8.ValidString(s) {
		return s
	}
	if e, err := htmlindex.Get(charset); err == nil {
		if text, err := e.NewDecoder().String(s); err == nil && utf8.ValidString(text) {
			return text
		}
	}
	text, _ := charmap.Windows1252.NewDecoder().String(s)
	return strings.ToValidUTF8(text, "\ufffd")
}
