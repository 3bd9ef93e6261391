package httpapi

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// limited bounds the connections of ln, in all and per client.
func (s *Server) limited(ln net.Listener) net.Listener {
	return &limitedListener{
		Listener: ln,
		places:   make(chan struct{}, s.cfg.MaxConnections),
		closed:   make(chan struct{}),
		outside:  s.cfg.MaxConnections - s.cfg.MaxConnections/10,
		each:     s.cfg.MaxConnectionsPerClient,
		exempt:   s.exempt,
		clients:  map[netip.Addr]int{},
		turned:   &s.turned,
	}
}

// exempt reports whether no limit per client holds for a peer.
func (l *lasting) exempt(peer netip.Addr) bool {
	cfg := &l.latest.Load().cfg
	return contains(cfg.TrustedNetworks, peer) || contains(cfg.TrustedProxies, peer)
}

// limitedListener waits with accepting while all places are taken, and closes a connection at once whose client has too many.
// The last places are for exempt clients: strangers who fill the others are closed at once, and keep nobody waiting. Who called a
// proxy on this machine is known with the request only, see limitedConn.stranger. IPv6 clients are counted by their /64.
type limitedListener struct {
	net.Listener
	places  chan struct{}
	closed  chan struct{}
	once    sync.Once
	outside int // places for all who are not exempt together
	each    int // and for one of them
	exempt  func(client netip.Addr) bool
	turned  *atomic.Int64 // when a stranger was last turned away for want of a place; nil: nobody asks

	mu        sync.Mutex // guards clients and strangers
	clients   map[netip.Addr]int
	strangers int
}

// Accept returns the next connection that has a place.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.places <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		client, ok := l.enter(addrOf(c.RemoteAddr().String()))
		if ok {
			conn := &limitedConn{Conn: c, from: l, counted: client.IsValid()}
			conn.leave = func() { l.left(conn, client) }
			return conn, nil
		}
		_ = c.Close()
		<-l.places
	}
}

// Close stops the listener and whoever waits in Accept.
func (l *limitedListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() { close(l.closed) })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *limitedListener) enter(a netip.Addr) (client netip.Addr, ok bool) {
	if l.exempt(a) {
		return netip.Addr{}, true
	}
	a = network(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[a] >= l.each || !l.room() {
		return a, false
	}
	l.clients[a]++
	l.strangers++
	return a, true
}

func (l *limitedListener) leave(client netip.Addr) {
	<-l.places
	if !client.IsValid() {
		return // exempt
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strangers--
	if l.clients[client]--; l.clients[client] <= 0 {
		delete(l.clients, client)
	}
}

// room reports whether one more stranger has a place, and notes when not. The caller holds mu.
func (l *limitedListener) room() bool {
	if l.strangers < l.outside {
		return true
	}
	if l.turned != nil {
		l.turned.Store(time.Now().UnixNano())
	}
	return false
}

// left takes back what a connection of this client has been counted for.
func (l *limitedListener) left(c *limitedConn, client netip.Addr) {
	if !client.IsValid() {
		l.mu.Lock()
		if c.counted {
			l.strangers--
		}
		l.mu.Unlock()
	}
	l.leave(client)
}

// network is what one client usually has to itself: an IPv4 address, or the /64 of an IPv6 address.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	once    sync.Once
	leave   func()
	from    *limitedListener // nil: not on TCP
	counted bool             // among the strangers; guarded by from.mu
}

// stranger counts the connection of an exempt peer among those of strangers from now on, because a request of one came over it.
// It reports whether there is a place left for that.
func (c *limitedConn) stranger() bool {
	l := c.from
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.counted && l.room() {
		c.counted = true
		l.strangers++
	}
	return c.counted
}

// crowded reports whether more than half of all places are taken, or of those for strangers.
func (c *limitedConn) crowded() bool {
	if c.from == nil {
		return false
	}
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	return c.from.strangers > c.from.outside/2 || len(c.from.places) > cap(c.from.places)/2
}

// Close closes the connection; only the first time counts.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}

// CloseWrite ends our side alone, so that a client which is still sending can read the answer that refuses it.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
