package queue_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// keep puts a message into the store as it is.
func keep(t testing.TB, s queue.Store, m queue.Message) queue.ID {
	t.Helper()
	if m.ID == "" {
		m.ID = queue.NewID()
	}
	if m.Results == nil {
		m.Results = make([]queue.Result, len(m.Envelope.To))
	}
	_, err := s.Put(bytes.NewReader([]byte("x")), func(int64) (queue.Message, error) { return m, nil })
	if err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// some is one message of each kind.
func some(t testing.TB, s queue.Store) map[string]queue.ID {
	now := time.Now()
	to := func(all ...string) (to []message.Recipient) {
		for _, a := range all {
			to = append(to, message.Recipient{Address: address(t, a)})
		}
		return to
	}
	from := func(a string) message.Address { return address(t, a) }
	ids := map[string]queue.ID{}
	for i, m := range []struct {
		name string
		queue.Message
	}{
		{"fresh", queue.Message{Envelope: message.Envelope{From: from("ada@example.com"), To: to("bob@example.net")},
			Facts: message.Facts{Subject: "Invoice 17"}}},
		{"deferred", queue.Message{Envelope: message.Envelope{From: from("shop@example.org"), To: to("ann@mail.example.net", "cyd@Example.net")},
			Results: []queue.Result{delivered, later}, Legs: []queue.Leg{{Lane: queue.Upstream, Tries: 1}}, Facts: message.Facts{Subject: "Grüße"}}},
		{"held", queue.Message{Envelope: message.Envelope{From: from("ADA@example.com"), To: to("bob@[127.0.0.1]")}, Held: "why"}},
		{"bounce", queue.Message{Envelope: message.Envelope{To: to("ada@example.com")}, Results: []queue.Result{silent}, Legs: []queue.Leg{{Lane: queue.Upstream, Tries: 1}}}},
		{"captured", queue.Message{Envelope: message.Envelope{From: from("ada@example.com"), To: to("bob@example.net")}, Captured: true}},
		{"done", queue.Message{Envelope: message.Envelope{From: from("ada@example.com"), To: to("bob@example.net")},
			Results: []queue.Result{delivered}, Finished: now}},
		{"failed", queue.Message{Envelope: message.Envelope{From: from("ada@example.com"), To: to("no@example.net")},
			Results: []queue.Result{refused}, Finished: now}},
		{"gone", queue.Message{Envelope: message.Envelope{From: from("ada@example.com"), To: to("bob@example.net")}, Removed: now}},
	} {
		m.Accepted = now.Add(time.Duration(i-10) * time.Hour)
		if len(m.Legs) == 0 && !m.Captured {
			m.Legs = []queue.Leg{{Lane: queue.Upstream}}
		}
		if !m.Captured {
			m.Legs[0].Next = now.Add(time.Hour)
		}
		ids[m.name] = keep(t, s, m.Message)
	}
	return ids
}

// A Selection selects what passes each of its filters, in order, a page at a time.
func TestSelect(t *testing.T) {
	bubble(t, &hop{}, settings(), func(t *testing.T, g *rig) {
		ids := some(t, g.store)
		synctest.Wait()
		named := func(names ...string) (out []queue.ID) {
			for _, n := range names {
				out = append(out, ids[n])
			}
			return out
		}
		for want, sel := range map[string]queue.Selection{
			"fresh deferred held bounce captured":                  {},
			"fresh deferred held bounce captured done failed gone": {All: true},
			"gone fresh":                          {IDs: append(named("gone", "fresh", "gone"), queue.NewID()), Newest: true},
			"fresh":                               {Subject: "INVOICE"},
			"deferred":                            {Subject: "/^grü.e$/"},
			"fresh held captured":                 {From: "Ada"},
			"fresh held  captured":                {From: "ada@*"},
			"bounce":                              {From: "<>"},
			"fresh deferred  held captured":       {From: "/@/", To: "*@*"},
			"bounce ":                             {To: "ADA"},
			"":                                    {To: "ann"}, // she has it
			"fresh deferred captured":             {Domain: "EXAMPLE.net"},
			" ":                                   {Domain: "*.example.net"},
			"held":                                {Domain: "[127.0.0.1]"},
			"deferred ":                           {Error: "451 4.3.0 TRY"},
			" bounce":                             {Error: "refused"},
			"failed":                              {Error: "*such user", All: true},
			"failed ":                             {States: []queue.State{queue.StateFailed}},
			"done failed":                         {States: []queue.State{queue.StateFailed, queue.StateDelivered}},
			"held gone":                           {States: []queue.State{queue.StateHeld, queue.StateRemoved}},
			"fresh ":                              {States: []queue.State{queue.StateQueued}},
			" captured":                           {States: []queue.State{queue.StateCaptured}},
			"fresh deferred":                      {Older: 8*time.Hour + time.Minute},
			"held bounce captured":                {Younger: 8*time.Hour + time.Minute},
			"fresh deferred held bounce":          {Lane: "upstream"},
			" deferred":                           {IDs: named("fresh", "deferred"), To: "cyd"},
			"captured bounce held deferred fresh": {Newest: true},
		} {
			names := strings.Fields(want)
			for _, limit := range []int{1, 2, 100} {
				if got := selected(t, g, sel, limit); !slices.Equal(got, named(names...)) {
					t.Errorf("%+v, %d at a time: %d messages, want %q", sel, limit, len(got), want)
				}
			}
		}
	})
}

// selected is everything selected, gathered in pages.
func selected(t testing.TB, g *rig, sel queue.Selection, limit int) (ids []queue.ID) {
	t.Helper()
	for after := queue.ID(""); ; {
		p, err := g.Select(t.Context(), sel, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Messages) > limit {
			t.Fatalf("a page of %d, limit %d", len(p.Messages), limit)
		}
		for _, m := range p.Messages {
			ids = append(ids, m.ID)
		}
		if after = p.Next; after == "" {
			return ids
		}
	}
}

// What waits for its lane is queued and not held, with the reason; what is being handed over is
// active.
func TestSelectByStateShown(t *testing.T) {
	h := slowly(time.Minute, silent)
	bubble(t, h, settings(), func(t *testing.T, g *rig) {
		id := g.send(letter(t, "bob@example.net"))
		count := func(state queue.State) int {
			return len(selected(t, g, queue.Selection{States: []queue.State{state}}, 10))
		}
		pass(time.Second)
		if count(queue.StateActive) != 1 || !g.Active(id) {
			t.Error("not active during the attempt")
		}
		pass(59*time.Second + 500*time.Millisecond)
		if count(queue.StateActive) != 0 || count(queue.StateHeld) != 0 || count(queue.StateQueued) != 1 {
			t.Error("not queued after it, or held")
		}
	})
}

// A filter that makes no sense is refused by its name.
func TestSelectRefuses(t *testing.T) {
	bubble(t, &hop{}, settings(), func(t *testing.T, g *rig) {
		for want, sel := range map[string]queue.Selection{
			"subject: ":                 {Subject: "/(/"},
			"from: ":                    {From: "//"},
			`there is no lane "x"`:      {Lane: "x"},
			"older: -1s":                {Older: -time.Second},
			`there is no status "new"`:  {States: []queue.State{"new"}},
			"error: error parsing":      {Error: "/[/"},
			"to: error parsing":         {To: "/a**/"},
			"younger: -1ns is negative": {Younger: -1},
		} {
			if _, err := g.Select(t.Context(), sel, "", 1); !errors.Is(err, queue.ErrSelection) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}

// One call looks at no more than some thousand records, however little they match.
func TestSelectIsBounded(t *testing.T) {
	s, _ := openStore(t, t.TempDir())
	list := &counted{Store: s}
	q := queue.New(list, queue.One(&hop{}), settings(), quiet())
	const n = 6000
	fillStore(t, s, n)
	p, err := q.Select(t.Context(), queue.Selection{Subject: "none"}, "", 10)
	if err != nil || len(p.Messages) != 0 || p.Next == "" || list.read > 5500 {
		t.Fatalf("%d messages, next %q, %d read, %v", len(p.Messages), p.Next, list.read, err)
	}
	p, err = q.Select(t.Context(), queue.Selection{Subject: "none"}, p.Next, 10)
	if err != nil || p.Next != "" || list.read > n+500 {
		t.Fatalf("next %q, %d read, %v", p.Next, list.read, err)
	}
	list.read = 0
	if p, err = q.Select(t.Context(), queue.Selection{}, "", 10); err != nil || len(p.Messages) != 10 || list.read != 10 {
		t.Fatalf("%d messages, %d read, %v", len(p.Messages), list.read, err)
	}
}

// counted counts the records read by List.
type counted struct {
	queue.Store
	read int
}

func (c *counted) List(f queue.Filter, after queue.ID, limit int) ([]queue.Message, error) {
	list, err := c.Store.List(f, after, limit)
	c.read += len(list)
	return list, err
}

// fillStore accepts n messages, many at a time.
func fillStore(t testing.TB, s queue.Store, n int) {
	t.Helper()
	const at = 64
	done := make(chan bool)
	for k := range at {
		go func() {
			for i := k; i < n; i += at {
				keep(t, s, queue.Message{Accepted: time.Now(), Legs: []queue.Leg{{Lane: queue.Upstream, Next: time.Now().Add(time.Hour)}}, Facts: message.Facts{Subject: fmt.Sprint("mail ", i)},
					Envelope: message.Envelope{From: message.Address{Local: "ada", Domain: "example.com"},
						To: []message.Recipient{{Address: message.Address{Local: fmt.Sprint("u", i), Domain: "example.net"}}}}})
			}
			done <- true
		}()
	}
	for range at {
		<-done
	}
}

// BenchmarkSelect measures the first page of all, and a whole search that finds little, in a queue
// of 100,000.
func BenchmarkSelect(b *testing.B) {
	s, _ := openStore(b, b.TempDir())
	q := queue.New(s, queue.One(&hop{}), settings(), quiet())
	fillStore(b, s, 100_000)
	b.Run("first page", func(b *testing.B) {
		for b.Loop() {
			if _, err := q.Select(b.Context(), queue.Selection{}, "", 50); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, sel := range map[string]queue.Selection{"subject": {Subject: "mail 9999"}, "regexp": {To: "/^u9999.@/"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				selected(b, &rig{Queue: q}, sel, 50)
			}
		})
	}
}

// No pattern does harm: each selects, or is refused as a bad selection.
func FuzzSelect(f *testing.F) {
	f.Add("*@example.*", "ada@example.com")
	f.Add("/a(/", "a(")
	f.Add("a?c**", "ABC")
	s, _ := openStore(f, f.TempDir())
	q := queue.New(s, queue.One(&hop{}), settings(), quiet())
	id := keep(f, s, queue.Message{Envelope: message.Envelope{To: []message.Recipient{{}}}})
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if _, err := s.Update(id, func(m *queue.Message) { m.Facts.Subject = subject }); err != nil {
			t.Fatal(err)
		}
		p, err := q.Select(t.Context(), queue.Selection{Subject: pattern}, "", 10)
		if err != nil && !errors.Is(err, queue.ErrSelection) {
			t.Fatal(err)
		}
		if pattern == "*" && len(p.Messages) != 1 {
			t.Error("* does not match")
		}
	})
}
