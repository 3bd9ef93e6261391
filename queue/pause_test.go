package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// A paused lane tries nothing, probes nothing and lets nothing expire, across a restart, until it
// is resumed.
func TestPausedLane(t *testing.T) {
	dir := t.TempDir()
	h := &hop{}
	var id queue.ID
	synctest.Test(t, func(t *testing.T) {
		b, shut := openStore(t, dir)
		g := run(t, b, h, settings())
		if err := g.Pause("upstream", "moving house", "ada"); err != nil {
			t.Fatal(err)
		}
		id = g.send(letter(t, "bob@example.net"))
		pass(10 * 24 * time.Hour)
		g.wantState(id, queue.StateQueued, "paused by the operator: moving house")
		g.stop()
		shut()
	})
	bubbleIn(t, dir, h, settings(), func(t *testing.T, g *rig) {
		pass(time.Hour)
		g.wantLog(1, "level=WARN", `msg="still paused"`, "lane=upstream", `reason="moving house"`)
		g.Wake()
		if err := g.Retry(id); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		l, p := g.Status().Lanes[0], g.Status().Paused
		if l.State != queue.LanePaused || l.Kind != "" || !l.NextProbe.IsZero() || len(p) != 1 || p[0].What != "upstream" ||
			p[0].Reason != "moving house" || p[0].Since.IsZero() {
			t.Errorf("%+v\n%+v", l, p)
		}
		if n := len(h.seen()); n != 0 {
			t.Errorf("%d attempts on a paused lane", n)
		}
		if err := g.Resume("upstream"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.wantState(id, queue.StateDelivered, "")
		if l := g.Status().Lanes[0]; l.State != queue.LaneFlowing || len(g.Status().Paused) != 0 {
			t.Errorf("%+v", l)
		}
		g.wantLog(1, "msg=resumed", "lane=upstream")
	})
}

// An attempt that goes on when the lane is paused comes to its end; what stands ready goes back; a
// lane that waited before is probed at once when it is resumed.
func TestPauseDuringAttempts(t *testing.T) {
	h := slowly(10*time.Second, silent)
	cfg := settings()
	cfg.Workers = 1
	bubble(t, h, cfg, func(t *testing.T, g *rig) {
		first, second := g.send(letter(t, "bob@example.net")), g.send(letter(t, "cyd@example.net"))
		pass(time.Second)
		if err := g.Pause("upstream", "", "ada"); err != nil {
			t.Fatal(err)
		}
		g.wantState(first, queue.StateActive, "")
		g.wantState(second, queue.StateQueued, "paused by the operator")
		pass(time.Hour)
		if n := len(h.seen()); n != 1 {
			t.Errorf("%d attempts, want 1", n)
		}
		if err := g.Resume("upstream"); err != nil {
			t.Fatal(err)
		}
		pass(11 * time.Second)
		if n := len(h.seen()); n < 2 {
			t.Error("no probe")
		}
		pass(2 * time.Minute)
		g.wantState(first, queue.StateDelivered, "")
		g.wantState(second, queue.StateDelivered, "")
	})
}

// Paused intake refuses mail from doors and takes the queue's own notices; everything else goes on.
func TestPausedIntake(t *testing.T) {
	h := &hop{answer: func(ctx context.Context, d queue.Delivery, n int) queue.Result {
		if d.Envelope.From.IsNull() {
			return delivered
		}
		pass := time.NewTimer(time.Minute)
		<-pass.C
		return refused
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		g.send(letter(t, "bob@example.net"))
		if err := g.Pause(queue.Intake, "spam", "ada"); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Submit(t.Context(), letter(t, "bob@example.net")); !errors.Is(err, queue.ErrPaused) {
			t.Errorf("%v, want ErrPaused", err)
		}
		pass(2 * time.Minute)
		if n := h.notices(); len(n) != 1 {
			t.Errorf("notices: %+v", n)
		}
		if err := g.Resume(queue.Intake); err != nil {
			t.Fatal(err)
		}
		g.send(letter(t, "bob@example.net"))
	})
}

// Everything is intake and every lane; what is resumed alone flows alone; names that are none are
// refused.
func TestPauseEverything(t *testing.T) {
	h := &hop{}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		paused := func(want string) {
			t.Helper()
			var got []string
			for _, p := range g.Status().Paused {
				got = append(got, p.What+" "+p.Reason)
			}
			if s := strings.Join(got, ", "); s != want {
				t.Errorf("paused: %q, want %q", s, want)
			}
		}
		if err := g.Pause(queue.Everything, "a", "ada"); err != nil {
			t.Error(err)
		}
		paused("intake a, upstream a")
		if err := g.Pause("upstream", "b", "ada"); err != nil {
			t.Error(err)
		}
		paused("intake a, upstream b")
		if err := g.Resume(queue.Intake); err != nil {
			t.Error(err)
		}
		paused("upstream b")
		if err := g.Resume(queue.Everything); err != nil {
			t.Error(err)
		}
		paused("")
		for _, err := range []error{g.Pause("nowhere", "", "ada"), g.Resume("")} {
			if !errors.Is(err, queue.ErrSelection) || !strings.Contains(err.Error(), "the lanes are: upstream") {
				t.Errorf("%v", err)
			}
		}
		g.wantState(id, queue.StateDelivered, "")
	})
}
