package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"dinkymail/message"
)

// Submit accepts a mail: it reads s.Body to its end through message.Accept and returns once the
// message is on disk. On an error nothing was kept. The errors are those of this package, of
// message.Accept, and the body's own, wrapped so that errors.Is and errors.As find them. An ended
// ctx refuses the mail before anything is read; after that Submit goes on to its end, for the body
// has its own deadlines and a half-asked store cannot say whether it took the mail.
func (q *Queue) Submit(ctx context.Context, s Submission) (ID, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := q.rewrite(&s); err != nil {
		return "", err
	}
	switch n := len(s.Envelope.To); {
	case q.pauses.get(Intake) != nil:
		return "", ErrPaused
	case n == 0:
		return "", ErrNoRecipients
	case n > q.cfg().MaxRecipients:
		return "", ErrTooManyRecipients
	case !q.cfg().Capture && !q.fill.admit(q.store, q.cfg()):
		return "", ErrFull
	}
	if s.ID == "" {
		s.ID = NewID()
	}
	s.Body = &bounded{r: s.Body, left: q.cfg().MaxMessageBytes}
	m, err := q.put(ctx, s, q.cfg().MaxBytes-q.fill.bytes.Load())
	if err != nil {
		return "", err
	}
	q.fill.add(m.Size + m.RecordSize())
	q.count.submitted.Add(1)
	if m.Captured {
		q.trimCaptured()
	} else if d := q.lanes.get(m.Legs[0].Lane); d != nil {
		d.inflow.hold(ctx)
	}
	return m.ID, nil
}

// put stores a submission, which has an ID, if it is not larger than room, and has it tried when it
// is due.
func (q *Queue) put(ctx context.Context, s Submission, room int64) (Message, error) {
	now := time.Now()
	s.Trace.ID, s.Trace.By, s.Trace.Domain, s.Trace.Time = string(s.ID), q.cfg().Hostname, q.cfg().Domain, now
	in := message.Accept(s.Body, s.Trace)
	m, err := q.store.Put(in, func(size int64) (Message, error) {
		if size > room && !q.cfg().Capture {
			return Message{}, ErrFull
		}
		m := Message{
			ID:        s.ID,
			Envelope:  s.Envelope,
			Results:   make([]Result, len(s.Envelope.To)),
			Origin:    s.Origin,
			Facts:     in.Facts(),
			Size:      size,
			Accepted:  now,
			NotBefore: s.NotBefore,
			Captured:  q.cfg().Capture,
			Tags:      s.Tags,
			Metadata:  s.Metadata,
		}
		if !m.Captured {
			m.Legs = q.cfg().route(&m)
			m.dueAt(m.begins())
		}
		if n := m.RecordSize(); n > MaxNewRecord {
			return Message{}, fmt.Errorf("%w: its recipients and what is noted of it come to %d bytes, and %d are the most", ErrTooLarge, n,
				MaxNewRecord)
		}
		return m, nil
	})
	if errors.Is(err, ErrBroken) {
		q.fault.forGood(err)
	}
	if err != nil {
		return Message{}, fmt.Errorf("store message: %w", err)
	}
	q.logQueued(ctx, &m)
	q.tell(EventQueued, &m, "")
	if !m.Captured && !m.NotBefore.After(now) {
		if d := q.lanes.get(m.Legs[0].Lane); d != nil {
			d.inflow.accepted()
		}
	}
	q.nudgeLanes(&m)
	return m, nil
}

func (q *Queue) logQueued(ctx context.Context, m *Message) {
	what := "queued"
	if m.Captured {
		what = "captured"
	}
	if !q.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := make([]slog.Attr, 0, 6)
	attrs = append(attrs,
		slog.String("id", string(m.ID)),
		slog.String("from", m.Envelope.From.String()),
		slog.Int("rcpts", len(m.Envelope.To)),
		slog.Int64("size", m.Size))
	if m.Origin.Client != "" {
		attrs = append(attrs, slog.String("client", m.Origin.Client))
	}
	if m.Origin.User != "" {
		attrs = append(attrs, slog.String("user", m.Origin.User))
	}
	q.log.LogAttrs(ctx, slog.LevelInfo, what, attrs...)
}

// trimCaptured removes the oldest captured messages beyond MaxCaptured. What cannot be removed is
// no reason to refuse the mail that is already kept, so it is only logged.
func (q *Queue) trimCaptured() {
	q.trimming.Lock()
	defer q.trimming.Unlock()
	surplus := q.store.Stats().Captured - q.cfg().MaxCaptured
	if surplus <= 0 {
		return
	}
	old, err := q.store.List(Filter{Captured: true}, "", surplus)
	for _, m := range old {
		if e := q.store.Remove(m.ID); e != nil && !errors.Is(e, ErrNotFound) {
			err = e
		}
	}
	if err != nil {
		q.log.Warn("old captured mail not removed", "err", err)
	}
}

// bounded passes at most left bytes on and then says ErrTooLarge.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // the one byte more tells a message that just fits from one that does not
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, ErrTooLarge
	}
	b.left -= int64(n)
	return n, err
}
