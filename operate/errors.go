package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dinkymail/message"
	"dinkymail/queue"
)

// Code is the stable word of a refusal, for programs to branch on.
type Code string

// Codes is every Code with the status that HTTP answers it with and what it means. docs/api.md
// lists them in the same words.
var Codes = []struct {
	Code    Code
	Status  int
	Meaning string
}{
	{CodeMethod, 405, "This address does not know the method; Allow names those it knows."},
	{CodeNotFound, 404, "There is nothing at this address, or no such mail."},
	{CodeFormat, 400, "The body is empty, is neither JSON nor a form, or a field has the wrong type, is given twice or is too long."},
	{CodeTooLarge, 413, "The body is larger than HTTP_MAX_BODY, or the mail larger than MESSAGE_MAX_BYTES."},
	{CodeEncoding, 415, "The body is compressed; send it as it is."},
	{CodeUnknownField, 400, "A key or a program gave a field that looks like one for the time, hidden recipients or files, and is none."},
	{CodeMissingTo, 400, "No recipient is given."},
	{CodeMissingSubject, 400, "No subject is given."},
	{CodeMissingBody, 400, "None of body, text and html is given."},
	{CodeMissingFrom, 400, "No sender is given and DEFAULT_FROM is not set."},
	{CodeBodyTwice, 400, "Both body and text are given, they differ, and html does not say that body is HTML."},
	{CodeAddress, 400, "An address does not parse; the message names the field and the address."},
	{CodeAttachment, 400, "An attachment has no name or no content, or its content is not base64; a form brings too many files."},
	{CodeSendAt, 400, "send_at is not a time as in RFC 3339, or is more than a year ahead."},
	{CodeMessage, 400, "The mail cannot be composed: the message names the field that stands in the way."},
	{CodeManyRecipients, 400, "The mail has more recipients than one mail may have."},
	{CodeKey, 401, "The API key is not one of API_KEYS."},
	{CodeNeedsKey, 401, "Only a caller with an API key or a program on this machine may read this."},
	{CodeOrigin, 403, "The page that made the request is not of an origin in ALLOWED_HOSTS."},
	{CodeRecipient, 403, "A visitor may write to FORM_RECIPIENTS only."},
	{CodeSender, 403, "The caller may not send from this address; API_KEYS or MAIL_DOMAIN says from which."},
	{CodeField, 403, "A visitor may not use this field."},
	{CodeLocal, 403, "Only a program on this machine, in TRUSTED_NETWORKS, may read this."},
	{CodeRate, 429, "The client sent more than FORM_RATE_LIMIT allows, or has too many requests open; Retry-After says when to try again."},
	{CodeSelection, 400, "A filter makes no sense, or there is no such lane; the message says which."},
	{CodeActive, 409, "The mail is being handed over at this moment; try again when that is done."},
	{CodeSettled, 409, "The mail has no recipient left for whom this could be done."},
	{CodePaused, 503, "The operator has paused taking mail in; try again after Retry-After."},
	{CodeBusy, 503, "Too many requests, or too many large ones, are being answered; try again after Retry-After."},
	{CodeFull, 503, "The disk is full, or QUEUE_MAX_BYTES or QUEUE_MAX_MESSAGES is reached; try again after Retry-After."},
	{CodeUnavailable, 503, "Mail cannot be stored now: the disk failed or the appliance is shutting down."},
	{CodeInternal, 500, "Something went wrong that should not; the log has the reason."},
}

const (
	CodeMethod         Code = "method_not_allowed"
	CodeNotFound       Code = "not_found"
	CodeFormat         Code = "invalid_request"
	CodeTooLarge       Code = "too_large"
	CodeEncoding       Code = "unsupported_encoding"
	CodeUnknownField   Code = "unknown_field"
	CodeMissingTo      Code = "missing_to"
	CodeMissingSubject Code = "missing_subject"
	CodeMissingBody    Code = "missing_body"
	CodeMissingFrom    Code = "missing_from"
	CodeBodyTwice      Code = "conflicting_body"
	CodeAddress        Code = "invalid_address"
	CodeAttachment     Code = "invalid_attachment"
	CodeSendAt         Code = "invalid_send_at"
	CodeMessage        Code = "invalid_message"
	CodeManyRecipients Code = "too_many_recipients"
	CodeKey            Code = "invalid_key"
	CodeNeedsKey       Code = "key_required"
	CodeOrigin         Code = "origin_not_allowed"
	CodeRecipient      Code = "recipient_not_allowed"
	CodeSender         Code = "sender_not_allowed"
	CodeField          Code = "field_not_allowed"
	CodeLocal          Code = "local_only"
	CodeRate           Code = "rate_limited"
	CodeSelection      Code = "bad_selection"
	CodeActive         Code = "active"
	CodeSettled        Code = "settled"
	CodePaused         Code = "paused"
	CodeBusy           Code = "busy"
	CodeFull           Code = "queue_full"
	CodeUnavailable    Code = "unavailable"
	CodeInternal       Code = "internal_error"
)

// sentinels are the queue's errors that a Code stands for, also when it came over a socket.
var sentinels = map[Code]error{
	CodeNotFound: queue.ErrNotFound, CodeActive: queue.ErrActive, CodeSettled: queue.ErrSettled, CodeSelection: queue.ErrSelection,
	CodePaused: queue.ErrPaused, CodeTooLarge: queue.ErrTooLarge, CodeManyRecipients: queue.ErrTooManyRecipients,
}

// Status is the HTTP status that belongs to a code.
func (c Code) Status() int {
	for _, row := range Codes {
		if row.Code == c {
			return row.Status
		}
	}
	return http.StatusInternalServerError
}

// Error is a refusal, as it crosses a socket. Its message is one complete sentence and safe to show
// to anybody.
type Error struct {
	Code    Code // empty when what answered was no Dinkymail
	Message string
	Retry   time.Duration // when to try again; zero: nobody knows
	Cause   error         // for the log alone; it stays on this side of a socket
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives Cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether the code stands for an error of the queue, such as queue.ErrNotFound.
func (e *Error) Is(target error) bool { return sentinels[e.Code] == target }

// Level is how loudly the log tells of it.
func (e *Error) Level() slog.Level {
	switch {
	case errors.Is(e.Cause, context.Canceled): // the client hung up
		return slog.LevelInfo
	case e.Code == CodeInternal:
		return slog.LevelError
	case e.Code == CodeFull, e.Code == CodeUnavailable, e.Code == CodeBusy:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Body is an Error as JSON. It has the fields that any client of the contract looks for.
type Body struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Details string `json:"details"`
	Code    Code   `json:"code"`
}

// Body is what a socket carries of the error.
func (e *Error) Body() Body {
	return Body{Message: e.Message, Error: http.StatusText(e.Code.Status()), Details: e.Reason(), Code: e.Code}
}

// Reason is the message without what the words of every door begin with.
func (e *Error) Reason() string {
	return strings.TrimPrefix(strings.TrimPrefix(e.Message, BadFormat), NotSent)
}

// What stands before the reason of a request that cannot be used, and of a mail that cannot be
// stored.
const (
	BadFormat = "Invalid request format: "
	NotSent   = "Failed to send email: "
)

// Refuse makes an Error.
func Refuse(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Malformed refuses a request that makes no sense.
func Malformed(reason string) *Error { return Refuse(CodeFormat, BadFormat+reason) }

// Unsent refuses what cannot be done now, and says when to try again.
func Unsent(code Code, reason string, retry time.Duration, cause error) *Error {
	return &Error{Code: code, Message: NotSent + reason, Retry: retry, Cause: cause}
}

// Compressed refuses a body that would have to be unpacked.
func Compressed() *Error {
	return Refuse(CodeEncoding, BadFormat+"the body is compressed; send it without Content-Encoding.")
}

// Panicked is what a client is told whose request ended in a panic. The log has the reason under
// id.
func Panicked(id string) *Error {
	return Unsent(CodeInternal, "something went wrong here; the log has the reason under request "+id+".", 0, nil)
}

// Answered is the error that an answer stands for which came from place with an HTTP status that is
// no success.
func Answered(place, status string, body []byte) *Error {
	var b Body
	if json.NewDecoder(bytes.NewReader(body)).Decode(&b) != nil || b.Message == "" {
		b.Message = fmt.Sprintf("%s answered %s, which is no answer of Dinkymail", place, status)
	}
	return Refuse(b.Code, b.Message)
}

// BadAddress names the field, the address in it that does not parse, and why.
func BadAddress(field, text string, err error) *Error {
	reason := err.Error()
	if e, ok := errors.AsType[*message.AddressError](err); ok {
		text, reason = e.Input, e.Reason
	}
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return Refuse(CodeAddress, fmt.Sprintf("Invalid address in \"%s\": %q (%s).", field, text, reason))
}

// Explain finds the refusal that err stands for.
func Explain(err error) *Error {
	e, is := errors.AsType[*Error](err)
	switch {
	case is:
		return e
	case errors.Is(err, queue.ErrNotFound):
		return Refuse(CodeNotFound, "There is no such mail, or it is no longer remembered.")
	case errors.Is(err, queue.ErrTooLarge):
		return Refuse(CodeTooLarge, BadFormat+"the mail is larger than MESSAGE_MAX_BYTES allows.")
	case errors.Is(err, queue.ErrTooManyRecipients):
		return Refuse(CodeManyRecipients, "The mail has more recipients than one mail may have.")
	case errors.Is(err, queue.ErrNoMailbox):
		return Refuse(CodeAddress, "A recipient (to) has no domain, and n"+queue.ErrNoMailbox.Error()[1:]+".")
	case errors.Is(err, queue.ErrNoRecipients):
		return Refuse(CodeMissingTo, "Recipient (to) is required")
	case errors.Is(err, message.ErrMalformed):
		reason := message.ErrMalformed.Error()
		if e, ok := errors.AsType[*message.MalformedError](err); ok {
			reason = e.Error()
		}
		return Refuse(CodeMessage, "The mail cannot be composed: "+reason+".")
	case errors.Is(err, message.ErrLoop):
		return Refuse(CodeMessage, "The mail cannot be composed: "+message.ErrLoop.Error()+".")
	case errors.Is(err, queue.ErrPaused):
		return Unsent(CodePaused, "taking mail in is paused by the operator.", time.Minute, nil)
	case errors.Is(err, queue.ErrSelection):
		return Refuse(CodeSelection, sentence(err))
	case errors.Is(err, queue.ErrActive):
		return Refuse(CodeActive, sentence(err))
	case errors.Is(err, queue.ErrSettled):
		return Refuse(CodeSettled, sentence(err))
	case errors.Is(err, queue.ErrNoSpace):
		return Unsent(CodeFull, "the disk is full.", time.Minute, err)
	case errors.Is(err, queue.ErrFull):
		return Unsent(CodeFull, "the queue is full.", time.Minute, err)
	case errors.Is(err, queue.ErrBroken):
		return Unsent(CodeUnavailable, "mail cannot be stored now.", 5*time.Minute, err)
	case errors.Is(err, queue.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unsent(CodeUnavailable, "the appliance is shutting down.", 10*time.Second, err)
	default:
		return Unsent(CodeInternal, "something went wrong here; the log has the reason.", 0, err)
	}
}

// sentence makes a sentence of an error that says what an operator asked for in vain.
func sentence(err error) string { return Upper(strings.TrimSuffix(err.Error(), ".") + ".") }

// Upper is a text that begins with a capital.
func Upper(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}
