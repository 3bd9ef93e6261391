package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// Guard keeps each request from harming the others: of a body that the handler did not need it
// takes no more than is at hand, and a panic costs its own request only.
type Guard struct {
	Log *slog.Logger
	// Failed answers a request whose handler panicked before it answered. The log has the reason
	// under the id.
	Failed func(w http.ResponseWriter, r *http.Request, id string)
	// Done is told how every request ended; nil: nobody is.
	Done func(r *http.Request, status int, took time.Duration)
}

// Wrap guards next.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		rec.track(r)
		defer func() {
			if v := recover(); v != nil {
				g.rescue(rec, r, v)
			}
			took := time.Since(start)
			rec.linger(Conn(r))
			if g.Done != nil {
				g.Done(r, rec.status, took)
			}
		}()
		next.ServeHTTP(rec, r)
		if rec.status == 0 {
			rec.drain()
		}
	})
}

// rescue answers a request whose handler panicked. The request's id stands in the answer and in the
// log.
func (g Guard) rescue(w *recorder, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // net/http closes the connection and says nothing
	}
	id := rand.Text()
	g.Log.Error("panic", "request", id, "client", r.RemoteAddr, "method", r.Method, "path", r.URL.Path,
		"err", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	g.Failed(w, r, id)
}

// recorder remembers what was answered. Before an answer begins it takes what is left of the
// request's body.
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
