package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// renewEvery is how often claims are renewed.
const renewEvery = ClaimTime / 3

// hold is the claims of a dispatcher.
type hold struct {
	store   Store
	log     *slog.Logger
	all     map[Claim]context.CancelFunc // with the end of the attempt that goes on
	ready   []Claim                      // of those: not begun
	last    *Claim                       // the last probe's, kept so that the next one is of another message
	renewed time.Time
}

// add takes in claims that were just made.
func (h *hold) add(claims []Claim) {
	for _, c := range claims {
		h.all[c] = nil
	}
	h.ready = append(h.ready, claims...)
}

// begin takes the next one that is ready, and gives the context of its attempt.
func (h *hold) begin(attempts context.Context) (context.Context, Claim) {
	c := h.ready[0]
	h.ready = h.ready[1:]
	attempt, end := context.WithCancel(attempts)
	h.all[c] = end
	return attempt, c
}

// ended takes in that nothing goes on under a claim; it is held still.
func (h *hold) ended(c Claim) {
	if end := h.all[c]; end != nil {
		end()
	}
	h.all[c] = nil
}

// release gives claims back. Those that are over already are forgotten.
func (h *hold) release(claims ...Claim) {
	h.store.Release(claims...)
	for _, c := range claims {
		delete(h.all, c)
	}
}

// putBack gives back what was not begun, and reports whether there was any.
func (h *hold) putBack() bool {
	some := len(h.ready) > 0
	h.release(h.ready...)
	h.ready = nil
	return some
}

// keepLast keeps the claim of a probe that is over.
func (h *hold) keepLast(c Claim) {
	h.store.Rest(c)
	h.last = &c
}

func (h *hold) forgetLast() {
	if h.last != nil {
		h.release(*h.last)
		h.last = nil
	}
}

// renew lets all claims hold, when that is due, and ends the attempts of those that are lost:
// somebody else makes them.
func (h *hold) renew(now time.Time) {
	if now.Sub(h.renewed) < renewEvery {
		return
	}
	h.renewed = now
	for c, end := range h.all {
		if err := h.store.Renew(c); errors.Is(err, ErrLost) && end != nil {
			h.log.Warn("claim lost during the attempt: another process may try the message again", "id", c.ID)
			end()
		}
	}
}
