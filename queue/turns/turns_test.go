package turns

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// id is the ID of the n-th message; IDs sort as their numbers do.
func id(n int) string { return fmt.Sprintf("%016d", n) }

const lane0 = "upstream"

// Whatever is added, removed and taken on several lanes in whatever order, every leg comes out
// once, on its own lane, and each sender's in order; nothing of those who have nothing more is
// kept.
func TestTurnsLoseNothing(t *testing.T) {
	type from struct {
		lane   string
		sender uint32
	}
	r := rand.New(rand.NewPCG(1, 2))
	q := New(0)
	in, lanes := map[Key]Slot{}, map[Key]string{}
	last := map[from]Slot{}
	for i := range 50_000 {
		lane := []string{lane0, "other"}[r.IntN(2)]
		q.Ripen(lane0, int64(i))
		q.Ripen("other", int64(i))
		switch r.IntN(5) {
		case 0, 1, 2:
			s := Slot{Due: int64(i + r.IntN(200) - 100), Key: KeyOf(id(r.IntN(1_000_000)), r.IntN(3)), Sender: uint32(r.IntN(9))}
			if _, there := in[s.Key]; there {
				continue
			}
			if s.Due <= int64(i) && s.before(last[from{lane, s.Sender}]) {
				delete(last, from{lane, s.Sender})
			}
			in[s.Key], lanes[s.Key] = s, lane
			q.Add(lane, s)
		case 3:
			for k := range in {
				q.Remove(k)
				q.Remove(k)
				delete(in, k)
				break
			}
		case 4:
			s, ok := q.Take(lane)
			if !ok {
				continue
			}
			before, known := last[from{lane, s.Sender}]
			if in[s.Key] != s || lanes[s.Key] != lane || s.Due > int64(i) || known && s.before(before) {
				t.Fatalf("took %+v, after %+v, clock %d", s, before, i)
			}
			last[from{lane, s.Sender}] = s
			delete(in, s.Key)
		}
		if q.Len() != len(in) {
			t.Fatalf("%d wait, want %d", q.Len(), len(in))
		}
	}
	for _, lane := range []string{lane0, "other"} {
		for {
			q.Ripen(lane, 1<<40)
			s, ok := q.Take(lane)
			if !ok {
				break
			}
			if in[s.Key] != s || lanes[s.Key] != lane {
				t.Fatalf("took %+v from %s", s, lane)
			}
			delete(in, s.Key)
		}
		if of := len(q.lanes[lane].of); of != 0 {
			t.Errorf("%d senders of %s left", of, lane)
		}
	}
	if names := slices.Collect(q.Lanes()); q.Len() != 0 || len(in) != 0 || len(names) != 0 || len(q.free) != len(q.lines)-3 {
		t.Errorf("%d legs, %d not taken, lanes %v, %d of %d lines free", q.Len(), len(in), names, len(q.free), len(q.lines))
	}
}

// Each lane has turns of its own: what waits for one lane keeps nobody on another waiting. A lane
// is known while something waits for it, and where there are many no longer than that.
func TestLanesAreApart(t *testing.T) {
	q := New(0)
	for i := range 1000 {
		q.Add("slow", Slot{Key: KeyOf(id(i), 0), Sender: 1})
	}
	q.Add("quick", Slot{Due: -1, Key: KeyOf(id(3), 1), Sender: 1})
	q.Add("later", Slot{Due: 5, Key: KeyOf(id(4), 1), Sender: 1})
	if _, ok := q.Take("unknown"); ok {
		t.Error("took from a lane for which nothing waits")
	}
	if _, ok := q.Soonest("unknown"); ok {
		t.Error("something is due on a lane for which nothing waits")
	}
	if due, ok := q.Soonest("quick"); !ok || due != -1 {
		t.Errorf("quick: %d %v", due, ok)
	}
	if due, ok := q.Soonest("later"); !ok || due != 5 {
		t.Errorf("later: %d %v", due, ok)
	}
	if names := slices.Sorted(q.Lanes()); !slices.Equal(names, []string{"later", "quick", "slow"}) {
		t.Errorf("lanes %v", names)
	}
	s, ok := q.Take("quick")
	if !ok || s.Key.ID() != id(3) || s.Key.Leg() != 1 {
		t.Errorf("took %+v %v", s, ok)
	}
	if _, ok := q.Take("later"); ok {
		t.Error("took what is not due")
	}
	for i := range 10_000 {
		name := fmt.Sprint("domain ", i)
		q.Add(name, Slot{Due: int64(i % 3), Key: KeyOf(id(i), 2), Sender: 1})
		q.Ripen(name, int64(i%3))
		if _, ok := q.Take(name); !ok {
			t.Fatal("lost")
		}
		q.Tick(0)
	}
	if len(q.lanes) > spareMost+3 || len(q.lines) > 2*spareMost+10 {
		t.Errorf("%d lanes and %d lines are kept", len(q.lanes), len(q.lines))
	}
}

// An ID is the same after it was packed with a number, and both sort as they did.
func TestKeys(t *testing.T) {
	before := "0000000000000000"
	for _, id := range []string{"0123456789abcdef", "0123456789abcdeg", "ghijklmnopqrstuv", id(1 << 40), "vvvvvvvvvvvvvvvv"} {
		p, q := KeyOf(id, 0), KeyOf(before, 1<<16-2)
		if p.ID() != id || p.Leg() != 0 || q.Leg() != 1<<16-2 || bytes.Compare(p[:], q[:]) != strings.Compare(id, before) {
			t.Errorf("%s packed is %s", id, p.ID())
		}
		before = id
	}
}

// Lines of many senders at a time are not kept for ever, and half a million waiting legs take
// little memory.
func TestTurnsTakeLittleMemory(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n = 500_000
	before := heap()
	q := New(n)
	q.Tick(n / 2)
	for i := range n {
		q.Add(lane0, Slot{Due: int64(i), Key: KeyOf(id(i), 0), Sender: uint32(i % 100)})
	}
	if each := (heap() - before) / n; each > 75 {
		t.Errorf("%d bytes for each leg", each)
	}
	for _, ok := q.Take(lane0); ok; _, ok = q.Take(lane0) {
	}
	for i := range 10_000 {
		q.Add(lane0, Slot{Due: 1, Key: KeyOf(id(i+n), 0), Sender: uint32(i + 1)})
	}
	for _, ok := q.Take(lane0); ok; _, ok = q.Take(lane0) {
	}
	kept := 0
	for _, l := range q.lines {
		if l != nil && l != q.lanes[lane0].later {
			kept += 1 + cap(l.heap)
		}
	}
	if kept > 2*spareMost*spareMost {
		t.Errorf("%d slots are kept for nobody", kept)
	}
}

// BenchmarkTurns is to take one leg out and put another in, with so many due of one sender.
func BenchmarkTurns(b *testing.B) {
	for _, n := range []int{1, 500_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := New(n)
			q.Tick(1 << 62)
			for i := range n {
				q.Add(lane0, Slot{Due: int64(i), Key: KeyOf(id(i), 0), Sender: 1})
			}
			b.ReportAllocs()
			for i := n; b.Loop(); i++ {
				s, _ := q.Take(lane0)
				s.Due = int64(i)
				q.Add(lane0, s)
			}
		})
	}
}
