package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dinkymail/message"
	"dinkymail/queue"
)

// Code is the stable word of a refusal, for programs to branch on.
type Code string

// codes is every Code with the status it is answered with and what it means. docs/api.md lists them in the same words.
var codes = []struct {
	code    Code
	status  int
	meaning string
}{
	{codeMethod, 405, "This address does not know the method; Allow names those it knows."},
	{codeNotFound, 404, "There is nothing at this address, or no such mail."},
	{codeFormat, 400, "The body is empty, is neither JSON nor a form, or a field has the wrong type, is given twice or is too long."},
	{codeTooLarge, 413, "The body is larger than HTTP_MAX_BODY, or the mail larger than MESSAGE_MAX_BYTES."},
	{codeEncoding, 415, "The body is compressed; send it as it is."},
	{codeUnknownField, 400, "A key or a program gave a field that looks like one for the time, hidden recipients or files, and is none."},
	{codeMissingTo, 400, "No recipient is given."},
	{codeMissingSubject, 400, "No subject is given."},
	{codeMissingBody, 400, "None of body, text and html is given."},
	{codeMissingFrom, 400, "No sender is given and DEFAULT_FROM is not set."},
	{codeBodyTwice, 400, "Both body and text are given, they differ, and html does not say that body is HTML."},
	{codeAddress, 400, "An address does not parse; the message names the field and the address."},
	{codeAttachment, 400, "An attachment has no name or no content, or its content is not base64; a form brings too many files."},
	{codeSendAt, 400, "send_at is not a time as in RFC 3339, or is more than a year ahead."},
	{codeMessage, 400, "The mail cannot be composed: the message names the field that stands in the way."},
	{codeManyRecipients, 400, "The mail has more recipients than one mail may have."},
	{codeKey, 401, "The API key is not one of API_KEYS."},
	{codeNeedsKey, 401, "Only a caller with an API key or a program on this machine may read this."},
	{codeOrigin, 403, "The page that made the request is not of an origin in ALLOWED_HOSTS."},
	{codeRecipient, 403, "A visitor may write to FORM_RECIPIENTS only."},
	{codeSender, 403, "The caller may not send from this address; API_KEYS or MAIL_DOMAIN says from which."},
	{codeField, 403, "A visitor may not use this field."},
	{codeLocal, 403, "Only a program on this machine, in TRUSTED_NETWORKS, may read this."},
	{codeRate, 429, "The client sent more than FORM_RATE_LIMIT allows; Retry-After says when to try again."},
	{codeSelection, 400, "A filter makes no sense, or there is no such lane; the message says which."},
	{codeActive, 409, "The mail is being handed over at this moment; try again when that is done."},
	{codeSettled, 409, "The mail has no recipient left for whom this could be done."},
	{codePaused, 503, "The operator has paused taking mail in; try again after Retry-After."},
	{codeBusy, 503, "Too many large requests are being read; try again after Retry-After."},
	{codeFull, 503, "The disk is full, or QUEUE_MAX_BYTES or QUEUE_MAX_MESSAGES is reached; try again after Retry-After."},
	{codeUnavailable, 503, "Mail cannot be stored now: the disk failed or the appliance is shutting down."},
	{codeInternal, 500, "Something went wrong that should not; the log has the reason."},
}

const (
	codeMethod         Code = "method_not_allowed"
	codeNotFound       Code = "not_found"
	codeFormat         Code = "invalid_request"
	codeTooLarge       Code = "too_large"
	codeEncoding       Code = "unsupported_encoding"
	codeUnknownField   Code = "unknown_field"
	codeMissingTo      Code = "missing_to"
	codeMissingSubject Code = "missing_subject"
	codeMissingBody    Code = "missing_body"
	codeMissingFrom    Code = "missing_from"
	codeBodyTwice      Code = "conflicting_body"
	codeAddress        Code = "invalid_address"
	codeAttachment     Code = "invalid_attachment"
	codeSendAt         Code = "invalid_send_at"
	codeMessage        Code = "invalid_message"
	codeManyRecipients Code = "too_many_recipients"
	codeKey            Code = "invalid_key"
	codeNeedsKey       Code = "key_required"
	codeOrigin         Code = "origin_not_allowed"
	codeRecipient      Code = "recipient_not_allowed"
	codeSender         Code = "sender_not_allowed"
	codeField          Code = "field_not_allowed"
	codeLocal          Code = "local_only"
	codeRate           Code = "rate_limited"
	codeSelection      Code = "bad_selection"
	codeActive         Code = "active"
	codeSettled        Code = "settled"
	codePaused         Code = "paused"
	codeBusy           Code = "busy"
	codeFull           Code = "queue_full"
	codeUnavailable    Code = "unavailable"
	codeInternal       Code = "internal_error"
)

// refusal is an answer that is no success. Its message is one complete sentence and safe to show to anybody.
type refusal struct {
	code    Code
	message string
	retry   time.Duration // Retry-After; zero: none
	allow   string        // Allow
	cause   error         // for the log alone
}

func (p *refusal) Error() string { return p.message }

func refuse(code Code, message string) *refusal { return &refusal{code: code, message: message} }

// status is the HTTP status that belongs to the refusal's code.
func (p *refusal) status() int {
	for _, c := range codes {
		if c.code == p.code {
			return c.status
		}
	}
	return http.StatusInternalServerError
}

// What stands before the reason of a body that cannot be used, and of a mail that cannot be stored.
const (
	badFormat = "Invalid request format: "
	notSent   = "Failed to send email: "
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
		header := w.Header()
		if p.retry > 0 {
			header.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
		}
		if p.allow != "" {
			header.Set("Allow", p.allow)
		}
		if p.status() == http.StatusUnauthorized {
			header.Set("WWW-Authenticate", "Bearer")
		}
		s.writeRefusal(w, r, p, isShownAsPage(r, err))
	}
}

// translate finds the refusal that err stands for.
func translate(err error) *refusal {
	p, is := errors.AsType[*refusal](err)
	switch {
	case is:
		return p
	case errors.Is(err, queue.ErrNotFound):
		return refuse(codeNotFound, "There is no such mail, or it is no longer remembered.")
	case errors.Is(err, queue.ErrTooLarge):
		return refuse(codeTooLarge, badFormat+"the mail is larger than MESSAGE_MAX_BYTES allows.")
	case errors.Is(err, queue.ErrTooManyRecipients):
		return refuse(codeManyRecipients, "The mail has more recipients than one mail may have.")
	case errors.Is(err, queue.ErrNoMailbox):
		return refuse(codeAddress, "A recipient (to) has no domain, and n"+queue.ErrNoMailbox.Error()[1:]+".")
	case errors.Is(err, queue.ErrNoRecipients):
		return refuse(codeMissingTo, "Recipient (to) is required")
	case errors.Is(err, message.ErrMalformed):
		reason := message.ErrMalformed.Error()
		if e, ok := errors.AsType[*message.MalformedError](err); ok {
			reason = e.Error()
		}
		return refuse(codeMessage, "The mail cannot be composed: "+reason+".")
	case errors.Is(err, message.ErrLoop):
		return refuse(codeMessage, "The mail cannot be composed: "+message.ErrLoop.Error()+".")
	case errors.Is(err, queue.ErrPaused):
		return unsent(codePaused, "taking mail in is paused by the operator.", time.Minute, nil)
	case errors.Is(err, queue.ErrSelection):
		return refuse(codeSelection, sentence(err))
	case errors.Is(err, queue.ErrActive):
		return refuse(codeActive, sentence(err))
	case errors.Is(err, queue.ErrSettled):
		return refuse(codeSettled, sentence(err))
	case errors.Is(err, queue.ErrNoSpace):
		return unsent(codeFull, "the disk is full.", time.Minute, err)
	case errors.Is(err, queue.ErrFull):
		return unsent(codeFull, "the queue is full.", time.Minute, err)
	case errors.Is(err, queue.ErrBroken):
		return unsent(codeUnavailable, "mail cannot be stored now.", 5*time.Minute, err)
	case errors.Is(err, queue.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unsent(codeUnavailable, "the appliance is shutting down.", 10*time.Second, err)
	default:
		return unsent(codeInternal, "something went wrong here; the log has the reason.", 0, err)
	}
}

// sentence makes a sentence of an error that says what an operator asked for in vain.
func sentence(err error) string { return upper(strings.TrimSuffix(err.Error(), ".") + ".") }

// upper is a text that begins with a capital.
func upper(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

func unsent(code Code, reason string, retry time.Duration, cause error) *refusal {
	return &refusal{code: code, message: notSent + reason, retry: retry, cause: cause}
}

// writeRefusal writes the body that clients of this path read: a page if people do.
func (s *Server) writeRefusal(w http.ResponseWriter, r *http.Request, p *refusal, page bool) {
	path := r.URL.Path
	if page && s.showRefusal(w, r, p) == nil {
		return
	}
	if path == emailPath {
		_ = answer(w, p.status(), struct {
			Error   bool   `json:"error"`
			Message string `json:"message"`
			Code    Code   `json:"code"`
		}{true, p.message, p.code})
		return
	}
	_ = answer(w, p.status(), newErrorBody(path, p))
}

// errorBody has the fields that any client of the contract looks for.
type errorBody struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Details string `json:"details"`
	Code    Code   `json:"code"`
}

func newErrorBody(path string, p *refusal) errorBody {
	what := "Failed to send email"
	if path != sendPath {
		what = http.StatusText(p.status())
	}
	details := strings.TrimPrefix(strings.TrimPrefix(p.message, badFormat), notSent)
	return errorBody{Message: p.message, Error: what, Details: details, Code: p.code}
}

// answerHeader is what stands above every answer in JSON. Its values are shared, and nobody changes them.
var answerHeader = http.Header{
	"Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
}

// answer writes v as JSON. A client that is gone is no error: nobody is left to tell.
func answer(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a Message-ID keeps its brackets; nosniff keeps browsers from reading this as HTML
	if err := e.Encode(v); err != nil {
		return err
	}
	header := w.Header()
	maps.Copy(header, answerHeader)
	header["Content-Length"] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}
