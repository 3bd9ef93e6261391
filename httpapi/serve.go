package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Serve answers requests from ln until ctx ends. Then it takes no more, lets those in flight finish within Config.Grace, cuts
// off the rest and returns nil; nothing of it is left running. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		// What net/http has to say is about broken clients: port scanners, resets, bad TLS.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s.run(ctx, server, ln, s.limited(ln))
}

// run serves limited, which is ln with limits, until ctx ends.
func (s *Server) run(ctx context.Context, server *http.Server, ln, limited net.Listener) error {
	served, failed := make(chan struct{}), error(nil)
	go func() {
		defer close(served)
		failed = server.Serve(limited)
	}()
	select {
	case <-served:
		_ = server.Close()
		return fmt.Errorf("serve http on %s: %w", ln.Addr(), failed)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		s.log.Warn("requests cut off at shutdown", "err", err)
		_ = server.Close()
	}
	_ = ln.Close() // Shutdown does not know of it when Serve has not come so far yet
	<-served
	return nil
}

// limited bounds the connections of ln, in all and per client.
func (s *Server) limited(ln net.Listener) net.Listener {
	return &limitedListener{
		Listener: ln,
		places:   make(chan struct{}, s.cfg.MaxConnections),
		closed:   make(chan struct{}),
		outside:  s.cfg.MaxConnections - s.cfg.MaxConnections/10,
		each:     s.cfg.MaxConnectionsPerClient,
		exempt:   append(append([]netip.Prefix{}, s.cfg.TrustedNetworks...), s.cfg.TrustedProxies...),
		clients:  map[netip.Addr]int{},
	}
}

// limitedListener waits with accepting while all places are taken, and closes a connection at once whose client has too many.
// The last places are for exempt clients: strangers who fill the others are closed at once, and keep nobody waiting. IPv6 clients are counted by their /64.
type limitedListener struct {
	net.Listener
	places  chan struct{}
	closed  chan struct{}
	once    sync.Once
	outside int // places for all who are not exempt together
	each    int // and for one of them
	exempt  []netip.Prefix

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
			return &limitedConn{Conn: c, leave: func() { l.leave(client) }}, nil
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
	if contains(l.exempt, a) {
		return netip.Addr{}, true
	}
	if a.Is6() {
		p, _ := a.Prefix(64)
		a = p.Addr()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[a] >= l.each || l.strangers >= l.outside {
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

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	once  sync.Once
	leave func()
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
