package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// answerHeader is what stands above every answer in JSON. Its values are shared, and nobody changes
// them.
var answerHeader = http.Header{
	"Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
}

// Answer writes v as JSON. A client that is gone is no error: nobody is left to tell.
func Answer(w http.ResponseWriter, status int, v any) error {
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

// RetryAfter says in a header when to try again, in whole seconds; zero says nothing.
func RetryAfter(header http.Header, retry time.Duration) {
	if retry > 0 {
		header.Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
	}
}

// Refusals logs what was refused, and keeps that from filling the log: anybody can cause one. Make
// it with NewRefusals.
type Refusals struct {
	log   *slog.Logger
	limit *rate.Limiter
	left  atomic.Uint64 // refusals not logged since the last one that was
}

// NewRefusals logs to log.
func NewRefusals(log *slog.Logger) *Refusals {
	return &Refusals{log: log, limit: rate.NewLimiter(5, 50)}
}

// Log tells of a request of client that was refused with a code, in these words. Cause is for the
// operator alone, and may be nil.
func (n *Refusals) Log(r *http.Request, level slog.Level, client, code string, status int, text string, cause error) {
	if !n.log.Enabled(r.Context(), level) {
		return
	}
	if !n.limit.Allow() {
		n.left.Add(1)
		return
	}
	attrs := []slog.Attr{slog.String("client", client), slog.String("code", code), slog.Int("status", status),
		slog.String("method", r.Method), slog.String("path", Clip(r.URL.Path)), slog.String("text", text)}
	if cause != nil {
		attrs = append(attrs, slog.String("err", cause.Error()))
	}
	if left := n.left.Swap(0); left > 0 {
		attrs = append(attrs, slog.String("unlogged", strconv.FormatUint(left, 10)))
	}
	n.log.LogAttrs(r.Context(), level, "refused", attrs...)
}

// Clip bounds what a stranger can put into a log line.
func Clip(s string) string {
	if len(s) > 200 {
		return s[:200]
	}
	return s
}
