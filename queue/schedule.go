package queue

import (
	"math/rand/v2"
	"time"
)

// begins is when the first attempt may be made; the lifetime counts from here.
func (m *Message) begins() time.Time { return later(m.Accepted, m.NotBefore) }

// deadline is when recipients that are still deferred fail.
func (c *Config) deadline(m *Message) time.Time { return m.begins().Add(c.Lifetime) }

// Expires is when the recipients of m that are still deferred fail, unless something keeps them: a
// held message does not expire.
func (q *Queue) Expires(m *Message) time.Time { return q.cfg().deadline(m) }

// retryAt is when to try m again after its attempt number tries, which was deferred at now. The
// last attempt is made at the deadline.
func (c *Config) retryAt(m *Message, tries int, now time.Time) time.Time {
	wait := c.Retry[min(max(tries, 1), len(c.Retry))-1]
	wait += time.Duration((rand.Float64()*0.2 - 0.1) * float64(wait)) // ±10 %
	next := now.Add(max(wait, time.Second))
	if end := c.deadline(m); now.Before(end) && next.After(end) {
		return end
	}
	return next
}
