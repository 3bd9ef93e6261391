package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// handler is a handler whose error is the answer, if there is one. It has written nothing when it returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

// serve is the border: what went wrong inside becomes a status and a body here, and nowhere else.
func (s *Server) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		p := translate(err)
		s.logRefusal(r, p)
		p.SetHeader(w.Header())
		s.writeRefusal(w, r, p, isShownAsPage(r, err))
	}
}

// translate finds the refusal that err stands for.
func translate(err error) *web.Refusal {
	p, is := errors.AsType[*web.Refusal](err)
	switch {
	case is:
		return p
	case errors.Is(err, queue.ErrNotFound):
		return web.Refuse(web.CodeNotFound, "There is no such mail, or it is no longer remembered.")
	case errors.Is(err, queue.ErrTooLarge):
		return web.Refuse(web.CodeTooLarge, web.BadFormat+"the mail is larger than MESSAGE_MAX_BYTES allows.")
	case errors.Is(err, queue.ErrTooManyRecipients):
		return web.Refuse(web.CodeManyRecipients, "The mail has more recipients than one mail may have.")
	case errors.Is(err, queue.ErrNoMailbox):
		return web.Refuse(web.CodeAddress, "A recipient (to) has no domain, and n"+queue.ErrNoMailbox.Error()[1:]+".")
	case errors.Is(err, queue.ErrNoRecipients):
		return web.Refuse(web.CodeMissingTo, "Recipient (to) is required")
	case errors.Is(err, message.ErrMalformed):
		reason := message.ErrMalformed.Error()
		if e, ok := errors.AsType[*message.MalformedError](err); ok {
			reason = e.Error()
		}
		return web.Refuse(web.CodeMessage, "The mail cannot be composed: "+reason+".")
	case errors.Is(err, message.ErrLoop):
		return web.Refuse(web.CodeMessage, "The mail cannot be composed: "+message.ErrLoop.Error()+".")
	case errors.Is(err, queue.ErrPaused):
		return web.Unsent(web.CodePaused, "taking mail in is paused by the operator.", time.Minute, nil)
	case errors.Is(err, queue.ErrSelection):
		return web.Refuse(web.CodeSelection, sentence(err))
	case errors.Is(err, queue.ErrActive):
		return web.Refuse(web.CodeActive, sentence(err))
	case errors.Is(err, queue.ErrSettled):
		return web.Refuse(web.CodeSettled, sentence(err))
	case errors.Is(err, queue.ErrNoSpace):
		return web.Unsent(web.CodeFull, "the disk is full.", time.Minute, err)
	case errors.Is(err, queue.ErrFull):
		return web.Unsent(web.CodeFull, "the queue is full.", time.Minute, err)
	case errors.Is(err, queue.ErrBroken):
		return web.Unsent(web.CodeUnavailable, "mail cannot be stored now.", 5*time.Minute, err)
	case errors.Is(err, queue.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return web.Unsent(web.CodeUnavailable, "the appliance is shutting down.", 10*time.Second, err)
	default:
		return web.Unsent(web.CodeInternal, "something went wrong here; the log has the reason.", 0, err)
	}
}

// sentence makes a sentence of an error that says what an operator asked for in vain.
func sentence(err error) string { return upper(strings.TrimSuffix(err.Error(), ".") + ".") }

// upper is a text that begins with a capital.
func upper(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// writeRefusal writes the body that clients of this path read: a page if people do.
func (s *Server) writeRefusal(w http.ResponseWriter, r *http.Request, p *web.Refusal, page bool) {
	path := r.URL.Path
	if page && s.showRefusal(w, r, p) == nil {
		return
	}
	if path == emailPath {
		_ = web.Answer(w, p.Status(), struct {
			Error   bool     `json:"error"`
			Message string   `json:"message"`
			Code    web.Code `json:"code"`
		}{true, p.Message, p.Code})
		return
	}
	what := ""
	if path == sendPath {
		what = "Failed to send email"
	}
	_ = web.Answer(w, p.Status(), p.Body(what))
}
