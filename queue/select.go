package queue

import (
	"context"
	"errors"
	"slices"
	"time"
)

const (
	scanMost       = 5000   // records that one Select looks at
	scanPage       = 500    // of those it reads together
	scanRecipients = 20_000 // recipients of what it returns, but for those of the last message
)

// Select returns a page of at most limit messages that sel selects, beginning behind after, in the
// order of acceptance or, with sel.Newest, in the other. It looks at some thousand records at most,
// so a page may be short, or empty, and not be the last: see Page.Next. Named IDs that are not
// there are left out. A message is in the state that State gives, and also in that of its own
// record: what is being handed over is both active and queued or deferred. An error for a filter
// that makes no sense, or for an unknown lane, wraps ErrSelection.
func (q *Queue) Select(ctx context.Context, sel Selection, after ID, limit int) (Page, error) {
	match, err := q.matcher(sel, time.Now())
	if err != nil {
		return Page{}, err
	}
	s := scan{q: q, match: match, limit: max(limit, 1)}
	if sel.IDs != nil {
		err = s.named(ctx, sel, after)
	} else {
		err = s.all(ctx, sel.filter(), after)
	}
	return s.page, err
}

// LastRemoved returns what was removed last: all messages with the latest Removed time.
func (q *Queue) LastRemoved(ctx context.Context) ([]ID, error) {
	var last time.Time
	var ids []ID
	for after := ID(""); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		list, err := q.store.List(Filter{Removed: true}, after, scanPage)
		if err != nil || len(list) == 0 {
			return ids, err
		}
		for i := range list {
			switch c := list[i].Removed.Compare(last); {
			case c > 0:
				last, ids = list[i].Removed, append(ids[:0], list[i].ID)
			case c == 0:
				ids = append(ids, list[i].ID)
			}
		}
		after = list[len(list)-1].ID
	}
}

// filter is the store's part of a Selection without IDs: what it need not look at.
func (s *Selection) filter() Filter {
	f := Filter{Newest: s.Newest}
	if len(s.States) == 0 {
		if !s.All {
			f.Waiting, f.Captured = true, true
		}
		return f
	}
	for _, state := range s.States {
		switch state {
		case StateDelivered, StateFailed, StatePartial:
			f.Finished = true
		case StateCaptured:
			f.Captured = true
		case StateRemoved:
			f.Removed = true
		default:
			f.Waiting = true
		}
	}
	return f
}

// scan gathers one page.
type scan struct {
	q     *Queue
	match func(*Message) bool
	limit int
	seen  int
	rcpts int // of page
	page  Page
}

// look takes a message in if it is selected, and reports whether the page ends with it.
func (s *scan) look(m *Message) bool {
	if s.match(m) {
		s.page.Messages = append(s.page.Messages, *m)
		s.rcpts += len(m.Envelope.To)
	}
	s.seen++
	if s.seen < scanMost && s.rcpts < scanRecipients && len(s.page.Messages) < s.limit {
		return false
	}
	s.page.Next = m.ID
	return true
}

func (s *scan) all(ctx context.Context, f Filter, after ID) error {
	for {
		n := scanPage
		if s.seen == 0 { // where all is selected, no more need be read
			n = min(s.limit, scanPage)
		}
		list, err := s.q.List(ctx, f, after, n)
		if err != nil {
			return err
		}
		for i := range list {
			if s.look(&list[i]) {
				return nil
			}
		}
		if len(list) < n {
			return nil
		}
		after = list[n-1].ID
	}
}

func (s *scan) named(ctx context.Context, sel Selection, after ID) error {
	ids := slices.Compact(slices.Sorted(slices.Values(sel.IDs)))
	if sel.Newest {
		slices.Reverse(ids)
	}
	for _, id := range ids {
		if after != "" && (id == after || id > after == sel.Newest) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := s.q.store.Get(id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if s.look(&m) {
			return nil
		}
	}
	return nil
}
