package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dinkymail/queue"
)

// Bounds of what is counted for one answer.
const (
	statsScan    = 100_000 // waiting messages looked at
	statsDomains = 50      // domains shown
	statsTracked = 200_000 // domains counted
)

// Stats counts.
func (l *Local) Stats(ctx context.Context) (Stats, error) {
	now := l.queue.Status()
	st := Stats{
		Success: true, Waiting: now.Store.Waiting, Bytes: now.Store.Bytes, Records: now.Store.Records, Finished: now.Store.Finished,
		Captured: now.Store.Captured, Removed: now.Store.Removed, Damaged: now.Store.Damaged, Oldest: given(now.Store.Oldest),
		Started: l.started, Paused: now.Paused,
		Since: SinceStart{Accepted: now.Submitted, Delivered: now.Delivered, Failed: now.Failed, Deferred: now.Deferred,
			Bounces: now.Bounces},
		Lanes: make([]LaneDetail, 0, len(now.Lanes)),
	}
	if now.Broken != nil {
		st.Broken = now.Broken.Error()
	}
	for _, at := range now.Lanes {
		st.Lanes = append(st.Lanes, LaneDetail{Name: at.Name, Status: at.State, Kind: at.Kind, Reason: at.Reason, Since: given(at.Since),
			NextProbe: given(at.NextProbe), InFlight: at.InFlight, Concurrency: at.Concurrency})
	}
	if err := l.countWaiting(ctx, &st); err != nil {
		return Stats{}, told(err)
	}
	return st, nil
}

// countWaiting counts what waits by status, and its recipients by domain and age.
func (l *Local) countWaiting(ctx context.Context, st *Stats) error {
	st.States = map[string]int{}
	domains := map[string]*DomainStats{}
	now, seen := time.Now(), 0
	for after, more := queue.ID(""), true; more; more = after != "" {
		if seen >= statsScan {
			st.Sampled = true
			break
		}
		page, err := l.queue.Select(ctx, queue.Selection{}, after, actPage)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			m := &page.Messages[i]
			state, _ := l.queue.State(m)
			st.States[string(state)]++
			st.Sampled = !m.Captured && !countRecipients(domains, m, now) || st.Sampled
		}
		seen += len(page.Messages)
		after = page.Next
	}
	st.Domains = make([]DomainStats, 0, len(domains))
	for _, d := range domains {
		st.Domains = append(st.Domains, *d)
	}
	slices.SortFunc(st.Domains, func(a, b DomainStats) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	st.Domains = st.Domains[:min(len(st.Domains), statsDomains)]
	return nil
}

// countRecipients counts those of m who still wait, and reports whether there was room for the
// domain of each.
func countRecipients(domains map[string]*DomainStats, m *queue.Message, now time.Time) (all bool) {
	all = true
	age := ageColumn(now.Sub(m.Accepted))
	for i, to := range m.Envelope.To {
		if i < len(m.Results) && m.Results[i].Outcome != queue.Deferred {
			continue
		}
		d := domains[to.Domain]
		if d == nil {
			if len(domains) >= statsTracked {
				all = false
				continue
			}
			d = &DomainStats{Domain: to.Domain}
			domains[to.Domain] = d
		}
		d.Total++
		d.Ages[age]++
	}
	return all
}

// ageColumn is the place in DomainStats.Ages: each column but the last is twice as wide as the one
// before.
func ageColumn(age time.Duration) int {
	column, width := 0, 5*time.Minute
	for column < len(DomainStats{}.Ages)-1 && age >= width {
		column, width = column+1, 2*width
	}
	return column
}
