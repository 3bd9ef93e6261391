package web

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Refusal is an answer that is no success. Its message is one complete sentence and safe to show to anybody.
type Refusal struct {
	Code    Code
	Message string
	Retry   time.Duration // Retry-After; zero: none
	Allow   string        // Allow
	Cause   error         // for the log alone
}

// What stands before the reason of a body that cannot be used, and of a mail that cannot be stored.
const (
	BadFormat = "Invalid request format: "
	NotSent   = "Failed to send email: "
)

// Refuse is a refusal in a whole sentence.
func Refuse(code Code, message string) *Refusal { return &Refusal{Code: code, Message: message} }

// Malformed is the refusal of a request that cannot be read.
func Malformed(reason string) *Refusal { return Refuse(CodeFormat, BadFormat+reason) }

// Unsent is the refusal of a mail for a reason that is not the mail's.
func Unsent(code Code, reason string, retry time.Duration, cause error) *Refusal {
	return &Refusal{Code: code, Message: NotSent + reason, Retry: retry, Cause: cause}
}

func (p *Refusal) Error() string { return p.Message }

// Status is the HTTP status that belongs to the refusal's code.
func (p *Refusal) Status() int {
	for _, c := range Codes {
		if c.Code == p.Code {
			return c.Status
		}
	}
	return http.StatusInternalServerError
}

// Reason is the message without what stands before it.
func (p *Refusal) Reason() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.Message, BadFormat), NotSent)
}

// SetHeader says in the header of the answer what belongs there.
func (p *Refusal) SetHeader(h http.Header) {
	if p.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.Retry+time.Second-1)/time.Second)))
	}
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.Status() == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
}

// ErrorBody has the fields that any client of the API looks for in an answer that is no success.
type ErrorBody struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Details string `json:"details"`
	Code    Code   `json:"code"`
}

// Body is what the answer says. What failed is the status in words, unless it is named.
func (p *Refusal) Body(what string) ErrorBody {
	return ErrorBody{Message: p.Message, Error: cmp.Or(what, http.StatusText(p.Status())), Details: p.Reason(), Code: p.Code}
}
