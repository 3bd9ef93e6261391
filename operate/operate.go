// Package operate is what an operator sees of the queue and does to it, as Go methods, with the
// types that go over the wire.
//
// # What it promises
//
// Operator is the one way to see and to do: Local does it in this process, and a door that carries
// it over a socket has a client that does the same there. What is wrong with a request or the queue
// is an *Error, with the same code and the same words on both sides; what nobody foresaw is
// whatever error it was, or over a socket CodeInternal. An action finds everything it means before
// it does anything. An error of Act means that nothing was done for a reason that concerns all of
// it; what could not be done to single messages is in the result.
//
// # Limits
//
// A page of a list has at most 1,000 messages. What Stats counts by status and domain is counted in
// 100,000 messages at most.
//
// # Who runs where
//
// All methods may be called from any goroutine and work in that one; an action is done by at most
// 64 more, which it waits for.
package operate

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"dinkymail/queue"
)

// Operator is what the commands see and do.
type Operator interface {
	// List returns a page of at most limit messages, beginning behind after; a limit of zero means
	// 100.
	List(ctx context.Context, sel queue.Selection, after queue.ID, limit int) (List, error)
	// Show returns all that is known of a message.
	Show(ctx context.Context, id queue.ID) (Detail, error)
	// Cat writes a message as it is on the disk to w: "raw" all of it, "headers" or "body" that
	// part.
	Cat(ctx context.Context, id queue.ID, part string, w io.Writer) error
	// Act does a verb to messages, or only says what it would do.
	Act(ctx context.Context, a Action) (ActionResult, error)
	// Stats returns counts of the queue.
	Stats(ctx context.Context) (Stats, error)
	// Pause stops taking mail in (queue.Intake), delivering on a lane, or queue.Everything, until
	// Resume, restarts included. by is who asks, for the log and the lists.
	Pause(ctx context.Context, what, reason, by string) error
	// Resume ends what Pause began.
	Resume(ctx context.Context, what string) error
	// Watch returns every event from the moment it returns on, until ctx ends; the error comes
	// last. Events that come faster than they are taken are dropped.
	Watch(ctx context.Context) (iter.Seq2[queue.Event, error], error)
	// Submit hands in a mail. A nil error means that it is on the disk.
	Submit(ctx context.Context, m Mail) (Accepted, error)
	// Backup writes a consistent copy of the whole queue, a tar archive, to w.
	Backup(ctx context.Context, w io.Writer) error
	// Log writes the kept log lines that name id to w, oldest first.
	Log(ctx context.Context, id string, w io.Writer) error
	// NewestLog writes the newest kept log lines to w, at most lines of them, oldest first.
	NewestLog(ctx context.Context, lines int, w io.Writer) error
	// Settings tells what is in force and what a reload would change. It changes nothing.
	Settings(ctx context.Context) (SettingsReport, error)
	// Reload reads the settings again and uses them. Problems in the report mean that it goes on
	// with the old ones.
	Reload(ctx context.Context) (SettingsReport, error)
}

// Parts are what an operator reaches besides the queue. What is nil is not there, and an Error says
// so.
type Parts struct {
	Log interface { // the kept log: every line that has text in it, oldest first
		Search(ctx context.Context, text string, w io.Writer) error
	}
	Backup interface { // of the whole queue
		Write(ctx context.Context, w io.Writer) error
	}
	Settings interface {
		Settings() SettingsReport
		Reload() SettingsReport
	}
	// Machine is this machine's own name, which a sender without a domain belongs to.
	Machine string
}

// Local is the Operator of a queue in this process. Make it with New.
type Local struct {
	queue   *queue.Queue
	parts   Parts
	started time.Time
}

var _ Operator = (*Local)(nil)

// New makes a Local. It starts nothing.
func New(q *queue.Queue, parts Parts) *Local {
	return &Local{queue: q, parts: parts, started: time.Now()}
}

// told is what an operator is told of an error: in our words where it has a code, and as it is
// where nobody foresaw it, or where the caller ended it.
func told(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if e := Explain(err); e.Code != CodeInternal {
		return e
	}
	return err
}

// Nowhere refuses what this appliance does not have.
func Nowhere() *Error {
	return Refuse(CodeNotFound, "There is nothing at this address; POST /send takes mail.")
}

// Bounds of a list's answer. A message with more recipients than that is still shown whole, alone.
const (
	listDefault    = 100
	listLimit      = 1000
	listRecipients = 20_000
)

// List is a page of the queue.
func (l *Local) List(ctx context.Context, sel queue.Selection, after queue.ID, limit int) (List, error) {
	if limit <= 0 {
		limit = listDefault
	}
	page, err := l.queue.Select(ctx, sel, after, min(limit, listLimit))
	if err != nil {
		return List{}, told(err)
	}
	list := List{Success: true, Messages: make([]Entry, 0, len(page.Messages)), Next: page.Next}
	recipients := 0
	for i := range page.Messages {
		m := &page.Messages[i]
		if recipients += len(m.Envelope.To); recipients > listRecipients && i > 0 {
			list.Next = page.Messages[i-1].ID
			break
		}
		list.Messages = append(list.Messages, EntryOf(l.queue, m))
	}
	return list, nil
}

// All goes through everything selected, a page at a time. The error comes last.
func All(ctx context.Context, o Operator, sel queue.Selection) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		after := queue.ID("")
		for {
			page, err := o.List(ctx, sel, after, 500)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Messages {
				if !yield(e, nil) {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	}
}

// Show is all that is known of a message.
func (l *Local) Show(_ context.Context, id queue.ID) (Detail, error) {
	m, err := get(l.queue, id)
	if err != nil {
		return Detail{}, told(err)
	}
	d := DetailOf(l.queue, &m)
	if body, err := l.queue.Body(m.ID); err == nil {
		d.HasBody = true
		_ = body.Close() // nothing was read
	}
	return d, nil
}

// ParseID reads an ID, which may also stand as the <id@domain> of the mail's Message-ID.
func ParseID(text string) (queue.ID, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "<"), ">")
	text, _, _ = strings.Cut(text, "@")
	id := queue.ID(text)
	if !id.Valid() {
		return "", queue.ErrNotFound
	}
	return id, nil
}

// get reads a record.
func get(q *queue.Queue, id queue.ID) (queue.Message, error) {
	if !id.Valid() {
		return queue.Message{}, queue.ErrNotFound
	}
	return q.Get(id)
}

// Pause is queue.Queue.Pause.
func (l *Local) Pause(_ context.Context, what, reason, by string) error {
	if what == "" {
		return nothing()
	}
	return told(l.queue.Pause(what, clean(reason), clean(by)))
}

// Resume is queue.Queue.Resume.
func (l *Local) Resume(_ context.Context, what string) error {
	if what == "" {
		return nothing()
	}
	return told(l.queue.Resume(what))
}

// nothing refuses a pause of nothing.
func nothing() error {
	return Malformed(`"what" is missing: ` + queue.Intake + ", " + queue.Everything + " or the name of a lane.")
}

// Watch is queue.Queue.Watch, as Entry shows a bounce.
func (l *Local) Watch(ctx context.Context) (iter.Seq2[queue.Event, error], error) {
	events := l.queue.Watch(ctx)
	return func(yield func(queue.Event, error) bool) {
		for e := range events {
			if e.From == "<>" {
				e.From = ""
			}
			if !yield(e, nil) {
				return
			}
		}
		yield(queue.Event{}, ctx.Err())
	}, nil
}

// Backup is a copy of the whole queue.
func (l *Local) Backup(ctx context.Context, w io.Writer) error {
	if l.parts.Backup == nil {
		return Nowhere()
	}
	return told(l.parts.Backup.Write(ctx, w))
}

// Settings are those in force, and what stands in their file.
func (l *Local) Settings(context.Context) (SettingsReport, error) {
	if l.parts.Settings == nil {
		return SettingsReport{}, Nowhere()
	}
	return l.parts.Settings.Settings(), nil
}

// Reload reads the settings again.
func (l *Local) Reload(context.Context) (SettingsReport, error) {
	if l.parts.Settings == nil {
		return SettingsReport{}, Nowhere()
	}
	return l.parts.Settings.Reload(), nil
}
