package message

import (
	"errors"
	"io"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"
)

// Bounds of Read.
const (
	maxDepth   = 50
	maxParts   = 1000
	maxShown   = 1 << 20 // bytes of Text and of HTML
	maxDefects = 100
)

// Parsed is a mail as it can be shown. All text in it is valid UTF-8, decoded; header values are
// one line.
type Parsed struct {
	Header                                    []Field // in order
	From, To, Cc, ReplyTo, Subject, MessageID string
	Date                                      time.Time // zero when there is none that can be read
	Text, HTML                                string    // at most 1 MiB each, lines ending in "\n"; HTML is unsafe, as it came
	Attachments                               []PartInfo
	Defects                                   []string // what could not be read, in words
}

// Field is a header field.
type Field struct{ Name, Value string }

// PartInfo describes a part that is not shown as text.
type PartInfo struct {
	Filename, ContentType, ContentID string
	Size                             int64 // decoded
}

// Read reads a mail to be shown, whatever its state: what cannot be read is left out and told in
// Defects. It looks at 50 levels and 1,000 parts, and takes time in proportion to the mail's size.
// Mail inside the mail is an attachment. The only errors are those of r.
func Read(r io.Reader) (*Parsed, error) {
	src := &source{r: r}
	w := walker{p: &Parsed{}}
	entity, err := gomessage.ReadWithOptions(src, &gomessage.ReadOptions{MaxHeaderBytes: MaxHeader})
	if entity == nil {
		w.defect("the header cannot be read: " + clean(err.Error()))
	} else {
		w.header(entity.Header)
		w.entity(entity, 0)
		w.coding(err)
	}
	if src.err != nil {
		return nil, src.err
	}
	w.p.Text, w.p.HTML = shown(w.text.String()), shown(w.html.String())
	return w.p, nil
}

// source remembers the error of a reader, since a parser may take it for the mail's.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// shown makes text of a part fit to be shown.
func shown(s string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "\ufffd").Replace(strings.ToValidUTF8(s, "\ufffd"))
}

// walker goes through the parts of a mail once.
type walker struct {
	p          *Parsed
	text, html strings.Builder
	parts      int
}

func (w *walker) defect(s string) {
	if len(w.p.Defects) < maxDefects {
		w.p.Defects = append(w.p.Defects, s)
	}
}

// coding notes an encoding or character set that is not known; the part is then as it came.
func (w *walker) coding(err error) {
	if err != nil {
		w.defect(clean(err.Error()))
	}
}

func (w *walker) header(h gomessage.Header) {
	p := w.p
	for fields := h.Fields(); fields.Next(); {
		name := fields.Key()
		if raw, err := fields.Raw(); err == nil {
			name, _, _ = strings.Cut(string(raw), ":") // as it was written
		}
		p.Header = append(p.Header, Field{Name: clean(name), Value: headerText(fields.Value())})
	}
	p.From, p.To, p.Cc = headerText(h.Get("From")), headerText(h.Get("To")), headerText(h.Get("Cc"))
	p.ReplyTo, p.Subject, p.MessageID = headerText(h.Get("Reply-To")), headerText(h.Get("Subject")), headerText(h.Get("Message-Id"))
	if h.Has("Date") {
		header := mail.Header{Header: h}
		date, err := header.Date()
		if err != nil {
			w.defect("the Date cannot be read")
		}
		p.Date = date
	}
}

func headerText(value string) string { return clean(decodeWords(value)) }

func (w *walker) entity(e *gomessage.Entity, depth int) {
	kind, params, err := e.Header.ContentType()
	if err != nil {
		w.defect("a Content-Type cannot be read")
		kind = "text/plain" // RFC 2045, 5.2
	}
	if strings.HasPrefix(kind, "multipart/") {
		if params["boundary"] == "" {
			w.defect("a multipart has no boundary")
			return
		}
		w.multipart(e.MultipartReader(), depth)
		return
	}
	w.leaf(e, strings.ToLower(kind), params["name"])
}

func (w *walker) multipart(parts gomessage.MultipartReader, depth int) {
	if depth == maxDepth {
		w.defect("its parts are nested too deep to be shown")
		return
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if part == nil {
			w.defect("a part cannot be read: " + clean(err.Error()))
			return
		}
		if w.parts++; w.parts > maxParts {
			w.defect("it has too many parts to be shown")
			return
		}
		w.coding(err)
		w.entity(part, depth+1)
	}
}

// leaf takes a part as text to be shown, or as an attachment.
func (w *walker) leaf(e *gomessage.Entity, kind, name string) {
	disposition, params, _ := e.Header.ContentDisposition()
	if params["filename"] != "" {
		name = params["filename"]
	}
	var into *strings.Builder
	switch {
	case strings.EqualFold(disposition, "attachment") || name != "":
	case kind == "text/plain":
		into = &w.text
	case kind == "text/html":
		into = &w.html
	}
	if into == nil {
		size, err := io.Copy(io.Discard, e.Body)
		w.coding(err)
		w.p.Attachments = append(w.p.Attachments, PartInfo{
			Filename:    Attachment{Filename: headerText(name)}.basename(),
			ContentType: clean(kind),
			ContentID:   strings.Trim(clean(e.Header.Get("Content-Id")), "<>"),
			Size:        size,
		})
		return
	}
	_, err := io.Copy(into, io.LimitReader(e.Body, int64(max(maxShown-into.Len(), 0))))
	w.coding(err)
	if n, _ := io.Copy(io.Discard, e.Body); n > 0 {
		w.defect("a text is longer than is shown")
	}
}
