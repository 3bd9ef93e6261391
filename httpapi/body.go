package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/internal/web"
	"dinkymail/operate"
)

// bodies is the room for request bodies, and for the mails composed from them.
type bodies struct {
	left atomic.Int64 // how many more bytes of requests may be held
	idle sync.Pool    // of *bytes.Buffer, none above keepBuffer
}

func (b *bodies) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *bodies) give(n int64) { b.left.Add(n) }

// buffer is an empty buffer; give it back with keep.
func (b *bodies) buffer() *bytes.Buffer {
	if idle, ok := b.idle.Get().(*bytes.Buffer); ok {
		idle.Reset()
		return idle
	}
	return new(bytes.Buffer)
}

func (b *bodies) keep(used *bytes.Buffer) {
	if used.Cap() <= keepBuffer {
		b.idle.Put(used)
	}
}

// keepBuffer is the largest buffer worth keeping for the next request, and the size up to which a
// mail is composed in memory.
const keepBuffer = 256 << 10

// smallBody is how much of a body is not counted.
const smallBody = 64 << 10

var errBusy = errors.New("too many large requests at once")

// readBody reads a whole request body within MaxBody, and within what all requests may hold
// together. The caller gives it back with release once it is done with it and with what it made of
// it.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (b *bytes.Buffer, release func(), err error) {
	if web.Compressed(r) {
		return nil, nil, operate.Compressed()
	}
	if r.ContentLength > s.cfg.MaxBody {
		return nil, nil, s.tooLarge()
	}
	b = s.bodies.buffer()
	held := int64(0)
	release = func() {
		s.bodies.give(held)
		s.bodies.keep(b)
	}
	body := web.MaxBytes(w, r, s.cfg.MaxBody)
	for err == nil {
		b.Grow(bytes.MinRead)
		// What counts is the memory: a buffer that doubles holds up to twice what came. Small
		// bodies always find room, so that large ones that never end keep no contact form waiting;
		// the number of connections bounds them.
		more := int64(0)
		if b.Len() > smallBody {
			more = int64(b.Cap()) - held
		}
		if more > 0 && !s.bodies.take(more) {
			err = errBusy
			break
		}
		held += max(0, more)
		space := b.AvailableBuffer()[:b.Available()]
		var n int
		n, err = body.Read(space)
		b.Write(space[:n])
	}
	if err == io.EOF {
		return b, release, nil
	}
	release()
	return nil, nil, s.unread(err)
}

// unread says why a body could not be read.
func (s *Server) unread(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return s.tooLarge()
	}
	if errors.Is(err, errBusy) {
		return operate.Unsent(operate.CodeBusy, "too many large requests at once.", 5*time.Second, err)
	}
	return &operate.Error{Code: operate.CodeFormat, Message: operate.BadFormat + "the body ends too early or came too slowly.", Cause: err}
}

func (s *Server) tooLarge() *operate.Error {
	reason := fmt.Sprintf("the body is larger than the %d bytes of HTTP_MAX_BODY.", s.cfg.MaxBody)
	return refuse(operate.CodeTooLarge, operate.BadFormat+reason)
}
