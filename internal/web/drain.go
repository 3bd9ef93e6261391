package web

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// How long and how far a body is read that the answer does not need. Then the connection is closed.
const (
	bodyAtHand   = 50 * time.Millisecond // before the answer: what is under way already
	bodyPatience = time.Second           // after it, for a client that does not listen before it has said all
	bodyDrained  = 256 << 10             // bytes, in all
)

// trackedBody is a request's body that knows how far it was read. The handler's goroutine alone
// uses it.
type trackedBody struct {
	io.ReadCloser       // nil: there is none
	waits         bool  // the client sends it when it is told to (Expect: 100-continue), which the first Read does
	length        int64 // as announced; -1: not known
	read          int64
	ended         bool // there is no more of it, or no more can be read
}

// Read reads the body.
func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.waits = false
	b.read += int64(n)
	b.ended = b.ended || err != nil
	return n, err
}

// track puts itself in the place of the request's body.
func (w *recorder) track(r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	w.body = trackedBody{ReadCloser: r.Body, length: r.ContentLength,
		waits: r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue")}
	r.Body = &w.body
}

// drain takes what is at hand of a body that is not needed. When that is all, the connection can
// serve another request; else it ends with this answer. net/http does the same, but waits as long
// as for a body that is needed.
func (w *recorder) drain() {
	if w.body.ReadCloser == nil || w.body.ended {
		return
	}
	if !w.body.waits && w.body.length-w.body.read <= bodyDrained && w.skip(bodyAtHand) {
		return
	}
	w.ResponseWriter.Header().Set("Connection", "close")
	w.closing = true
}

// linger reads on for a moment after the answer of a connection that ends: a client that is still
// sending when it is closed may never see the answer. While places are short there is no time for
// that.
func (w *recorder) linger(c net.Conn) {
	if !w.closing {
		return
	}
	short, ok := c.(interface{ Crowded() bool })
	if !w.body.waits && !(ok && short.Crowded()) {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		w.skip(bodyPatience)
	}
	w.until(time.Now()) // net/http must not wait for more
}

// skip reads the body for so long, and reports whether it has ended.
func (w *recorder) skip(patience time.Duration) bool {
	w.until(time.Now().Add(patience))
	n, err := io.CopyN(io.Discard, w.body.ReadCloser, bodyDrained+1-w.skipped)
	w.skipped += n
	w.until(time.Time{}) // net/http sets its own for the next request
	w.body.ended = err == io.EOF
	return w.body.ended
}

// until sets the deadline for reading.
func (w *recorder) until(t time.Time) {
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(t) // not every ResponseWriter has a connection
}

// MaxBytes is a request's body up to n bytes. Beyond them reading fails with a *http.MaxBytesError
// and the connection is closed.
func MaxBytes(w http.ResponseWriter, r *http.Request, n int64) io.ReadCloser {
	if rec, ok := w.(*recorder); ok {
		w = rec.ResponseWriter // only net/http's own writer knows to close the connection of whoever sends too much
	}
	return http.MaxBytesReader(w, r.Body, n)
}

// Compressed reports whether a request's body would have to be unpacked, and to what size nobody
// knows.
func Compressed(r *http.Request) bool {
	e := r.Header.Get("Content-Encoding")
	return e != "" && !strings.EqualFold(e, "identity")
}
