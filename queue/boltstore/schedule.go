package boltstore

import (
	"encoding/base32"

	"dinkymail/queue"
)

// schedule is the waiting messages in the order in which they are due: a heap with four children to a node, and where in it
// each message is. It is all in memory and in no pointers, so that half a million messages cost little and nothing is slower
// for them.
type schedule struct {
	heap []slot
	at   map[packed]int32
}

type slot struct {
	key int64
	id  packed
}

// packed is an ID without its encoding; it sorts as the ID does.
type packed [10]byte

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func pack(id queue.ID) (p packed) {
	var b [16]byte
	copy(b[:], id)
	_, _ = idEncoding.Decode(p[:], b[:]) // IDs in the store are valid
	return p
}

func (p packed) id() queue.ID {
	var b [16]byte
	idEncoding.Encode(b[:], p[:])
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
	q.heap = append(q.heap, slot{key, pack(id)})
	q.up(len(q.heap) - 1)
}

// remove takes a message out, if it is in.
func (q *schedule) remove(id queue.ID) {
	p := pack(id)
	i, ok := q.at[p]
	if !ok {
		return
	}
	delete(q.at, p)
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap = q.heap[:last]
	if int(i) == last {
		return
	}
	q.heap[i] = moved
	q.down(int(i))
	q.up(int(q.at[moved.id]))
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
	q.at[s.id] = int32(i)
}
