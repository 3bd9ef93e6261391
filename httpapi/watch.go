package httpapi

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"dinkymail/internal/web"
	"dinkymail/operate"
)

// watch counts every request, logs it at debug, and keeps it from harming the others.
func (s *Server) watch(next http.Handler) http.Handler {
	return web.Guard{Log: s.log, Done: s.note, Failed: func(w http.ResponseWriter, r *http.Request, id string) {
		s.writeRefusal(w, r, operate.Panicked(id), isShownAsPage(r, nil))
	}}.Wrap(next)
}

// note is told how every request ended.
func (s *Server) note(r *http.Request, status int, took time.Duration) {
	s.metrics.count(routeOf(r), status, took)
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		_, client := clientOf(r)
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("client", client),
			slog.String("method", r.Method),
			slog.String("path", web.Clip(r.URL.Path)), slog.Int("status", status), slog.Duration("took", took))
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

// logRefusal logs a refusal with what only the operator may see.
func (s *Server) logRefusal(r *http.Request, p *operate.Error) {
	if p.Code == operate.CodeOrigin {
		s.logForeign(r)
		return
	}
	_, client := clientOf(r)
	s.refused.Log(r, p.Level(), client, string(p.Code), p.Code.Status(), p.Message, p.Cause)
}
