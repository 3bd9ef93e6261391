package queuetest

import (
	"slices"
	"testing"

	"dinkymail/queue"
)

// Pages have everything that passes the filter, once, in order, in both directions.
func listPages(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	var all, waiting, finished, captured []queue.ID
	for i := range 60 {
		if i == 40 { // some in what was read back, some new
			s, close = reopen(t, open, dir, close)
		}
		m := Message("bob")
		m.Captured = i%5 == 0
		all = append(all, put(t, s, m, "x").ID)
		switch {
		case m.Captured:
			captured = append(captured, m.ID)
		case i%3 == 0:
			update(t, s, m.ID, finish)
			finished = append(finished, m.ID)
		default:
			waiting = append(waiting, m.ID)
		}
	}
	defer func() { close() }()
	for _, c := range []struct {
		filter queue.Filter
		want   []queue.ID
	}{
		{queue.Filter{}, all}, {queue.Filter{Waiting: true}, waiting}, {queue.Filter{Finished: true}, finished},
		{queue.Filter{Captured: true}, captured}, {queue.Filter{Waiting: true, Finished: true, Captured: true}, all},
	} {
		expect(t, "none", list(t, s, c.filter, "", 0), []queue.ID{})
		for _, limit := range []int{1, 7, 100} {
			for _, newest := range []bool{false, true} {
				c.filter.Newest = newest
				want := slices.Clone(c.want)
				if newest {
					slices.Reverse(want)
				}
				expect(t, "pages", pages(t, s, c.filter, limit), want)
			}
		}
	}
	// An upper bound that is no message, above and below all of them.
	expect(t, "above", list(t, s, queue.Filter{Newest: true}, queue.NewID(), 1), all[59:])
	expect(t, "below", list(t, s, queue.Filter{Newest: true}, all[0], 1), []queue.ID{})
}

func pages(t *testing.T, s queue.Store, f queue.Filter, limit int) []queue.ID {
	t.Helper()
	out, after := []queue.ID{}, queue.ID("")
	for {
		page := list(t, s, f, after, limit)
		if len(page) == 0 {
			return out
		}
		if len(page) > limit {
			t.Fatalf("a page of %d, limit %d", len(page), limit)
		}
		out = append(out, page...)
		after = page[len(page)-1]
	}
}
