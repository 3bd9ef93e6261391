package web

// Code is the stable word of a refusal, for programs to branch on.
type Code string

// Codes is every Code with the status it is answered with and what it means. docs/api.md lists them in the same words.
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
