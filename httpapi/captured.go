package httpapi

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Bounds of what one answer shows of captured mail.
const (
	capturedPage    = 100     // mails in a list, at most
	capturedRaw     = 1 << 20 // bytes of the raw mail beside its parts
	capturedMailMax = 64 << 20
)

// capturedMail is a captured mail in a list.
type capturedMail struct {
	operate.Entry
	capturedFacts
}

// capturedFacts are what a page shows beside an Entry.
type capturedFacts struct {
	To   string `json:"to"` // all recipients, separated by commas
	Door string `json:"door"`
}

// capturedList is the answer of GET /captured, newest first. Next is the value of the parameter
// after for the next page.
type capturedList struct {
	Success  bool           `json:"success"`
	Messages []capturedMail `json:"messages"`
	Next     queue.ID       `json:"next,omitempty"`
}

// capturedFull is the answer of GET /captured/{id}.
type capturedFull struct {
	Success bool `json:"success"`
	operate.Detail
	capturedFacts
	Headers      []capturedField `json:"headers"`
	Text         string          `json:"text"`
	HTML         string          `json:"html"`
	Attachments  []capturedFile  `json:"attachments"`
	Defects      []string        `json:"defects,omitempty"`
	Raw          string          `json:"raw"`
	RawTruncated bool            `json:"rawTruncated"` // the whole is at /captured/{id}/raw
}

type capturedField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type capturedFile struct {
	Filename    string `json:"filename"`
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId,omitempty"`
	Size        int64  `json:"size"`
}

// local lets programs on this machine pass, and so a browser that was led here by its user.
func (s *Server) local(r *http.Request) error {
	who, err := s.callers.identify(r)
	if err == nil && !who.here && who.rank != operator {
		if who.why == "" {
			who.why = "it shows a key"
		}
		err = localOnly(who)
	}
	return err
}

// listCaptured is GET /captured?after=ID&limit=N.
func (s *Server) listCaptured(w http.ResponseWriter, r *http.Request) error {
	if err := s.local(r); err != nil {
		return err
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > capturedPage {
		limit = capturedPage
	}
	after := queue.ID(r.URL.Query().Get("after"))
	found, err := s.queue.List(r.Context(), queue.Filter{Captured: true, Newest: true}, after, limit)
	if err != nil {
		return err
	}
	list := capturedList{Success: true, Messages: make([]capturedMail, 0, len(found))}
	for i := range found {
		list.Messages = append(list.Messages, capturedMail{operate.EntryOf(s.queue, &found[i]), factsOf(&found[i])})
	}
	if len(found) == limit {
		list.Next = found[limit-1].ID
	}
	if wantsPage(w, r) {
		return showPage(w, http.StatusOK, "list", list)
	}
	return web.Answer(w, http.StatusOK, list)
}

// showCaptured is GET /captured/{id}.
func (s *Server) showCaptured(w http.ResponseWriter, r *http.Request) error {
	m, body, err := s.openCaptured(r)
	if err != nil {
		return err
	}
	defer body.Close()
	full, err := readCaptured(m, body)
	if err != nil {
		return err
	}
	full.Detail = operate.DetailOf(s.queue, m)
	full.HasBody = true
	if wantsPage(w, r) {
		return showPage(w, http.StatusOK, "mail", full)
	}
	return web.Answer(w, http.StatusOK, full)
}

// rawCaptured is GET /captured/{id}/raw: the mail byte for byte, as a file.
func (s *Server) rawCaptured(w http.ResponseWriter, r *http.Request) error {
	m, body, err := s.openCaptured(r)
	if err != nil {
		return err
	}
	defer body.Close()
	header := w.Header()
	header.Set("Content-Type", "message/rfc822")
	header.Set("Content-Disposition", `attachment; filename="`+string(m.ID)+`.eml"`)
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	_, _ = io.Copy(w, body) // an error here is a client that went away
	return nil
}

// htmlCaptured is GET /captured/{id}/html: the mail's HTML as it is, for a frame in which it can do
// nothing.
func (s *Server) htmlCaptured(w http.ResponseWriter, r *http.Request) error {
	_, body, err := s.openCaptured(r)
	if err != nil {
		return err
	}
	defer body.Close()
	parsed, err := message.Read(io.LimitReader(body, capturedMailMax))
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy",
		"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'")
	pageHeader(header)
	_, _ = io.WriteString(w, parsed.HTML)
	return nil
}

// openCaptured finds the captured mail of the path for a caller who may see it.
func (s *Server) openCaptured(r *http.Request) (*queue.Message, io.ReadSeekCloser, error) {
	if err := s.local(r); err != nil {
		return nil, nil, err
	}
	id, err := idOf(r, "id")
	if err != nil {
		return nil, nil, err
	}
	m, err := s.queue.Get(id)
	if err != nil {
		return nil, nil, err
	}
	if !m.Captured {
		return nil, nil, queue.ErrNotFound
	}
	body, err := s.queue.Body(id)
	return &m, body, err
}

func factsOf(m *queue.Message) capturedFacts {
	return capturedFacts{To: joined(m.Envelope.To), Door: m.Origin.Door}
}

// readCaptured reads a mail's parts and the beginning of its bytes.
func readCaptured(m *queue.Message, body io.ReadSeeker) (*capturedFull, error) {
	parsed, err := message.Read(io.LimitReader(body, capturedMailMax))
	if err != nil {
		return nil, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(body, capturedRaw))
	if err != nil {
		return nil, err
	}
	full := &capturedFull{
		Success: true, capturedFacts: factsOf(m), Text: parsed.Text, HTML: parsed.HTML, Defects: parsed.Defects,
		Raw: readable(raw), RawTruncated: m.Size > int64(len(raw)),
		Headers: []capturedField{}, Attachments: []capturedFile{},
	}
	for _, f := range parsed.Header {
		full.Headers = append(full.Headers, capturedField{f.Name, f.Value})
	}
	for _, a := range parsed.Attachments {
		full.Attachments = append(full.Attachments, capturedFile{a.Filename, a.ContentType, a.ContentID, a.Size})
	}
	return full, nil
}

// readable is b as text: JSON and pages hold only UTF-8.
func readable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// wantsPage reports whether a browser asks, which would rather see a page than JSON.
func wantsPage(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept")
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
