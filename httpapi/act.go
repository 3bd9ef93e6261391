package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dinkymail/internal/web"
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

// act is POST /api/v1/queue/actions. First everything that is meant is found, then the verb is done to it.
func (s *Server) act(w http.ResponseWriter, r *http.Request) error {
	var a Action
	if err := readJSON(w, r, &a); err != nil {
		return err
	}
	verb, err := s.verb(&a)
	if err != nil {
		return err
	}
	t := targets{server: s, told: actFailed, result: ActionResult{Success: true}}
	if a.IDs != nil {
		t.told = actNamed
	}
	if err := t.find(r.Context(), &a); err != nil {
		return err
	}
	t.late = a.Verb == Hold || a.Verb == Remove
	if !a.DryRun {
		if err := t.each(r.Context(), verb); err != nil {
			return err
		}
	}
	slices.SortFunc(t.result.Failed, func(a, b ActionError) int { return cmp.Compare(a.ID, b.ID) })
	return web.Answer(w, http.StatusOK, t.result)
}

// verb is what an action does to one message.
func (s *Server) verb(a *Action) (func(queue.ID) error, error) {
	reason := clean(a.Reason)
	switch a.Verb {
	case Retry:
		return s.queue.Retry, nil
	case Hold:
		return func(id queue.ID) error { return s.queue.Hold(id, reason) }, nil
	case Release:
		return s.queue.Release, nil
	case Remove:
		at := time.Now() // one time for all of them, so that they come back together
		return func(id queue.ID) error { return s.queue.Remove(id, at) }, nil
	case Restore:
		return s.queue.Restore, nil
	case Bounce:
		return func(id queue.ID) error { return s.queue.Bounce(id, reason) }, nil
	case Redirect:
		to, err := addresses("redirect", []string{a.To})
		if err != nil {
			return nil, err
		}
		return func(id queue.ID) error { return s.queue.Redirect(id, to[0]) }, nil
	case Edit:
		return s.edit(a)
	default:
		return nil, web.Malformed(fmt.Sprintf("%q is no verb; there are %s, %s, %s, %s, %s, %s, %s and %s.", clip(string(a.Verb)),
			Retry, Hold, Release, Remove, Restore, Bounce, Redirect, Edit))
	}
}

func (s *Server) edit(a *Action) (func(queue.ID) error, error) {
	add, err := addresses("add", a.Add)
	if err != nil {
		return nil, err
	}
	drop, err := addresses("drop", a.Drop)
	if err != nil {
		return nil, err
	}
	if len(add)+len(drop) == 0 {
		return nil, web.Malformed("nothing to add and nothing to drop is given.")
	}
	return func(id queue.ID) error { return s.queue.EditRecipients(id, add, drop) }, nil
}

// targets are the messages that an action means.
type targets struct {
	server *Server
	ids    []queue.ID
	told   int  // the most failures told
	late   bool // the verb may come too late for what is being handed over, which is then counted

	mu     sync.Mutex // guards result while verbs are done
	result ActionResult
}

// find collects what is meant: the messages named, what was removed last, or what the filters select.
func (t *targets) find(ctx context.Context, a *Action) error {
	ids := a.IDs
	if a.Last && a.Verb == Restore {
		last, err := t.server.queue.LastRemoved(ctx)
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
		page, err := t.server.queue.Select(ctx, sel, after, actPage)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			// What nobody holds may be in a selection, and leave the queue before the verb gets to it.
			if m := &page.Messages[i]; a.Verb != Release || m.Held != "" {
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
		m, err := queue.Message{}, queue.ErrNotFound
		if id.Valid() {
			m, err = t.server.queue.Get(id)
		}
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
		res.Sample = append(res.Sample, t.server.entryOf(m))
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
	active := t.late && t.server.queue.Active(id)
	if err := verb(id); err != nil {
		t.fail(id, err)
		return
	}
	active = active || t.late && t.server.queue.Active(id)
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
		if code := translate(err).Code; code != web.CodeInternal {
			failed.Code = code
		}
		t.result.Failed = append(t.result.Failed, failed)
	}
}
