package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/time/rate"

	"dinkymail/queue"
)

// recorder remembers what was answered. Before an answer begins it takes what is left of the request's body.
type recorder struct {
	http.ResponseWriter
	status  int
	body    trackedBody
	skipped int64 // bytes of the body that were read because nobody needed them
	closing bool  // the connection ends with this answer, because the body does not
}

// WriteHeader remembers the final status and passes it on.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.drain()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes b on; without a WriteHeader before it the status is 200.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
		w.drain()
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// watch counts every request, logs it at debug, and keeps a panic in one from harming the others.
func (s *Server) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		rec.track(r)
		defer func() {
			if v := recover(); v != nil {
				s.rescue(rec, r, v)
			}
			took := time.Since(start)
			c, _ := r.Context().Value(connKey{}).(*limitedConn)
			rec.linger(c)
			s.metrics.count(routeOf(r), rec.status, took)
			if s.log.Enabled(r.Context(), slog.LevelDebug) {
				_, client := clientOf(r)
				s.log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("client", client),
					slog.String("method", r.Method),
					slog.String("path", clip(r.URL.Path)), slog.Int("status", rec.status), slog.Duration("took", took))
			}
		}()
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.drain()
		}
	})
}

// rescue answers a request whose handler panicked. The request's id stands in the answer and in the log.
func (s *Server) rescue(w *recorder, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // net/http closes the connection and says nothing
	}
	id := string(queue.NewID())
	s.log.Error("panic", "request", id, "client", r.RemoteAddr, "method", r.Method, "path", r.URL.Path,
		"err", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	s.writeRefusal(w, r, unsent(codeInternal,
		"something went wrong here; the log has the reason under request "+id+".", 0, nil), isShownAsPage(r, nil))
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
func (s *Server) logRefusal(r *http.Request, p *refusal) {
	level := slog.LevelInfo
	switch p.code {
	case codeOrigin:
		s.logForeign(r)
		return
	case codeInternal:
		level = slog.LevelError
	case codeFull, codeUnavailable, codeBusy:
		level = slog.LevelWarn
	}
	if errors.Is(p.cause, context.Canceled) {
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
	attrs := []slog.Attr{slog.String("client", client), slog.String("code", string(p.code)), slog.Int("status", p.status()),
		slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)), slog.String("text", p.message)}
	if p.cause != nil {
		attrs = append(attrs, slog.String("err", p.cause.Error()))
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
