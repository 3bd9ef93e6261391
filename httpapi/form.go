package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// The three encodings in which a browser posts a form.
const (
	formURL   = "application/x-www-form-urlencoded"
	formParts = "multipart/form-data"
	formText  = "text/plain"
)

// maxFiles is how many files one form may bring.
const maxFiles = 50

// form is what a request is that was no JSON.
type form struct {
	next string // where the browser is to go, if the form says so
	sum  [sha256.Size]byte
}

// pair is a field of a form.
type pair struct{ name, value string }

// formKind is the encoding of a form, with the parameters of its type; empty when the body is not one. JSON is JSON whatever its
// type says: many programs leave it at what their library sends.
func formKind(contentType string, b []byte) (kind string, params map[string]string) {
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n")
	if len(b) == 0 || b[0] == '{' {
		return "", nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter):
	case kind == formParts:
		return kind, params
	case kind == formURL && b[0] != '[' && bytes.IndexByte(b, '=') > 0:
		return kind, params
	case kind == formText:
		first, _, _ := bytes.Cut(b, []byte("\n"))
		if _, _, ok := textField(string(first)); ok {
			return kind, params
		}
	}
	return "", nil
}

// parseForm reads a form of one of the three encodings.
func (q *request) parseForm(kind string, params map[string]string, b []byte) error {
	q.form = new(form)
	var pairs []pair
	var err error
	switch kind {
	case formParts:
		pairs, q.Attachments, err = partFields(b, params["boundary"])
	case formText:
		pairs = textFields(string(b))
	default:
		pairs, err = urlFields(string(b))
	}
	if err != nil {
		return err
	}
	q.form.sum = sumOf(pairs, q.Attachments)
	toUTF8(pairs, params["charset"])
	for _, p := range pairs {
		if err := q.fill(p); err != nil {
			return err
		}
	}
	return nil
}

// urlFields reads name=value&name=value.
func urlFields(s string) (pairs []pair, err error) {
	for part := range strings.SplitSeq(s, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, malformed("a field of the form is not URL-encoded.")
		}
		if name != "" {
			pairs = append(pairs, pair{name, value})
		}
	}
	return pairs, nil
}

// textFields reads lines of name=value. A line without a name, as the second of a text has none, belongs to the one before it, and
// so does one whose name is a known field that was there before.
func textFields(s string) (pairs []pair) {
	var seen [len(fieldTypes)]bool
	begin, at := 0, 0 // where the newest value begins, and the line
	for text := range strings.Lines(s) {
		name, value, ok := textField(text)
		if known := fieldNamed(name); ok && known >= 0 {
			ok, seen[known] = !seen[known], true
		}
		if ok {
			pairs = append(pairs, pair{name: name})
			begin = at + len(text) - len(value)
		}
		at += len(text)
		if n := len(pairs); n > 0 {
			pairs[n-1].value = strings.TrimRight(s[begin:at], "\r\n")
		}
	}
	return pairs
}

// textField is the name before the first = of a line, if it can be one.
func textField(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	name = strings.TrimPrefix(name, "\ufeff")
	return name, value, ok && name != "" && len(name) <= maxOtherName && !strings.ContainsAny(name, " \t\r\n<>\"'&/?;,")
}

// partFields reads a multipart form. An upload is an attachment, whatever its field is called; a choice of no file is nothing.
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
		case !isFile && part.FormName() != "":
			pairs = append(pairs, pair{part.FormName(), content.String()})
		case !isFile, name == "" && content.Len() == 0:
		case len(files) == maxFiles:
			return nil, nil, refuse(codeAttachment, fmt.Sprintf("The form brings more than %d files.", maxFiles))
		default:
			files = append(files, upload(name, part.Header.Get("Content-Type"), content.Bytes()))
		}
	}
	return nil, nil, malformed("the form is damaged or ends too early.")
}

// upload is a file of a form. A type that is none is left to be guessed from the name.
func upload(name, kind string, content []byte) attachment {
	if main, _, err := mime.ParseMediaType(kind); err != nil || !strings.Contains(main, "/") || strings.HasPrefix(main, "multipart/") {
		kind = ""
	}
	if name = line(inUTF8(name, "")); name == "" {
		name = "file"
	}
	return attachment{Filename: name, ContentType: kind, bytes: append([]byte{}, content...)}
}

// toUTF8 makes UTF-8 of fields in the charset that the form names in its type or in the field _charset_, which browsers fill in.
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

// inUTF8 is s itself if it is UTF-8; otherwise it is in charset, or in Windows-1252, which is what browsers understand by Latin-1.
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

// sumOf is a sum over all that a form says.
func sumOf(pairs []pair, files []attachment) (sum [sha256.Size]byte) {
	h := sha256.New()
	write := func(b string) {
		_ = binary.Write(h, binary.BigEndian, int64(len(b)))
		_, _ = io.WriteString(h, b)
	}
	for _, p := range pairs {
		write(p.name)
		write(p.value)
	}
	for _, f := range files {
		write(f.Filename)
		write(f.ContentType)
		_ = binary.Write(h, binary.BigEndian, int64(len(f.bytes)))
		_, _ = h.Write(f.bytes)
	}
	h.Sum(sum[:0])
	return sum
}

// sumFor is the sum of a form that who posts.
func (f *form) sumFor(who caller) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(f.sum[:], "%d %s %s", who.rank, who.client, who.name()))
}

// fill puts a field of a form where it belongs. What a text cannot say, such as headers, is none of ours.
func (q *request) fill(p pair) error {
	switch squash(p.name) {
	case "_next", "_redirect", "redirect":
		if q.form.next == "" {
			q.form.next = strings.TrimSpace(p.value)
		}
		return nil
	}
	i := fieldNamed(p.name)
	if i < 0 {
		q.others.add(p.name, p.value)
		return nil
	}
	if strings.TrimSpace(p.value) == "" {
		return nil
	}
	switch field := fieldTypes[i].at(q).(type) {
	case *list:
		field.all = append(field.all, p.value)
	case *markup:
		field.set(p.value)
	case *string:
		if *field != "" && *field != p.value {
			return malformed("the field \"" + fieldTypes[i].name + "\" is given twice.")
		}
		*field = p.value
	default:
		q.others.add(p.name, p.value)
	}
	return nil
}
