package queue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// verbs are the operator's, by name.
func verbs(t testing.TB) map[string]func(g *rig, id queue.ID) error {
	return map[string]func(g *rig, id queue.ID) error{
		"hold":     func(g *rig, id queue.ID) error { return g.Hold(id, "") },
		"release":  func(g *rig, id queue.ID) error { return g.Release(id) },
		"retry":    func(g *rig, id queue.ID) error { return g.Retry(id) },
		"remove":   func(g *rig, id queue.ID) error { return g.Remove(id, time.Now()) },
		"restore":  func(g *rig, id queue.ID) error { return g.Restore(id) },
		"bounce":   func(g *rig, id queue.ID) error { return g.Bounce(id, "no use") },
		"redirect": func(g *rig, id queue.ID) error { return g.Redirect(id, address(t, "eve@example.net")) },
		"edit": func(g *rig, id queue.ID) error {
			return g.EditRecipients(id, []message.Address{address(t, "eve@example.net")}, []message.Address{address(t, "bob@example.net")})
		},
	}
}

// inState makes a message in each state a verb may find it in.
func inState(g *rig, h *hop, state queue.State) queue.ID {
	g.t.Helper()
	s := letter(g.t, "bob@example.net")
	if state != queue.StateDeferred && state != queue.StateDelivered {
		s.NotBefore = time.Now().Add(time.Hour)
	}
	if state == queue.StateDelivered {
		h.set(func(h *hop) { h.answer = always(delivered) })
	}
	id := g.send(s)
	h.set(func(h *hop) { h.answer = always(later) })
	var err error
	switch state {
	case queue.StateHeld:
		err = g.Hold(id, "")
	case queue.StateRemoved:
		err = g.Remove(id, time.Now())
	case queue.StateCaptured: // as if accepted in development mode
		_, err = g.store.Update(id, func(m *queue.Message) { m.Captured, m.Legs = true, nil })
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return id
}

// Every verb in every state does what it says or refuses with a sentence, and what it refuses is
// left as it was.
func TestVerbsByState(t *testing.T) {
	const (
		settled, trash, captured = "settled already", "in the trash; restore it first", "never leaves the machine"
		notHeld, notTrash        = "not held", "not in the trash"
	)
	states := []queue.State{queue.StateQueued, queue.StateDeferred, queue.StateHeld, queue.StateDelivered, queue.StateCaptured,
		queue.StateRemoved}
	for verb, want := range map[string][6]string{ // the new state, or what the error says
		"hold":     {"held", "held", "held", settled, captured, trash},
		"release":  {notHeld, notHeld, "queued", settled, captured, trash},
		"retry":    {"deferred", "deferred", "release it first", settled, captured, trash},
		"remove":   {"removed", "removed", "removed", "removed", "removed", "removed"},
		"restore":  {notTrash, notTrash, notTrash, notTrash, notTrash, "queued"},
		"bounce":   {"failed", "failed", "failed", settled, captured, trash},
		"redirect": {"deferred", "deferred", "held", settled, captured, trash},
		"edit":     {"deferred", "deferred", "held", settled, captured, trash},
	} {
		t.Run(verb, func(t *testing.T) {
			h := &hop{answer: always(later)}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				for i, state := range states {
					id := inState(g, h, state)
					before, tries := g.record(id), len(h.of(id))
					err := verbs(t)[verb](g, id)
					synctest.Wait()
					m := g.record(id)
					switch got, _ := g.State(&m); {
					case err != nil && (!strings.Contains(err.Error(), want[i]) || m.State() != before.State()):
						t.Errorf("%s: %v, and it is %s; want %q", state, err, got, want[i])
					case err == nil && string(got) != want[i]:
						t.Errorf("%s became %s, want %s", state, got, want[i])
					}
					tried := len(h.of(id)) - tries
					if again := want[i] == "deferred"; again != (tried == 1) {
						t.Errorf("%s: %d attempts", state, tried)
					}
				}
				if err := verbs(t)[verb](g, queue.NewID()); !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("of no message: %v", err)
				}
			})
		})
	}
}

// slowly answers after a time.
func slowly(wait time.Duration, results ...queue.Result) *hop {
	return &hop{each: func(d queue.Delivery, n int) []queue.Result {
		if n > 1 || d.Envelope.From.IsNull() {
			return slices.Repeat([]queue.Result{delivered}, len(d.Envelope.To))
		}
		pass := time.NewTimer(wait)
		<-pass.C
		return slices.Clone(results)
	}}
}

// A verb that comes while the message is being handed over neither loses the answer nor is lost
// itself.
func TestVerbsDuringAnAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		verb    string
		answers []queue.Result
		err     error
		want    queue.State // once the attempt is over
		tried   int         // attempts a day later
		end     queue.State
	}{
		"hold, then deferred":        {"hold", []queue.Result{later}, nil, queue.StateHeld, 1, queue.StateHeld},
		"hold, then delivered":       {"hold", []queue.Result{delivered}, nil, queue.StateDelivered, 1, queue.StateDelivered},
		"hold, then the lane's":      {"hold", []queue.Result{silent}, nil, queue.StateHeld, 1, queue.StateHeld},
		"retry, then deferred":       {"retry", []queue.Result{later}, nil, queue.StateDeferred, 2, queue.StateDelivered},
		"remove, then deferred":      {"remove", []queue.Result{later}, nil, queue.StateRemoved, 1, queue.StateRemoved},
		"remove, then refused":       {"remove", []queue.Result{refused}, nil, queue.StateRemoved, 1, queue.StateRemoved},
		"remove, then delivered":     {"remove", []queue.Result{delivered}, nil, queue.StateDelivered, 1, queue.StateDelivered},
		"remove, then partly":        {"remove", []queue.Result{delivered, later}, nil, queue.StateRemoved, 1, queue.StateRemoved},
		"remove, then the lane's":    {"remove", []queue.Result{silent}, nil, queue.StateRemoved, 1, queue.StateRemoved},
		"bounce, then deferred":      {"bounce", []queue.Result{later}, nil, queue.StateFailed, 1, queue.StateFailed},
		"bounce, then delivered":     {"bounce", []queue.Result{delivered}, queue.ErrSettled, queue.StateDelivered, 1, queue.StateDelivered},
		"redirect, then deferred":    {"redirect", []queue.Result{later}, nil, queue.StateDelivered, 2, queue.StateDelivered},
		"redirect, then delivered":   {"redirect", []queue.Result{delivered}, queue.ErrSettled, queue.StateDelivered, 1, queue.StateDelivered},
		"edit, then partly refused":  {"edit", []queue.Result{later, refused}, nil, queue.StatePartial, 2, queue.StatePartial},
		"edit, then bob has it":      {"edit", []queue.Result{delivered, later}, errNoRecipient, queue.StateDeferred, 2, queue.StateDelivered},
		"redirect, then the lane's":  {"redirect", []queue.Result{silent}, nil, queue.StateDelivered, 2, queue.StateDelivered},
		"bounce, then partly":        {"bounce", []queue.Result{delivered, later}, nil, queue.StatePartial, 1, queue.StatePartial},
		"redirect, then both remain": {"redirect", []queue.Result{later, later}, nil, queue.StateDelivered, 2, queue.StateDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			h := slowly(3*time.Second, c.answers...)
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				id := g.send(letter(t, []string{"bob@example.net", "cyd@example.net"}[:len(c.answers)]...))
				pass(time.Second)
				g.wantState(id, queue.StateActive, "")
				begin := time.Now()
				err := verbs(t)[c.verb](g, id)
				if c.err == nil && err != nil || c.err != nil && (err == nil || !strings.Contains(err.Error(), c.err.Error())) {
					t.Errorf("%v, want %v", err, c.err)
				}
				if waited := time.Since(begin) > 0; waited != slices.Contains([]string{"bounce", "redirect", "edit"}, c.verb) {
					t.Errorf("waited for the attempt: %v", waited)
				}
				pass(5 * time.Second)
				m := g.record(id)
				if got, _ := g.State(&m); got != c.want {
					t.Errorf("after the attempt it is %s, want %s", got, c.want)
				}
				pass(24*time.Hour - 10*time.Second)
				if n := len(h.of(id)); n != c.tried {
					t.Errorf("%d attempts, want %d", n, c.tried)
				}
				if n := len(h.notices()); n > 1 || n == 1 && c.verb == "remove" {
					t.Errorf("%d notices", n)
				}
				if m := g.record(id); m.State() != c.end {
					t.Errorf("in the end it is %s, want %s", m.State(), c.end)
				}
			})
		})
	}
}

var errNoRecipient = errors.New("bob@example.net is no recipient that is not settled")

// An attempt that takes long keeps out what needs it to be over, and nothing else happens to the
// message.
func TestVerbsDuringALongAttempt(t *testing.T) {
	h := slowly(time.Hour, delivered)
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		for _, verb := range []string{"bounce", "redirect", "edit"} {
			if err := verbs(t)[verb](g, id); !errors.Is(err, queue.ErrActive) {
				t.Errorf("%s: %v, want ErrActive", verb, err)
			}
		}
		pass(time.Hour)
		g.wantState(id, queue.StateDelivered, "")
		if len(h.seen()) != 1 {
			t.Errorf("attempts: %+v", h.seen())
		}
	})
}

// Mail that is removed while it is handed over is in the trash for every verb until it turns out
// that it was too late. What was tried is then in its record.
func TestRemovedTooLate(t *testing.T) {
	bubble(t, slowly(time.Hour, delivered), settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		if err := g.Remove(id, time.Now()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for _, verb := range []string{"hold", "release", "retry", "bounce", "redirect", "edit"} {
			if err := verbs(t)[verb](g, id); err == nil || !strings.Contains(err.Error(), "in the trash") {
				t.Errorf("%s: %v", verb, err)
			}
		}
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("what is refused waited %s", waited)
		}
		pass(2 * time.Hour)
		m := g.record(id)
		if m.State() != queue.StateDelivered || m.Tries() != 1 || len(m.History) != 1 || m.History[0].Took != time.Hour ||
			len(m.History[0].Answers) != 1 || m.History[0].Answers[0].Outcome != queue.Delivered {
			t.Errorf("%s after %d attempts, history %+v", m.State(), m.Tries(), m.History)
		}
		g.wantLog(1, "removed too late", string(id))
	})
}

// What was refused after it was removed is refused again once it is restored, and only then is the
// sender told.
func TestRestoreAfterRefusal(t *testing.T) {
	h := &hop{answer: func(_ context.Context, d queue.Delivery, _ int) queue.Result {
		if d.Envelope.From.IsNull() {
			return delivered
		}
		pass := time.NewTimer(time.Second)
		<-pass.C
		return refused
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		if err := g.Remove(id, time.Now()); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if n := len(h.notices()); n != 0 {
			t.Errorf("%d notices of removed mail", n)
		}
		if err := g.Restore(id); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		g.wantState(id, queue.StateFailed, "")
		if n := len(h.notices()); n != 1 {
			t.Errorf("%d notices", n)
		}
	})
}

// What stands ready for a busy worker is looked at again before it is tried.
func TestVerbsWhileAMessageStandsReady(t *testing.T) {
	for verb, want := range map[string]string{"hold": "", "remove": "", "redirect": "eve@example.net", "bounce": ""} {
		h := slowly(10*time.Second, delivered)
		cfg := settings()
		cfg.Workers = 1
		bubble(t, h, cfg, func(t *testing.T, g *rig) {
			first, second := g.send(letter(t, "ann@example.net")), g.send(letter(t, "bob@example.net"))
			pass(time.Second)
			g.wantState(first, queue.StateActive, "")
			if err := verbs(t)[verb](g, second); err != nil {
				t.Errorf("%s: %v", verb, err)
			}
			pass(time.Hour)
			var to []string
			for _, y := range h.of(second) {
				to = append(to, y.to...)
			}
			if got := strings.Join(to, " "); got != want {
				t.Errorf("%s: tried %q, want %q", verb, got, want)
			}
		})
	}
}

// Held mail neither expires nor is tried; released it is tried first, and expires only if that
// leaves it open.
func TestHeldMailDoesNotExpire(t *testing.T) {
	h := &hop{answer: always(later)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		if err := g.Hold(id, "until Monday"); err != nil {
			t.Fatal(err)
		}
		h.set(func(h *hop) { h.answer = always(silent) })
		g.send(letter(t, "cyd@example.net")) // stops the lane, so that the janitor looks around
		pass(10 * 24 * time.Hour)
		g.wantState(id, queue.StateHeld, "until Monday")
		h.set(func(h *hop) { h.answer = always(delivered) })
		g.Wake()
		pass(time.Second)
		if err := g.Release(id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.wantState(id, queue.StateDelivered, "")
		g.wantLog(1, "msg=held", string(id), `reason="until Monday"`)
		g.wantLog(1, "msg=released", string(id))
	})
}

// The trash is emptied after its time, restored mail stays, and what was removed last together is
// known.
func TestTrash(t *testing.T) {
	h := &hop{answer: always(later)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		var ids []queue.ID
		for range 4 {
			ids = append(ids, g.send(letter(t, "bob@example.net")))
		}
		for i, id := range ids {
			if i > 1 {
				pass(time.Second)
			}
			if err := g.Remove(id, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Second)
		if err := g.Remove(ids[0], time.Now()); err != nil { // changes nothing
			t.Fatal(err)
		}
		last := func(want ...queue.ID) {
			t.Helper()
			if got, err := g.LastRemoved(t.Context()); err != nil || !slices.Equal(got, want) {
				t.Errorf("removed last: %v, %v, want %v", got, err, want)
			}
		}
		last(ids[3])
		for _, id := range ids[2:] {
			if err := g.Restore(id); err != nil {
				t.Fatal(err)
			}
		}
		last(ids[0], ids[1])
		if st := g.Status().Store; st.Removed != 2 || st.Waiting != 2 {
			t.Errorf("%+v", st)
		}
		pass(26 * time.Hour)
		for i, id := range ids {
			if _, err := g.Get(id); errors.Is(err, queue.ErrNotFound) != (i < 2) {
				t.Errorf("message %d: %v", i, err)
			}
		}
		last()
		if n := len(h.of(ids[0])); n != 1 {
			t.Errorf("%d attempts of removed mail", n)
		}
		g.wantLog(4, "msg=removed")
		g.wantLog(2, "msg=restored")
	})
}

// Giving up tells the sender why, with the last reply; when that cannot be stored nothing changes.
func TestBounceTellsTheSender(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, _ int) []queue.Result {
		if d.Envelope.From.IsNull() {
			return []queue.Result{delivered}
		}
		return []queue.Result{delivered, later}
	}}
	sickBubble(t, h, settings(), func(t *testing.T, g *rig, s *sick) {
		id := g.send(letter(t, "ann@example.net", "bob@example.net"))
		s.set(queue.ErrNoSpace, nil)
		if err := g.Bounce(id, "the shop is closed"); err == nil {
			t.Error("no notice, and no error")
		}
		g.wantState(id, queue.StateDeferred, "")
		s.set(nil, nil)
		if err := g.Bounce(id, "the shop is closed"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.wantState(id, queue.StatePartial, "")
		n := h.notices()
		if len(n) != 1 || !strings.Contains(n[0].body, "the shop is closed") || !strings.Contains(n[0].body, "Status: 5.7.0") ||
			!strings.Contains(n[0].body, "bob@example.net") || strings.Contains(n[0].body, "ann@example.net") {
			t.Errorf("notices: %+v", n)
		}
		if m := g.record(id); m.Tries() != 1 || len(m.History) != 2 || !slices.Equal(m.History[1].Answers[0].To, []int{1}) {
			t.Errorf("%d tries, history %+v", m.Tries(), m.History)
		}
		g.wantLog(1, "msg=bounced", string(id), "the shop is closed")
	})
}

// Changed recipients are tried as they are now, while what was settled, and what was tried, keeps
// its place.
func TestEditRecipients(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, n int) []queue.Result {
		if n == 1 {
			return []queue.Result{delivered, later, later, refused}
		}
		return slices.Repeat([]queue.Result{delivered}, len(d.Envelope.To))
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		a, b, c, d, e := address(t, "a@example.net"), address(t, "b@example.net"), address(t, "c@example.net"),
			address(t, "d@example.net"), address(t, "e@example.net")
		id := g.send(letter(t, "a@example.net", "b@example.net", "c@example.net", "d@example.net"))
		for name, refuse := range map[string]error{
			"last": g.EditRecipients(id, nil, []message.Address{b, c}), "settled": g.EditRecipients(id, nil, []message.Address{a}),
			"unknown": g.EditRecipients(id, nil, []message.Address{e}), "nothing": g.EditRecipients(id, nil, nil),
		} {
			if refuse == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if m := g.record(id); len(m.Results) != 4 || m.Results[1].Outcome != queue.Deferred {
			t.Fatalf("what was refused was done: %+v", m.Results)
		}
		if err := g.EditRecipients(id, []message.Address{a, c, d, e, e}, []message.Address{b}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		tries := h.of(id)
		if len(tries) != 2 || strings.Join(tries[1].to, " ") != "c@example.net d@example.net e@example.net" {
			t.Fatalf("attempts: %+v", tries)
		}
		m := g.record(id)
		var got []string
		for _, r := range m.Results {
			got = append(got, r.Outcome.String())
		}
		if strings.Join(got, " ") != "delivered dropped delivered failed delivered delivered" {
			t.Errorf("results: %v", got)
		}
		if to := m.History[1].Answers[0].To; !slices.Equal(to, []int{2, 4, 5}) || m.State() != queue.StatePartial {
			t.Errorf("%s, the second attempt was of %v", m.State(), to)
		}
	})
}

// A redirected recipient passes on what it asked for (RFC 3461); of several neither is known.
func TestRedirect(t *testing.T) {
	h := &hop{answer: always(later)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		one, given, two := letter(t, "bob@example.net"), letter(t, "bob@example.net"), letter(t, "bob@example.net", "cyd@example.net")
		one.Envelope.To[0].Notify = message.NotifySuccess
		given.Envelope.To[0].Original = "rfc822;robert@example.com"
		for _, c := range []struct {
			s    queue.Submission
			want message.Recipient
		}{
			{one, message.Recipient{Notify: message.NotifySuccess, Original: "rfc822;bob@example.net"}},
			{given, message.Recipient{Original: "rfc822;robert@example.com"}},
			{two, message.Recipient{}},
		} {
			id := g.send(c.s)
			c.want.Address = address(t, "eve@example.net")
			for range 2 { // the second time there is nothing to change
				if err := g.Redirect(id, c.want.Address); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			m := g.record(id)
			n := len(c.s.Envelope.To)
			if len(m.Envelope.To) != n+1 || m.Envelope.To[n] != c.want || m.Results[0].Outcome != queue.Dropped {
				t.Errorf("%+v\n%+v, want %+v", m.Envelope.To, m.Results, c.want)
			}
			if tries := h.of(id); len(tries) != 3 || strings.Join(tries[1].to, " ") != "eve@example.net" {
				t.Errorf("attempts: %+v", tries)
			}
		}
		g.wantLog(6, "msg=redirected", `reason="redirected to eve@example.net"`)
	})
}

// A retry also probes a lane that waits, but not more than once a second.
func TestRetryProbes(t *testing.T) {
	h := &hop{answer: always(silent)}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		var ids []queue.ID
		for range 20 {
			ids = append(ids, g.send(letter(t, "bob@example.net")))
		}
		pass(time.Hour)
		before := len(h.seen())
		for _, id := range ids {
			if err := g.Retry(id); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := len(h.seen()) - before; n != 1 {
			t.Errorf("%d probes, want 1", n)
		}
		h.set(func(h *hop) { h.answer = always(delivered) })
		pass(2 * time.Second)
		if err := g.Retry(ids[0]); err != nil && !errors.Is(err, queue.ErrSettled) {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		for _, id := range ids {
			g.wantState(id, queue.StateDelivered, "")
		}
	})
}

// What was said is kept for the newest attempts, and cut at a line.
func TestDialogueIsKept(t *testing.T) {
	h := &hop{each: func(d queue.Delivery, n int) []queue.Result {
		if n == 8 {
			return []queue.Result{delivered}
		}
		d.Dialogue("C: first\n" + strings.Repeat("S: 451 no\n", 500))
		return []queue.Result{later}
	}}
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		pass(5 * time.Hour)
		for i, a := range g.record(id).History {
			d := a.Dialogue
			switch kept := i > 2 && i < 7; {
			case kept != (d != ""), len(d) > queue.MaxDialogue:
				t.Errorf("attempt %d: %d bytes", i, len(d))
			case kept && (!strings.HasPrefix(d, "S: 451 no\n") || len(d) < queue.MaxDialogue-20):
				t.Errorf("attempt %d is cut to %d bytes: %.20q", i, len(d), d)
			}
		}
	})
}

// Mail that waits for its lane is not held: release says what it waits for. Held meanwhile, it is
// held alone, and waits again once it is released.
func TestReleaseOnWaitingLane(t *testing.T) {
	for name, stop := range map[string]func(t *testing.T, g *rig, h *hop){
		"connection refused": func(_ *testing.T, _ *rig, h *hop) { h.set(func(h *hop) { h.answer = always(silent) }) },
		"paused by the operator: moving house; dinkymail resume upstream": func(t *testing.T, g *rig, _ *hop) {
			if err := g.Pause("upstream", "moving house", "ada"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hop{answer: always(later)}
			bubble(t, h, settings(), func(t *testing.T, g *rig) {
				tried := g.send(letter(t, "bob@example.net"))
				stop(t, g, h)
				fresh := g.send(letter(t, "bob@example.net"))
				pass(time.Second)
				for id, state := range map[queue.ID]queue.State{tried: queue.StateDeferred, fresh: queue.StateQueued} {
					g.wantState(id, state, "waits for the upstream: ")
					g.wantState(id, state, name)
					err := g.Release(id)
					if err == nil || !strings.HasPrefix(err.Error(), "message is not held: it waits for the upstream: ") ||
						!strings.Contains(err.Error(), name) {
						t.Errorf("release of what is %s: %v", state, err)
					}
					if err := g.Hold(id, "until Monday"); err != nil {
						t.Fatal(err)
					}
					g.wantState(id, queue.StateHeld, "until Monday")
					if err := g.Release(id); err != nil {
						t.Errorf("release of what is held: %v", err)
					}
					g.wantState(id, state, name)
				}
			})
		})
	}
}
