package queue

import "strings"

// Sender is a number for whom m comes from, as far as taking turns in the lane goes: the account or
// key it came with; without one, the door and the address in its envelope; and all notices of the
// queue itself are one sender. Of an address, what stands behind the first "+", "-", "=" or digit
// of the local part does not count, so that a mailing with a bounce address per recipient is one
// sender and not thousands. Two senders may share a number, and then share a turn. It is never 0.
func (m *Message) Sender() uint32 {
	h := fnvBasis
	switch from := m.Envelope.From; {
	case m.Origin.Door == DoorBounce:
		h = fnv(h, DoorBounce)
	case m.Origin.User != "":
		h = fnv(fnv(h, "user "), m.Origin.User)
	default:
		local := from.Local
		if i := strings.IndexAny(local, "+-=0123456789"); i >= 0 {
			local = local[:i]
		}
		h = fnv(fnv(fnv(fnv(fnv(fnv(h, "from "), m.Origin.Door), " "), local), "@"), from.Domain)
	}
	return max(h, 1)
}

// fnvBasis and fnvPrime are those of FNV-1a with 32 bits.
const (
	fnvBasis uint32 = 2166136261
	fnvPrime uint32 = 16777619
)

func fnv(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * fnvPrime
	}
	return h
}
