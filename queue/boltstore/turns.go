package boltstore

import "dinkymail/queue"

// What a sender with much to send may not take from the others.
const (
	few       = 4    // messages of a sender that go ahead after it had nothing due
	ahead     = 3    // of those go before one of a sender with more
	ripenMost = 1000 // messages that become due in one look
	spareMost = 64   // lines kept for the next sender
)

// turns is the waiting messages in the order in which they are handed out. What is due stands in a line per sender, soonest
// first, and the senders take turns. A sender who had nothing due is interactive for its first few messages; one who then still
// has more is bulk until all of it is handed out. While there are both, ahead interactive messages go for one of the bulk, so
// that neither waits for the other to end.
type turns struct {
	at    map[packed]spot   // of every message
	later schedule          // what is not due yet
	lines []*line           // by number; none has number 0, which is that of later
	free  []uint32          // numbers of lines that nobody stands in
	of    map[uint32]uint32 // the line's number, by sender, while somebody stands in it

	interactive, bulk ring
	passed            int   // interactive messages since the last of the bulk
	clock             int64 // the time as of the latest look at it
}

// line is what is due of one sender.
type line struct {
	schedule
	sender     uint32
	taken      int // messages handed out since nothing was due
	ring       *ring
	prev, next *line
}

func newTurns(n int) turns {
	t := turns{at: make(map[packed]spot, n), of: make(map[uint32]uint32), lines: make([]*line, 1)}
	t.later.at = t.at
	return t
}

// add puts a message in that is not in it.
func (t *turns) add(key int64, id queue.ID, sender uint32) {
	t.insert(slot{key: key, id: pack(id), sender: sender})
}

func (t *turns) insert(s slot) {
	if s.key > t.clock {
		t.later.insert(s)
		return
	}
	t.line(s.sender).insert(s)
}

// remove takes a message out, if it is in.
func (t *turns) remove(id queue.ID) {
	at, ok := t.at[pack(id)]
	switch {
	case !ok:
	case at.line == 0:
		t.later.removeAt(int(at.pos))
	default:
		l := t.lines[at.line]
		l.removeAt(int(at.pos))
		if len(l.heap) == 0 {
			l.ring.remove(l)
			t.drop(l)
		}
	}
}

// take takes out the message whose turn it is.
func (t *turns) take() (slot, bool) {
	r := t.turn()
	l := r.first
	if l == nil {
		return slot{}, false
	}
	s := l.heap[0]
	l.removeAt(0)
	l.taken++
	r.remove(l)
	switch {
	case len(l.heap) == 0:
		t.drop(l)
	case l.taken < few:
		t.interactive.push(l)
	default:
		t.bulk.push(l)
	}
	return s, true
}

// turn is the ring that the next message comes from.
func (t *turns) turn() *ring {
	switch {
	case t.bulk.first == nil:
		return &t.interactive
	case t.interactive.first == nil || t.passed == ahead:
		t.passed = 0
		return &t.bulk
	}
	t.passed++
	return &t.interactive
}

// soonest is when the next message will be due. When some are, it is when one of them was.
func (t *turns) soonest() (key int64, ok bool) {
	for _, r := range []*ring{&t.interactive, &t.bulk} {
		if r.first != nil {
			return r.first.heap[0].key, true
		}
	}
	if len(t.later.heap) == 0 {
		return 0, false
	}
	return t.later.heap[0].key, true
}

// ripen lets what has become due stand in line. Where very many have, such as after a long outage, it is some at a time, so that
// nobody waits long for the rest.
func (t *turns) ripen(now int64) {
	t.clock = now
	for range ripenMost {
		if len(t.later.heap) == 0 || t.later.heap[0].key > now {
			return
		}
		s := t.later.heap[0]
		t.later.removeAt(0)
		t.line(s.sender).insert(s)
	}
}

// line is the sender's line, at the end of the interactive ones if it is new.
func (t *turns) line(sender uint32) *line {
	if n, ok := t.of[sender]; ok {
		return t.lines[n]
	}
	var n uint32
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		n = uint32(len(t.lines))
		t.lines = append(t.lines, nil)
	}
	l := t.lines[n]
	if l == nil {
		l = &line{schedule: schedule{at: t.at, number: n}}
		t.lines[n] = l
	}
	l.sender, l.taken = sender, 0
	t.of[sender] = n
	t.interactive.push(l)
	return l
}

// drop ends a line in which nobody stands.
func (t *turns) drop(l *line) {
	delete(t.of, l.sender)
	if len(t.free) >= spareMost {
		t.lines[l.number] = nil
	} else if cap(l.heap) > spareMost {
		l.heap = nil
	}
	t.free = append(t.free, l.number)
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
