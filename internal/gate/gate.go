// Package gate counts who is connected, and says whether one more may be: connections in all, of
// one client, and of one user of a Unix socket.
//
// # What it promises
//
// The last tenth of the places is for peers that are trusted: no crowd from outside keeps the
// programs of the house waiting. An IPv6 client counts with its /64.
//
// # Who runs where
//
// All methods may be called from any goroutine. Nothing here has one of its own.
package gate

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Why there is no place.
var (
	ErrFull   = errors.New("too many connections, try again later")
	ErrClient = errors.New("too many connections from your address, try again later")
)

// Gate counts connections, in all and by client. Make it with New.
type Gate struct {
	mu        sync.Mutex // guards the fields below
	most      int        // in all
	each      int        // of one client
	total     int
	strangers int // of total, those that are not trusted
	clients   tally[netip.Prefix]
	freed     sync.Cond // signalled when total falls, or the listener that waits for that is closed
}

// New makes a Gate with so many places in all, and so many for each client.
func New(most, each int) *Gate {
	g := &Gate{most: most, each: each, clients: tally[netip.Prefix]{}}
	g.freed.L = &g.mu
	return g
}

// Allow changes how many places there are. Nobody who is in has to leave.
func (g *Gate) Allow(most, each int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most, g.each = most, each
}

// Enter takes a place, or says why there is none: ErrFull or ErrClient. The zero client is one that
// is not counted.
func (g *Gate) Enter(client netip.Prefix, trusted bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.total >= g.most, !trusted && g.strangers >= g.outside():
		return ErrFull
	case client.IsValid() && !g.clients.enter(client, g.each):
		return ErrClient
	}
	g.total++
	if !trusted {
		g.strangers++
	}
	return nil
}

// Leave gives back what Enter took.
func (g *Gate) Leave(client netip.Prefix, trusted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave(client, trusted)
}

// leave is Leave for who holds mu.
func (g *Gate) leave(client netip.Prefix, trusted bool) {
	g.total--
	if !trusted {
		g.strangers--
	}
	if client.IsValid() {
		g.clients.leave(client)
	}
	g.freed.Signal()
}

// outside is how many places there are for all who are not trusted together. The caller holds mu.
func (g *Gate) outside() int { return g.most - g.most/10 }

// Counter counts who is in, by what it is given. The zero value is ready.
type Counter[K comparable] struct {
	mu sync.Mutex // guards in
	in tally[K]
}

// Enter takes a place for one who has fewer than most, and reports whether it did.
func (c *Counter[K]) Enter(who K, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in == nil {
		c.in = tally[K]{}
	}
	return c.in.enter(who, most)
}

// Leave gives back what Enter took.
func (c *Counter[K]) Leave(who K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.leave(who)
}

// Len is how many places are taken.
func (c *Counter[K]) Len() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, has := range c.in {
		n += has
	}
	return n
}

// tally is how many places each has.
type tally[K comparable] map[K]int

func (t tally[K]) enter(who K, most int) bool {
	if t[who] >= most {
		return false
	}
	t[who]++
	return true
}

func (t tally[K]) leave(who K) {
	if t[who]--; t[who] <= 0 {
		delete(t, who)
	}
}

// Client is what counts as one client: an IPv4 address, or the /64 that a single IPv6 site has at
// least. It is zero for an address that is not valid.
func Client(peer netip.Addr) netip.Prefix {
	bits := 64
	if peer.Is4() {
		bits = 32
	}
	p, _ := peer.Prefix(bits)
	return p
}

// Contains reports whether a is in one of some networks.
func Contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Peer is the address of a connection's other end, as a client is known by it; not valid when it is
// none of TCP.
func Peer(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return plain(a.AddrPort().Addr())
	}
	return netip.Addr{}
}

// ParsePeer reads the address out of host:port, as Peer does.
func ParsePeer(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return plain(ap.Addr())
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
