package httpapi

import (
	"net/http"

	"dinkymail/internal/web"
	"dinkymail/operate"
)

// refuse makes an answer that is no success.
func refuse(code operate.Code, message string) *operate.Error { return operate.Refuse(code, message) }

// handler is a handler whose error is the answer, if there is one. It has written nothing when it
// returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

// serve is the border: what went wrong inside becomes a status and a body here, and nowhere else.
func (s *Server) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		p := operate.Explain(err)
		s.logRefusal(r, p)
		header := w.Header()
		web.RetryAfter(header, p.Retry)
		if p.Code.Status() == http.StatusUnauthorized {
			header.Set("WWW-Authenticate", "Bearer")
		}
		s.writeRefusal(w, r, p, isShownAsPage(r, err))
	}
}

// writeRefusal writes the body that clients of this path read: a page if people do.
func (s *Server) writeRefusal(w http.ResponseWriter, r *http.Request, p *operate.Error, page bool) {
	path := r.URL.Path
	if page && s.showRefusal(w, r, p) == nil {
		return
	}
	if path == emailPath {
		_ = web.Answer(w, p.Code.Status(), struct {
			Error   bool         `json:"error"`
			Message string       `json:"message"`
			Code    operate.Code `json:"code"`
		}{true, p.Message, p.Code})
		return
	}
	body := p.Body()
	if path == sendPath {
		body.Error = "Failed to send email"
	}
	_ = web.Answer(w, p.Code.Status(), body)
}
