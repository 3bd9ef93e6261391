package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"

	"dinkymail/internal/web"
)

// NewLocalClient makes a Client whose requests h answers within this process, such as Server.Control of a queue that no appliance
// runs. Answers stream as they do over a socket. An answer's end is its handler's: closing one early waits for it.
func NewLocalClient(h http.Handler) *Client {
	return &Client{web.Via(within{h}, "this process")}
}

// within answers requests by calling a handler.
type within struct{ h http.Handler }

// RoundTrip calls the handler in a goroutine of its own and returns as soon as it has begun to answer.
func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	out, in := io.Pipe()
	w := &pipedAnswer{to: in, header: http.Header{}, begun: make(chan struct{})}
	ended := make(chan struct{})
	released := context.AfterFunc(ctx, func() { _ = out.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer close(ended)
		w.serve(t.h, r.Clone(ctx))
	}()
	body := &pipedBody{PipeReader: out, end: func() {
		cancel()
		_ = out.Close()
		<-ended
		released()
	}}
	select {
	case <-w.begun:
	case <-ctx.Done():
		body.end()
		return nil, ctx.Err()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: -1, Request: r,
	}, nil
}

// pipedBody is the answer's body. Closing it ends the handler.
type pipedBody struct {
	*io.PipeReader
	once sync.Once
	end  func()
}

// Close ends the handler and waits for it.
func (b *pipedBody) Close() error {
	b.once.Do(b.end)
	return nil
}

// pipedAnswer is a handler's ResponseWriter. The handler's goroutine alone uses it.
type pipedAnswer struct {
	to     *io.PipeWriter
	header http.Header
	begun  chan struct{} // closed when status and sent are set
	status int
	sent   http.Header
}

// errHandler is the end of an answer whose handler panicked.
var errHandler = errors.New("the answer was cut off")

func (w *pipedAnswer) serve(h http.Handler, r *http.Request) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	defer func() {
		var end error
		if recover() != nil {
			end = errHandler // the handlers' own border has logged it
		}
		w.WriteHeader(http.StatusOK)
		_ = w.to.CloseWithError(end)
	}()
	r.RequestURI = strings.TrimPrefix(r.URL.String(), "http://localhost")
	h.ServeHTTP(w, r)
}

// Header is the header that WriteHeader sends.
func (w *pipedAnswer) Header() http.Header { return w.header }

// WriteHeader begins the answer; only the first counts.
func (w *pipedAnswer) WriteHeader(status int) {
	if w.sent != nil || status < http.StatusOK {
		return
	}
	w.status, w.sent = status, maps.Clone(w.header)
	close(w.begun)
}

// Write waits until the reader has taken b.
func (w *pipedAnswer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.to.Write(b)
}

// Flush begins the answer, if nothing has yet: nothing is ever held back.
func (w *pipedAnswer) Flush() { w.WriteHeader(http.StatusOK) }
