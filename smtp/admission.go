package smtp

import (
	"net/netip"
	"sync"
	"time"
)

// admission counts the connections that are open, all together and by client. Strangers may take most of the places, but the
// last tenth is for peers of Config.Trusted: no crowd from outside keeps the programs of the house waiting.
type admission struct {
	mu sync.Mutex // guards the fields below

	most, mostStrangers, mostEach int

	total     int
	strangers int
	each      map[netip.Prefix]int
	said      time.Time // when the log was last told of a refusal
}

// sayEvery keeps a flood of connections from becoming a flood of log lines.
const sayEvery = time.Minute

// worthSaying reports whether the log should hear of a refusal: once in a while is enough.
func (a *admission) worthSaying(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.said) < sayEvery {
		return false
	}
	a.said = now
	return true
}

func newAdmission(most, mostEach int) *admission {
	return &admission{most: most, mostStrangers: most - most/10, mostEach: mostEach, each: make(map[netip.Prefix]int)}
}

// allow changes how many places there are. Nobody who is in has to leave.
func (a *admission) allow(most, mostEach int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most, a.mostStrangers, a.mostEach = most, most-most/10, mostEach
}

// enter takes a place for a connection from peer, or says why there is none.
func (a *admission) enter(peer netip.Addr, trusted bool) error {
	client := clientOf(peer)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= a.most || !trusted && a.strangers >= a.mostStrangers {
		return errBusy
	}
	if a.each[client] >= a.mostEach {
		return errBusyClient
	}
	a.total++
	if !trusted {
		a.strangers++
	}
	a.each[client]++
	return nil
}

// leave gives the place back.
func (a *admission) leave(peer netip.Addr, trusted bool) {
	client := clientOf(peer)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if !trusted {
		a.strangers--
	}
	if a.each[client]--; a.each[client] <= 0 {
		delete(a.each, client)
	}
}

// clientOf is what counts as one client: an IPv4 address, or the /64 that a single IPv6 site has at least.
func clientOf(peer netip.Addr) netip.Prefix {
	bits := 64
	if peer.Is4() {
		bits = 32
	}
	p, _ := peer.Prefix(bits) // an invalid address gives the zero Prefix, which is one client too
	return p
}
