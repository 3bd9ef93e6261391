package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"dinkymail/message"
	"dinkymail/operate"
)

// compose gives the mail's bytes: a small one is written at once, a large one while it is being
// read. Call done when nobody reads any more; the writer has ended when it returns.
func (s *Server) compose(d message.Draft) (body io.Reader, done func()) {
	size := len(d.Text) + len(d.HTML)
	for _, a := range d.Attachments {
		size += len(a.Content)
	}
	if size > keepBuffer/2 {
		pr, pw := io.Pipe()
		written := make(chan struct{})
		go func() {
			defer close(written)
			defer func() {
				if v := recover(); v != nil { // nobody above could contain it, as watch does for a handler
					pw.CloseWithError(fmt.Errorf("compose mail: panic: %v\n%s", v, debug.Stack()))
				}
			}()
			_, err := d.WriteTo(pw)
			pw.CloseWithError(err)
		}()
		return pr, func() { pr.Close(); <-written }
	}
	b := s.bodies.buffer()
	if _, err := d.WriteTo(b); err != nil {
		return failing{err}, func() { s.bodies.keep(b) }
	}
	return bytes.NewReader(b.Bytes()), func() { s.bodies.keep(b) }
}

// failing is a body that could not be composed.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// latest is how far ahead a mail may be scheduled.
const latest = 365 * 24 * time.Hour

// sendAt reads the time before which a mail must not go out. One that has passed means at once.
func sendAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return t, refuse(operate.CodeSendAt, "The field \"send_at\" must be a time such as 2027-01-31T08:00:00Z.")
	case t.After(now.Add(latest)):
		return t, refuse(operate.CodeSendAt, "The field \"send_at\" is more than a year ahead.")
	case !t.After(now):
		return time.Time{}, nil
	}
	return t, nil
}
