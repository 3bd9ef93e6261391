package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

// next is in how long a message is tried next, in a word.
func (p *program) next(e operate.Entry) string {
	if e.Next == nil || e.Reason != "" || e.State != queue.StateQueued && e.State != queue.StateDeferred {
		return "-"
	}
	if !e.Next.After(p.Time()) {
		return "now"
	}
	return span(e.Next.Sub(p.Time()))
}

func sender(from string) string { return cmp.Or(plain(from), "<>") }

// recipients are whom a list shows: the first who is not settled, and how many more there are.
// Those whom an operator took off count only where nobody else is left.
func recipients(e operate.Entry) string {
	all := slices.DeleteFunc(slices.Clone(e.Recipients), func(r operate.Recipient) bool { return r.Outcome == queue.Dropped.String() })
	if len(all) == 0 {
		all = e.Recipients
	}
	if len(all) == 0 {
		return ""
	}
	first := all[max(0, slices.IndexFunc(all, func(r operate.Recipient) bool { return r.Outcome == queue.Deferred.String() }))]
	if more := len(all) - 1; more > 0 {
		return fmt.Sprintf("%s(+%d)", plain(first.Address), more)
	}
	return plain(first.Address)
}

// why says in one line why a message is not delivered, or what became of it.
func why(e operate.Entry) string {
	switch e.State {
	case queue.StateHeld:
		if e.Held != queue.ReasonHeld {
			return "held by an operator: " + plain(e.Held)
		}
		return queue.ReasonHeld
	case queue.StateActive:
		return "being handed over now"
	case queue.StateCaptured:
		return "development mode: it never leaves this machine"
	case queue.StateQueued, queue.StateDeferred:
		if e.Reason != "" {
			return plain(e.Reason)
		}
		if e.State == queue.StateDeferred {
			return lastReply(e)
		}
		if e.Next != nil && e.Next.Sub(e.Accepted) > time.Second {
			return "not to be sent earlier"
		}
		return "not tried yet"
	case queue.StateRemoved:
		return "removed; dinkymail undo " + string(e.ID) + " brings it back"
	}
	return lastReply(e)
}

// lastReply is the latest reply for a recipient who shows how the message stands.
func lastReply(e operate.Entry) string {
	wanted := queue.Deferred
	switch e.State {
	case queue.StateFailed, queue.StatePartial:
		wanted = queue.Failed
	case queue.StateDelivered:
		wanted = queue.Delivered
	}
	for _, r := range e.Recipients {
		if r.Outcome == wanted.String() && (r.Code != 0 || r.Text != "") {
			return reply(r.Code, r.Status, r.Text)
		}
	}
	return ""
}

// reply is what a next hop answered: "451 4.3.0 try later".
func reply(code int, status, text string) string {
	var words []string
	if code != 0 {
		words = append(words, fmt.Sprint(code))
	}
	if status != "" && !strings.HasPrefix(text, status) {
		words = append(words, plain(status))
	}
	if text != "" {
		words = append(words, plain(text))
	}
	return strings.Join(words, " ")
}

// stateColors are what a status is painted with.
var stateColors = map[queue.State]color{
	queue.StateFailed: red, queue.StatePartial: red, queue.StateHeld: yellow, queue.StateDeferred: yellow,
	queue.StateDelivered: green, queue.StateActive: blue, queue.StateRemoved: gray,
}

func stateColor(e operate.Entry) color {
	if e.State == queue.StateQueued && e.Reason != "" {
		return yellow
	}
	return stateColors[e.State]
}

func outcomeColor(outcome string) color {
	return cmp.Or(map[string]color{queue.Delivered.String(): green, queue.Failed.String(): red}[outcome], yellow)
}
