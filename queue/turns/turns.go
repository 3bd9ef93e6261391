// Package turns says who is next: which legs of messages are due on a lane, and in which order they
// are handed out.
//
// What is due on a lane stands in a line per sender, soonest first, by ID where that is the same,
// and the senders take turns. A sender who had nothing due is interactive for its first few legs;
// one who then still has more is bulk until all of it is handed out. While there are both, three
// interactive legs go for one of the bulk, so that neither waits for the other to end. Taking one
// costs about the same however many wait.
//
// It is state and nothing else: no clock, no goroutine, no lock. A Store guards it. A leg takes
// some 70 bytes, a sender of whom something is due some 150, a lane some 300.
package turns

import (
	"iter"
	"slices"
)

// What a sender with much to send may not take from the others.
const (
	few       = 4    // legs of a sender that go ahead after it had nothing due
	ahead     = 3    // of those go before one of a sender with more
	ripenMost = 1000 // legs that become due in one look
	spareMost = 64   // lines kept for the next sender, and lanes for which nothing waits
)

// Turns is the waiting legs of all lanes. Make it with New.
type Turns struct {
	at    map[Key]spot // of every leg
	lines []*line      // by number; none has number 0
	free  []uint32     // numbers of lines that nobody stands in
	lanes map[string]*lane
	clock int64 // the time as of the latest look at it
}

// lane is what waits for one way out.
type lane struct {
	name  string
	later *line             // what is not due yet
	of    map[uint32]uint32 // the line's number, by sender, while somebody stands in it

	interactive, bulk ring
	passed            int // interactive legs since the last of the bulk
}

// line is what is due of one sender on a lane, or what is due later.
type line struct {
	Schedule
	lane       *lane
	sender     uint32
	taken      int // legs handed out since nothing was due
	ring       *ring
	prev, next *line
}

// New makes Turns with room for n legs.
func New(n int) *Turns {
	return &Turns{at: make(map[Key]spot, n), lanes: make(map[string]*lane), lines: make([]*line, 1)}
}

// Len is how many legs wait.
func (t *Turns) Len() int { return len(t.at) }

// Lanes yields the lanes for which something waits, in no order.
func (t *Turns) Lanes() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name, l := range t.lanes {
			if !l.empty() && !yield(name) {
				return
			}
		}
	}
}

// Tick tells what time it is. What is added from now on and is due by then stands in line at once.
func (t *Turns) Tick(now int64) { t.clock = now }

// Add puts a leg in that is not in it.
func (t *Turns) Add(name string, s Slot) {
	l := t.lane(name)
	if s.Due > t.clock {
		l.later.Add(s)
	} else {
		t.line(l, s.Sender).Add(s)
	}
}

// Grow makes room for n legs that will be due later on a lane.
func (t *Turns) Grow(name string, n int) {
	later := t.lane(name).later
	later.heap = slices.Grow(later.heap, n)
}

// lane is the lane of a name, which may be new.
func (t *Turns) lane(name string) *lane {
	l := t.lanes[name]
	if l == nil {
		l = &lane{name: name, of: make(map[uint32]uint32)}
		l.later = t.newLine(l)
		t.lanes[name] = l
	}
	return l
}

// Remove takes a leg out, if it is in.
func (t *Turns) Remove(k Key) {
	at, ok := t.at[k]
	if !ok {
		return
	}
	l := t.lines[at.line]
	l.removeAt(int(at.pos))
	if len(l.heap) == 0 && l.ring != nil {
		l.ring.remove(l)
		t.drop(l)
	}
	t.tidy(l.lane)
}

// Take takes out the leg whose turn it is on a lane.
func (t *Turns) Take(name string) (Slot, bool) {
	on := t.lanes[name]
	if on == nil {
		return Slot{}, false
	}
	r := on.turn()
	l := r.first
	if l == nil {
		return Slot{}, false
	}
	s := l.heap[0]
	l.removeAt(0)
	l.taken++
	r.remove(l)
	switch {
	case len(l.heap) == 0:
		t.drop(l)
		t.tidy(on)
	case l.taken < few:
		on.interactive.push(l)
	default:
		on.bulk.push(l)
	}
	return s, true
}

// turn is the ring that the next leg comes from.
func (l *lane) turn() *ring {
	switch {
	case l.bulk.first == nil:
		return &l.interactive
	case l.interactive.first == nil || l.passed == ahead:
		l.passed = 0
		return &l.bulk
	}
	l.passed++
	return &l.interactive
}

// Soonest is when the next leg of a lane will be due. When some are, it is when one of them was.
func (t *Turns) Soonest(name string) (due int64, ok bool) {
	l := t.lanes[name]
	if l == nil {
		return 0, false
	}
	for _, r := range []*ring{&l.interactive, &l.bulk} {
		if r.first != nil {
			return r.first.heap[0].Due, true
		}
	}
	s, ok := l.later.First()
	return s.Due, ok
}

// Ripen lets what has become due on a lane stand in line. Where very many have, such as after a
// long outage, it is some at a time, so that nobody waits long for the rest.
func (t *Turns) Ripen(name string, now int64) {
	t.clock = now
	l := t.lanes[name]
	if l == nil {
		return
	}
	for range ripenMost {
		s, ok := l.later.First()
		if !ok || s.Due > now {
			return
		}
		l.later.removeAt(0)
		t.line(l, s.Sender).Add(s)
	}
}

// line is the sender's line on a lane, at the end of the interactive ones if it is new.
func (t *Turns) line(on *lane, sender uint32) *line {
	if n, ok := on.of[sender]; ok {
		return t.lines[n]
	}
	l := t.newLine(on)
	l.sender, l.taken = sender, 0
	on.of[sender] = l.number
	on.interactive.push(l)
	return l
}

// newLine is a line in which nobody stands yet.
func (t *Turns) newLine(on *lane) *line {
	var n uint32
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		n = uint32(len(t.lines))
		t.lines = append(t.lines, nil)
	}
	if t.lines[n] == nil {
		t.lines[n] = &line{Schedule: Schedule{at: t.at, number: n}}
	}
	t.lines[n].lane = on
	return t.lines[n]
}

// drop ends a sender's line in which nobody stands.
func (t *Turns) drop(l *line) {
	delete(l.lane.of, l.sender)
	t.spare(l)
}

// spare keeps a line for the next sender or lane.
func (t *Turns) spare(l *line) {
	if len(t.free) >= spareMost {
		t.lines[l.number] = nil
	} else if cap(l.heap) > spareMost {
		l.heap = nil
	}
	t.free = append(t.free, l.number)
}

func (l *lane) empty() bool { return len(l.of) == 0 && len(l.later.heap) == 0 }

// tidy forgets a lane for which nothing waits, where there are many lanes.
func (t *Turns) tidy(l *lane) {
	if l.empty() && len(t.lanes) > spareMost {
		t.spare(l.later)
		delete(t.lanes, l.name)
	}
}

// ring is lines that take turns.
type ring struct{ first *line }

// push puts a line at the end.
func (r *ring) push(l *line) {
	l.ring = r
	if r.first == nil {
		r.first, l.prev, l.next = l, l, l
		return
	}
	l.prev, l.next = r.first.prev, r.first
	l.prev.next, l.next.prev = l, l
}

func (r *ring) remove(l *line) {
	switch {
	case l.next == l:
		r.first = nil
	case r.first == l:
		r.first = l.next
	}
	l.prev.next, l.next.prev = l.next, l.prev
	l.prev, l.next, l.ring = nil, nil, nil
}
