package queue

import (
	"context"
	"fmt"
	"time"
)

// watchRoom is how many events may wait for somebody who watches.
const watchRoom = 1024

// Watch gives what happens from now on, until ctx ends; then the channel is closed. What comes
// faster than it is taken is dropped.
func (q *Queue) Watch(ctx context.Context) <-chan Event { return q.hub.Watch(ctx, watchRoom) }

// tell says that something happened to a message.
func (q *Queue) tell(kind EventKind, m *Message, text string) {
	if !q.hub.Watched() {
		return
	}
	e := q.event(kind, m, text)
	e.To = toSome(m, m.open())
	if e.To == "" {
		e.To = toSome(m, everyone(m))
	}
	q.hub.Publish(e)
}

func (q *Queue) event(kind EventKind, m *Message, text string) Event {
	e := Event{At: time.Now(), Kind: kind, ID: m.ID, From: "<>", Text: text, Size: m.Size, Lane: q.Lane(m)}
	if !m.Envelope.From.IsNull() {
		e.From = m.Envelope.From.String()
	}
	return e
}

// tellAttempt says what an attempt did, once for each outcome, with the first of the replies.
func (q *Queue) tellAttempt(a *attempt, m *Message) {
	if !q.hub.Watched() {
		return
	}
	for _, kind := range []struct {
		event   EventKind
		outcome Outcome
	}{{EventDelivered, Delivered}, {EventFailed, Failed}, {EventDeferred, Deferred}} {
		var to []int
		var text string
		for i := range a.results {
			if r := &a.results[i]; r.Outcome == kind.outcome && r.Pause == NoPause {
				if len(to) == 0 {
					text = r.reply()
				}
				to = append(to, a.tried[i])
			}
		}
		if len(to) == 0 {
			continue
		}
		e := q.event(kind.event, m, text)
		e.To = toSome(m, to)
		if kind.outcome == Deferred {
			e.Next = a.next
		}
		q.hub.Publish(e)
	}
}

// tellLane says that something happened to a lane, or to what else can be paused.
func (q *Queue) tellLane(kind EventKind, name, text string) {
	if q.hub.Watched() {
		q.hub.Publish(Event{At: time.Now(), Kind: kind, Lane: name, Text: text})
	}
}

// toSome is the first of some recipients, and how many more there are.
func toSome(m *Message, to []int) string {
	switch len(to) {
	case 0:
		return ""
	case 1:
		return m.Envelope.To[to[0]].String()
	default:
		return fmt.Sprintf("%s +%d", m.Envelope.To[to[0]].String(), len(to)-1)
	}
}

func everyone(m *Message) []int {
	all := make([]int, len(m.Envelope.To))
	for i := range all {
		all[i] = i
	}
	return all
}
