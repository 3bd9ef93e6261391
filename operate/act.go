package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// Bounds of an action.
const (
	actTogether = 64      // messages it is done to at one time, so that the store writes them together
	actPage     = 1000    // messages looked at in one go
	actSample   = 10      // messages shown
	actFailed   = 100     // failures told one by one, of what was not named
	actNamed    = 500_000 // and of what was: whoever names messages wants to know of each
)

// Act finds everything that is meant, and then does the verb to it.
func (l *Local) Act(ctx context.Context, a Action) (ActionResult, error) {
	verb, err := l.verb(&a)
	if err != nil {
		return ActionResult{}, told(err)
	}
	t := targets{queue: l.queue, told: actFailed, result: ActionResult{Success: true}}
	if a.IDs != nil {
		t.told = actNamed
	}
	if err := t.find(ctx, &a); err != nil {
		return ActionResult{}, told(err)
	}
	t.late = a.Verb == Hold || a.Verb == Remove
	if !a.DryRun {
		if err := t.each(ctx, verb); err != nil {
			return ActionResult{}, told(err)
		}
	}
	slices.SortFunc(t.result.Failed, func(a, b ActionError) int { return cmp.Compare(a.ID, b.ID) })
	return t.result, nil
}

// verb is what an action does to one message.
func (l *Local) verb(a *Action) (func(queue.ID) error, error) {
	reason := clean(a.Reason)
	switch a.Verb {
	case Retry:
		return l.queue.Retry, nil
	case Hold:
		return func(id queue.ID) error { return l.queue.Hold(id, reason) }, nil
	case Release:
		return l.queue.Release, nil
	case Remove:
		at := time.Now() // one time for all of them, so that they come back together
		return func(id queue.ID) error { return l.queue.Remove(id, at) }, nil
	case Restore:
		return l.queue.Restore, nil
	case Bounce:
		return func(id queue.ID) error { return l.queue.Bounce(id, reason) }, nil
	case Redirect:
		to, err := addresses("redirect", []string{a.To})
		return func(id queue.ID) error { return l.queue.Redirect(id, to[0]) }, err
	case Edit:
		add, err := addresses("add", a.Add)
		drop, wrong := addresses("drop", a.Drop)
		if err == nil && wrong == nil && len(add)+len(drop) == 0 {
			err = Malformed("nothing to add and nothing to drop is given.")
		}
		return func(id queue.ID) error { return l.queue.EditRecipients(id, add, drop) }, cmp.Or(err, wrong)
	default:
		return nil, Malformed(fmt.Sprintf("%.200q is no verb; there are %s, %s, %s, %s, %s, %s, %s and %s.", a.Verb,
			Retry, Hold, Release, Remove, Restore, Bounce, Redirect, Edit))
	}
}

// targets are the messages that an action means.
type targets struct {
	queue *queue.Queue
	ids   []queue.ID
	told  int  // the most failures told
	late  bool // the verb may come too late for what is being handed over, which is then counted

	mu     sync.Mutex // guards result while verbs are done
	result ActionResult
}

// find collects what is meant: the messages named, what was removed last, or what the filters
// select.
func (t *targets) find(ctx context.Context, a *Action) error {
	ids := a.IDs
	if a.Last && a.Verb == Restore {
		last, err := t.queue.LastRemoved(ctx)
		if err != nil {
			return err
		}
		if ids = last; len(ids) == 0 {
			return nil
		}
	}
	if ids != nil {
		return t.name(ctx, ids)
	}
	sel := a.Selection
	if a.Verb == Restore && len(sel.States) == 0 {
		sel.States = []queue.State{queue.StateRemoved}
	}
	for after := queue.ID(""); ; {
		page, err := t.queue.Select(ctx, sel, after, actPage)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			// What nobody holds may be in a selection, and leave the queue before the verb gets to
			// it.
			if m := &page.Messages[i]; (a.Verb != Release || m.Held != "") && (a.UpTo == "" || m.ID <= a.UpTo) {
				t.add(m)
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// name looks up the messages named, each once.
func (t *targets) name(ctx context.Context, ids []queue.ID) error {
	seen := make(map[queue.ID]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := get(t.queue, id)
		switch {
		case errors.Is(err, queue.ErrNotFound):
			t.fail(id, err)
		case err != nil:
			return err
		default:
			t.add(&m)
		}
	}
	return nil
}

// add counts a message that is meant.
func (t *targets) add(m *queue.Message) {
	res := &t.result
	t.ids = append(t.ids, m.ID)
	res.Matched++
	res.Bytes += m.Size
	if len(res.Sample) < actSample {
		res.Sample = append(res.Sample, EntryOf(t.queue, m))
	}
	if res.Oldest == nil || m.Accepted.Before(*res.Oldest) {
		res.Oldest = &m.Accepted
	}
	if res.Newest == nil || m.Accepted.After(*res.Newest) {
		res.Newest = &m.Accepted
	}
}

// each does a verb to all of them, many at a time. It stops early only when ctx ends.
func (t *targets) each(ctx context.Context, verb func(queue.ID) error) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(actTogether, len(t.ids)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(t.ids) {
					return
				}
				t.one(t.ids[i], verb)
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}

// one does a verb to one message. An attempt may begin just before that, or end.
func (t *targets) one(id queue.ID, verb func(queue.ID) error) {
	active := t.late && t.queue.Active(id)
	if err := verb(id); err != nil {
		t.fail(id, err)
		return
	}
	active = active || t.late && t.queue.Active(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Done++
	if active {
		t.result.Active++
	}
}

// fail notes a message that the verb cannot be done to.
func (t *targets) fail(id queue.ID, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.result.Failed) < t.told {
		failed := ActionError{ID: id, Message: err.Error(), Missing: errors.Is(err, queue.ErrNotFound)}
		if code := Explain(err).Code; code != CodeInternal {
			failed.Code = code
		}
		t.result.Failed = append(t.result.Failed, failed)
	}
}

// longestReason bounds an operator's words, in bytes.
const longestReason = 1000

// clean makes an operator's words fit for a log line, a record and a notice.
func clean(reason string) string {
	reason = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(reason, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(reason) > longestReason {
		reason = strings.ToValidUTF8(reason[:longestReason], "")
	}
	return reason
}

// addresses parses what an operator or a program gave as recipients.
func addresses(field string, texts []string) ([]message.Address, error) {
	out := make([]message.Address, 0, len(texts))
	for _, text := range texts {
		a, err := message.ParseAddress(strings.TrimSpace(text))
		if err == nil && a.Domain == "" {
			err = &message.AddressError{Input: text, Reason: "it has no domain"}
		}
		if err != nil {
			return nil, BadAddress(field, text, err)
		}
		out = append(out, a)
	}
	return out, nil
}
