package boltstore

import (
	"dinkymail/queue"
)

// schedule is messages in the order of a time: a heap with four children to a node, and where in it each message is. It is all
// in memory and in no pointers, so that half a million messages cost little and nothing is slower for them.
type schedule struct {
	heap   []slot
	at     map[packed]spot // may be shared by schedules with different numbers
	number uint32
}

// slot has room for a sender at no cost: it fills what would else be padding.
type slot struct {
	key    int64
	id     packed
	sender uint32
}

// spot says where a slot is: in the schedule of which number, and where in its heap.
type spot struct {
	line uint32
	pos  int32
}

// packed is an ID without its encoding; it sorts as the ID does.
type packed [10]byte

const digits = "0123456789abcdefghijklmnopqrstuv"

// pack takes five bits of each character. IDs in the store are valid.
func pack(id queue.ID) (p packed) {
	if len(id) != 16 {
		return p
	}
	for half := range 2 {
		var v uint64
		for _, c := range []byte(id[8*half : 8*half+8]) {
			if c >= 'a' {
				c -= 'a' - 10
			} else {
				c -= '0'
			}
			v = v<<5 | uint64(c&31)
		}
		for i := range 5 {
			p[5*half+i] = byte(v >> (32 - 8*i))
		}
	}
	return p
}

func (p packed) id() queue.ID {
	var b [16]byte
	for half := range 2 {
		var v uint64
		for _, c := range p[5*half : 5*half+5] {
			v = v<<8 | uint64(c)
		}
		for i := range 8 {
			b[8*half+i] = digits[v>>(35-5*i)&31]
		}
	}
	return queue.ID(b[:])
}

func (s slot) before(t slot) bool {
	return s.key < t.key || s.key == t.key && string(s.id[:]) < string(t.id[:])
}

// first is what is due soonest.
func (q *schedule) first() (key int64, id queue.ID, ok bool) {
	if len(q.heap) == 0 {
		return 0, "", false
	}
	return q.heap[0].key, q.heap[0].id.id(), true
}

// add puts a message in that is not in it.
func (q *schedule) add(key int64, id queue.ID) {
	q.insert(slot{key: key, id: pack(id)})
}

func (q *schedule) insert(s slot) {
	q.heap = append(q.heap, s)
	q.up(len(q.heap) - 1)
}

// remove takes a message out, if it is in.
func (q *schedule) remove(id queue.ID) {
	if at, ok := q.at[pack(id)]; ok {
		q.removeAt(int(at.pos))
	}
}

func (q *schedule) removeAt(i int) {
	delete(q.at, q.heap[i].id)
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap = q.heap[:last]
	if i == last {
		return
	}
	if i > 0 && moved.before(q.heap[(i-1)/4]) {
		q.heap[i] = moved
		q.up(i)
		return
	}
	q.heap[i] = moved
	q.down(i)
}

func (q *schedule) up(i int) {
	s := q.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !s.before(q.heap[parent]) {
			break
		}
		q.put(i, q.heap[parent])
		i = parent
	}
	q.put(i, s)
}

func (q *schedule) down(i int) {
	s := q.heap[i]
	for {
		least := i
		best := s
		for c := 4*i + 1; c <= 4*i+4 && c < len(q.heap); c++ {
			if q.heap[c].before(best) {
				least, best = c, q.heap[c]
			}
		}
		if least == i {
			break
		}
		q.put(i, best)
		i = least
	}
	q.put(i, s)
}

func (q *schedule) put(i int, s slot) {
	q.heap[i] = s
	q.at[s.id] = spot{q.number, int32(i)}
}
