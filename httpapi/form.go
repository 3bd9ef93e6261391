package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"dinkymail/operate"
)

// The three encodings in which a browser posts a form.
const (
	formURL   = "application/x-www-form-urlencoded"
	formParts = "multipart/form-data"
	formText  = "text/plain"
)

// Bounds of one form.
const (
	maxFields = 1000
	maxFiles  = 50
)

// form is what a request is that was no JSON.
type form struct {
	next string // where the browser is to go, if the form says so
	sum  [sha256.Size]byte
}

// pair is a field of a form.
type pair struct{ name, value string }

// formKind is the encoding of a form, with the parameters of its type; empty when the body is not
// one. JSON is JSON whatever its type says: many programs leave it at what their library sends.
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
		_ = binary.Write(h, binary.BigEndian, int64(len(f.unusual.upload)))
		_, _ = h.Write(f.unusual.upload)
	}
	h.Sum(sum[:0])
	return sum
}

// sumFor is the sum of a form that who posts.
func (f *form) sumFor(who caller) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(f.sum[:], "%d %s %s", who.rank, who.client, who.user.Name))
}

// fill puts a field of a form where it belongs. What a text cannot say, such as headers, is none of
// ours.
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
	case list:
		*field.texts = append(*field.texts, p.value)
	case *markup:
		field.set(p.value)
	case *string:
		if *field != "" && *field != p.value {
			return operate.Malformed("the field \"" + fieldTypes[i].name + "\" is given twice.")
		}
		*field = p.value
	default:
		q.others.add(p.name, p.value)
	}
	return nil
}
