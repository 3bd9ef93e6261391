package httpapi

import (
	"errors"
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// Bounds of a list's answer. A message with more recipients than that is still shown whole, alone.
const (
	listDefault    = 100
	listLimit      = 1000
	listRecipients = 20_000
)

// list is POST /api/v1/queue/list.
func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	var q listRequest
	if err := readJSON(w, r, &q); err != nil {
		return err
	}
	if q.Limit <= 0 {
		q.Limit = listDefault
	}
	page, err := s.queue.Select(r.Context(), q.Selection, q.After, min(q.Limit, listLimit))
	if err != nil {
		return err
	}
	l := List{Success: true, Messages: make([]Entry, 0, len(page.Messages)), Next: page.Next}
	recipients := 0
	for i := range page.Messages {
		m := &page.Messages[i]
		if recipients += len(m.Envelope.To); recipients > listRecipients && i > 0 {
			l.Next = page.Messages[i-1].ID
			break
		}
		l.Messages = append(l.Messages, s.entryOf(m))
	}
	return web.Answer(w, http.StatusOK, l)
}

// showMessage is GET /api/v1/queue/messages/{id}.
func (s *Server) showMessage(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	d := s.detailOf(&m)
	if body, err := s.queue.Body(m.ID); err == nil {
		d.HasBody = true
		_ = body.Close() // nothing was read
	}
	return web.Answer(w, http.StatusOK, d)
}

// named is the message that the path names.
func (s *Server) named(r *http.Request) (queue.Message, error) {
	id, err := idOf(r, "id")
	if err != nil {
		return queue.Message{}, err
	}
	return s.queue.Get(id)
}

// cat is GET /api/v1/queue/messages/{id}/headers, /body and /raw: the mail, or a part of it, byte for byte.
func (s *Server) cat(w http.ResponseWriter, r *http.Request) error {
	m, err := s.named(r)
	if err != nil {
		return err
	}
	body, err := s.queue.Body(m.ID)
	if errors.Is(err, queue.ErrNotFound) {
		return web.Refuse(web.CodeNotFound, "The mail "+string(m.ID)+" is "+string(m.State())+", so its text is gone; its record is kept.")
	}
	if err != nil {
		return err
	}
	defer body.Close()
	out := &begun{ResponseWriter: w, kind: "text/plain; charset=utf-8"}
	part := chi.URLParam(r, "part")
	if part == "raw" {
		out.kind = "message/rfc822"
		_, err = io.Copy(out, body)
		return out.end(err)
	}
	header, err := readHeader(body)
	if err != nil {
		return err
	}
	if part == "headers" {
		_, err = out.Write(header)
		return out.end(err)
	}
	if _, err := body.Seek(int64(len(header)), io.SeekStart); err != nil {
		return err
	}
	if err := skipLine(body); err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return out.end(err)
}

// readHeader reads a mail's header with the line ends of its fields, but without the empty line behind it. What Accept let in
// has a header of at most message.MaxHeader bytes, to which it added its own fields.
func readHeader(r io.Reader) ([]byte, error) {
	const most = message.MaxHeader + 64<<10
	var b []byte
	chunk := make([]byte, 16<<10)
	for len(b) < most {
		n, err := r.Read(chunk)
		from := max(0, len(b)-3)
		b = append(b, chunk[:n]...)
		if i := endOfHeader(b[from:]); i >= 0 {
			return b[:from+i], nil
		}
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// endOfHeader is where the empty line begins; -1 when there is none.
func endOfHeader(b []byte) int {
	for i := 0; i+3 < len(b); i++ {
		if b[i] == '\r' && b[i+1] == '\n' && b[i+2] == '\r' && b[i+3] == '\n' {
			return i + 2
		}
	}
	return -1
}

// skipLine skips the empty line between header and body, if it is there.
func skipLine(r io.Reader) error {
	var end [2]byte
	_, err := io.ReadFull(r, end[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
