package queue_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// Who watches is told of each message's life, of the operator's verbs and of the lane, and one who
// does not read holds up nobody.
func TestWatch(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, n int) []queue.Result {
		switch n {
		case 1:
			return []queue.Result{delivered, later, later, refused}
		case 2:
			return []queue.Result{silent, silent}
		}
		return []queue.Result{delivered, delivered}[:len(d.Envelope.To)]
	}}
	cfg := settings()
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		watch := g.Watch(ctx)
		g.Watch(ctx) // reads nothing
		s := letter(t, "a@example.net", "b@example.net", "c@example.net", "d@example.net")
		s.Envelope.To[3].Notify = 1 // never: no bounce here
		id := g.send(s)
		var got []string
		gather := func() {
			synctest.Wait()
			for {
				select {
				case e := <-watch:
					if e.At.IsZero() || e.ID != "" && (e.ID != id || e.From != "ada@example.com" || e.Size == 0) {
						t.Errorf("%+v", e)
					}
					if e.Kind == queue.EventDeferred && !e.Next.After(time.Now()) {
						t.Errorf("no next attempt: %+v", e)
					}
					got = append(got, strings.Join(strings.Fields(string(e.Kind)+" "+e.To+" "+e.Text), " "))
				default:
					return
				}
			}
		}
		gather()
		pass(3 * time.Minute)
		gather()
		pass(time.Hour)
		for _, err := range []error{g.Pause("upstream", "x", "ada"), g.Resume("upstream"), g.Remove(id, time.Now()), g.Restore(id)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		gather()
		want := []string{
			"queued a@example.net +3",
			"delivered a@example.net 250 2.0.0 ok", "failed d@example.net 550 5.1.1 no such user",
			"deferred b@example.net +1 451 4.3.0 try later",
			"lane waits mx.example.net:25: connection refused; mail flows when it answers; if it never does, check SMTP_RELAY_HOST, " +
				"SMTP_RELAY_PORT and the network",
			"lane flows", "delivered b@example.net +1 250 2.0.0 ok",
			"paused x", "resumed", "removed a@example.net +3", "restored a@example.net +3",
		}
		if n := len(got); n > 6 && got[5] == want[6] { // the lane and the message are told of each by its own
			got[5], got[6] = got[6], got[5]
		}
		if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
			t.Errorf("got:\n%s\n\nwant:\n%s", a, b)
		}
		cancel()
		if _, open := <-watch; open {
			t.Error("an event after the end")
		}
	})
}
