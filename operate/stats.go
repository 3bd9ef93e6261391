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
	c := waitingCount{states: map[string]int{}, domains: map[string]*DomainStats{}, now: time.Now()}
	for after, more := queue.ID(""), true; more; more = after != "" {
		if c.seen >= statsScan {
			c.sampled = true
			break
		}
		page, err := l.queue.Select(ctx, queue.Selection{}, after, actPage)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			state, _ := l.queue.State(&page.Messages[i])
			c.states[string(state)]++
			c.recipients(&page.Messages[i])
		}
		c.seen += len(page.Messages)
		after = page.Next
	}
	st.States, st.Sampled = c.states, c.sampled
	st.Domains = make([]DomainStats, 0, len(c.domains))
	for _, d := range c.domains {
		st.Domains = append(st.Domains, *d)
	}
	slices.SortFunc(st.Domains, func(a, b DomainStats) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Domain, b.Domain))
	})
	st.Domains = st.Domains[:min(len(st.Domains), statsDomains)]
	return nil
}

// waitingCount is what was counted so far.
type waitingCount struct {
	states  map[string]int
	domains map[string]*DomainStats
	now     time.Time
	seen    int
	sampled bool
}

// recipients counts those of m who still wait.
func (c *waitingCount) recipients(m *queue.Message) {
	if m.Captured {
		return
	}
	age := ageColumn(c.now.Sub(m.Accepted))
	for i, to := range m.Envelope.To {
		if i < len(m.Results) && m.Results[i].Outcome != queue.Deferred {
			continue
		}
		d := c.domains[to.Domain]
		if d == nil {
			if len(c.domains) >= statsTracked {
				c.sampled = true
				continue
			}
			d = &DomainStats{Domain: to.Domain}
			c.domains[to.Domain] = d
		}
		d.Total++
		d.Ages[age]++
	}
}

// ageColumn is the place in DomainStats.Ages: each column but the last is twice as wide as the one before.
func ageColumn(age time.Duration) int {
	column, width := 0, 5*time.Minute
	for column < len(DomainStats{}.Ages)-1 && age >= width {
		column, width = column+1, 2*width
	}
	return column
}
