package turns

import "encoding/binary"

// Schedule is legs in the order of a time: a heap with four children to a node, and where in it
// each leg is. It is all in memory and in no pointers, so that half a million legs cost little and
// nothing is slower for them. The zero value is empty.
type Schedule struct {
	heap   []Slot
	at     map[Key]spot // may be shared by schedules with different numbers
	number uint32
}

// Slot is a leg in a Schedule.
type Slot struct {
	Due    int64 // nanoseconds since 1970
	Key    Key
	Sender uint32
}

// spot says where a slot is: in the schedule of which number, and where in its heap.
type spot struct {
	line uint32
	pos  int32
}

// Key names a leg: the ID of its message without its encoding, and its number in two bytes. It
// sorts as the ID does.
type Key [12]byte

const digits = "0123456789abcdefghijklmnopqrstuv"

// KeyOf is the key of a leg. An ID is 16 characters of 0-9 and a-v; what is none has the key of no
// message. Legs are numbered from 0.
func KeyOf(id string, leg int) (k Key) {
	binary.BigEndian.PutUint16(k[10:], uint16(leg))
	if len(id) != 16 {
		return k
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
			k[5*half+i] = byte(v >> (32 - 8*i))
		}
	}
	return k
}

// Leg is the number of the leg.
func (k Key) Leg() int { return int(binary.BigEndian.Uint16(k[10:])) }

// ID is the ID of the message.
func (k Key) ID() string {
	var b [16]byte
	for half := range 2 {
		var v uint64
		for _, c := range k[5*half : 5*half+5] {
			v = v<<8 | uint64(c)
		}
		for i := range 8 {
			b[8*half+i] = digits[v>>(35-5*i)&31]
		}
	}
	return string(b[:])
}

func (s Slot) before(t Slot) bool {
	return s.Due < t.Due || s.Due == t.Due && string(s.Key[:]) < string(t.Key[:])
}

// First is what is due soonest.
func (q *Schedule) First() (Slot, bool) {
	if len(q.heap) == 0 {
		return Slot{}, false
	}
	return q.heap[0], true
}

// Add puts a leg in that is not in it.
func (q *Schedule) Add(s Slot) {
	if q.at == nil {
		q.at = make(map[Key]spot)
	}
	q.heap = append(q.heap, s)
	q.up(len(q.heap) - 1)
}

// Remove takes a leg out, if it is in.
func (q *Schedule) Remove(k Key) {
	if at, ok := q.at[k]; ok {
		q.removeAt(int(at.pos))
	}
}

func (q *Schedule) removeAt(i int) {
	delete(q.at, q.heap[i].Key)
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

func (q *Schedule) up(i int) {
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

func (q *Schedule) down(i int) {
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

func (q *Schedule) put(i int, s Slot) {
	q.heap[i] = s
	q.at[s.Key] = spot{q.number, int32(i)}
}
