package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/time/rate"

	"dinkymail/internal/web"
)

// watch counts every request, logs it at debug, and keeps it from harming the others.
func (s *Server) watch(next http.Handler) http.Handler {
	return web.Guard{Log: s.log, Done: s.note, Failed: func(w http.ResponseWriter, r *http.Request, id string) {
		s.writeRefusal(w, r, web.Unsent(web.CodeInternal,
			"something went wrong here; the log has the reason under request "+id+".", 0, nil), isShownAsPage(r, nil))
	}}.Wrap(next)
}

// note is told how every request ended.
func (s *Server) note(r *http.Request, status int, took time.Duration) {
	s.metrics.count(routeOf(r), status, took)
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		_, client := clientOf(r)
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("client", client),
			slog.String("method", r.Method),
			slog.String("path", clip(r.URL.Path)), slog.Int("status", status), slog.Duration("took", took))
	}
}

// routeOf is the pattern of the route that answered, so that strangers cannot make up label values.
func routeOf(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil {
		if p := c.RoutePattern(); p != "" && p != "/*" {
			return p
		}
	}
	return "other"
}

// noise keeps refusals from filling the log: anybody can cause one.
type noise struct {
	limit *rate.Limiter
	left  atomic.Uint64 // refusals not logged since the last one that was
}

func (n *noise) init() { n.limit = rate.NewLimiter(5, 50) }

// logRefusal logs a refusal with what only the operator may see.
func (s *Server) logRefusal(r *http.Request, p *web.Refusal) {
	level := slog.LevelInfo
	switch p.Code {
	case web.CodeOrigin:
		s.logForeign(r)
		return
	case web.CodeInternal:
		level = slog.LevelError
	case web.CodeFull, web.CodeUnavailable, web.CodeBusy:
		level = slog.LevelWarn
	}
	if errors.Is(p.Cause, context.Canceled) {
		level = slog.LevelInfo // the client hung up
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	if !s.noise.limit.Allow() {
		s.noise.left.Add(1)
		return
	}
	_, client := clientOf(r)
	attrs := []slog.Attr{slog.String("client", client), slog.String("code", string(p.Code)), slog.Int("status", p.Status()),
		slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)), slog.String("text", p.Message)}
	if p.Cause != nil {
		attrs = append(attrs, slog.String("err", p.Cause.Error()))
	}
	if n := s.noise.left.Swap(0); n > 0 {
		attrs = append(attrs, slog.String("unlogged", strconv.FormatUint(n, 10)))
	}
	s.log.LogAttrs(r.Context(), level, "refused", attrs...)
}

// clip bounds what a stranger can put into a log line.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200]
	}
	return s
}
