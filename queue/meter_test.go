package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dinkymail/queue"
)

// What attempts do is counted by outcome and by what was behind it, and how long things took is
// measured.
func TestMeters(t *testing.T) {
	h := &hop{answer: func(_ context.Context, _ queue.Delivery, n int) queue.Result {
		<-time.After(3 * time.Second)
		switch n {
		case 1:
			return queue.Result{Code: 450, Text: "later"}
		case 2:
			return queue.Result{Text: "connection lost"}
		}
		return delivered
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		g.send(letter(t, "bob@example.net"))
		pass(time.Hour)
		m := g.Meters()
		got := ""
		for _, r := range m.Results {
			got += fmt.Sprintf("%s %s %d, ", r.Outcome, r.Class, r.N)
		}
		if want := "deferred 4xx 1, deferred network 1, delivered 2xx 1, "; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if m.Attempt.Count != 3 || m.Attempt.Sum != 9 || m.Delivery.Count != 1 || m.Delivery.Sum < 60 {
			t.Errorf("attempts %+v, delivery %+v", m.Attempt, m.Delivery)
		}
		if m.Sync.Count == 0 {
			t.Error("syncs are not measured")
		}
	})
}
