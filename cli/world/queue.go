package world

import (
	"context"
	"errors"
	"slices"
	"strings"

	"dinkymail/operate"
	"dinkymail/queue"
)

// Operator is the way to the queue.
type Operator = operate.Operator

// page is how many messages are asked for by name at once.
const page = 500

// Ask opens the way to the queue for as long as do runs.
func (w *World) Ask(ctx context.Context, do func(q Operator) error) error {
	return Ask(ctx, w.Open, do)
}

// Ask opens a way to the queue for as long as do runs.
func Ask(ctx context.Context, open func(context.Context) (Operator, func(), error), do func(q Operator) error) error {
	q, done, err := open(ctx)
	if err != nil {
		return err
	}
	defer done()
	return do(q)
}

// Missing reports whether the appliance knows no such message.
func Missing(err error) bool { return errors.Is(err, queue.ErrNotFound) }

// Show is all that is known of a message; known is false where the appliance has none of that name.
func Show(ctx context.Context, q Operator, id queue.ID) (d operate.Detail, known bool, err error) {
	if !id.Valid() {
		return d, false, nil
	}
	if d, err = q.Show(ctx, id); Missing(err) {
		return d, false, nil
	}
	return d, err == nil, err
}

// Find looks up those of the messages named that are in the queue.
func Find(ctx context.Context, q Operator, ids []queue.ID) (map[queue.ID]operate.Entry, error) {
	found := make(map[queue.ID]operate.Entry, len(ids))
	for some := range slices.Chunk(ids, page) {
		for e, err := range operate.All(ctx, q, queue.Selection{IDs: some}) {
			if err != nil {
				return nil, err
			}
			if !Gone(&e) {
				found[e.ID] = e
			}
		}
	}
	return found, nil
}

// Do does a verb to the messages named, and returns what the appliance said.
func Do(ctx context.Context, q Operator, v operate.Verb, ids []queue.ID) (operate.ActionResult, error) {
	if len(ids) == 0 {
		return operate.ActionResult{}, nil
	}
	return q.Act(ctx, operate.Action{Verb: v, Selection: queue.Selection{IDs: ids}})
}

// Frozen reports whether a message is kept back: by an operator, or because it was captured.
func Frozen(e *operate.Entry) bool { return e.Held != "" || e.State == queue.StateCaptured }

// Gone reports whether a message is no longer in the queue.
func Gone(e *operate.Entry) bool { return e.Finished != nil || e.Removed != nil }

// Settled reports whether nothing is left to do for a recipient.
func Settled(r *operate.Recipient) bool { return r.Outcome != queue.Deferred.String() }

// Bare makes an ID of what was typed or piped: the first word of it, without a listing's marks.
func Bare(text string) queue.ID {
	word, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(text), "\t", " "), " ")
	return queue.ID(strings.TrimRight(word, "*!#"))
}
