package gate

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Listener bounds the connections of a listener. It waits with accepting while all places are
// taken, and closes a connection at once whose client has too many. The last places are for exempt
// clients: strangers who fill the others are closed at once, and keep nobody waiting. Who called a
// proxy on this machine is known with the request only, see Conn.Stranger.
type Listener struct {
	net.Listener
	gate   *Gate
	exempt func(peer netip.Addr) bool
	turned func()
	closed bool // guarded by gate.mu
}

// Listen bounds the connections of ln to those of g, which no other listener may use. No limit per
// client holds for those who are exempt. Turned is told of each stranger who is turned away for
// want of a place.
func (g *Gate) Listen(ln net.Listener, exempt func(peer netip.Addr) bool, turned func()) *Listener {
	return &Listener{Listener: ln, gate: g, exempt: exempt, turned: turned}
}

// Accept returns the next connection that has a place.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		if !l.await() {
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := &Conn{Conn: c, from: l}
		peer := Peer(c)
		if conn.trusted = l.exempt(peer); !conn.trusted {
			conn.client = Client(peer)
		}
		if err = l.gate.Enter(conn.client, conn.trusted); err == nil {
			return conn, nil
		}
		if errors.Is(err, ErrFull) {
			l.turned()
		}
		_ = c.Close()
	}
}

// await waits for a place, and reports false once the listener is closed.
func (l *Listener) await() bool {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	for l.gate.total >= l.gate.most && !l.closed {
		l.gate.freed.Wait()
	}
	return !l.closed
}

// Close stops the listener and whoever waits in Accept.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.gate.mu.Lock()
	l.closed = true
	l.gate.mu.Unlock()
	l.gate.freed.Broadcast()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Conn gives its place back when it is closed.
type Conn struct {
	net.Conn
	from    *Listener
	client  netip.Prefix
	trusted bool // guarded by from.gate.mu
	once    sync.Once
}

// Stranger counts the connection of an exempt peer among those of strangers from now on, because a
// request of one came over it. It reports whether there is a place left for that.
func (c *Conn) Stranger() bool {
	stranger := c.stranger()
	if !stranger {
		c.from.turned()
	}
	return stranger
}

func (c *Conn) stranger() bool {
	g := c.from.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.trusted && g.strangers < g.outside() {
		c.trusted = false
		g.strangers++
	}
	return !c.trusted
}

// Crowded reports whether half of all places are taken, or more than half of those for strangers.
func (c *Conn) Crowded() bool {
	g := c.from.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strangers > g.outside()/2 || g.total >= g.most/2
}

// Close closes the connection; only the first time counts.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.from.gate.mu.Lock()
		defer c.from.gate.mu.Unlock()
		c.from.gate.leave(c.client, c.trusted)
	})
	return err
}

// CloseWrite ends our side alone, so that a client which is still sending can read the answer that
// refuses it.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
