package httpapi

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// connKey leads to the connection of a request on TCP.
type connKey struct{}

// crowd counts the requests in flight of each client behind a proxy. The connections, which a listener can count, are the proxy's.
type crowd struct {
	mu      sync.Mutex // guards clients
	clients map[netip.Addr]int
}

// enter reports whether a client with fewer than most requests in flight may have one more.
func (c *crowd) enter(client netip.Addr, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients[client] >= most {
		return false
	}
	if c.clients == nil {
		c.clients = map[netip.Addr]int{}
	}
	c.clients[client]++
	return true
}

func (c *crowd) leave(client netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients[client]--; c.clients[client] <= 0 {
		delete(c.clients, client)
	}
}

// admit keeps strangers off the places of programs on this machine, also when they come through a proxy that has no limit, and
// holds every client behind a proxy to MaxConnectionsPerClient requests at a time.
func (s *Server) admit(next http.Handler) http.Handler {
	full := s.serve(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Connection", "close") // its place belongs to others
		return &refusal{code: codeBusy, message: notSent + "too many requests at once.", retry: 5 * time.Second}
	})
	many := s.serve(func(http.ResponseWriter, *http.Request) error {
		return &refusal{code: codeRate, message: "Too many requests of this address are being answered. Try again later.",
			retry: time.Second}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := addrOf(r.RemoteAddr)
		if s.callers.inside(r, peer) {
			next.ServeHTTP(w, r)
			return
		}
		if c, ok := r.Context().Value(connKey{}).(*limitedConn); ok && !c.stranger() {
			full(w, r)
			return
		}
		if client := s.behind(r, peer); client.IsValid() {
			if !s.crowd.enter(client, s.cfg.MaxConnectionsPerClient) {
				many(w, r)
				return
			}
			defer s.crowd.leave(client)
		}
		next.ServeHTTP(w, r)
	})
}

// inside reports whether a program of TrustedNetworks asks: one that counts as such, or shows a key.
func (c *callers) inside(r *http.Request, peer netip.Addr) bool {
	who, err := c.identify(r)
	return err == nil && (who.rank == program ||
		who.rank == application && passedOn(r.Header) == "" && contains(c.cfg.TrustedNetworks, peer))
}

// behind is the client behind a proxy whose connections are not limited, as its limit counts; not valid when there is none. A
// proxy in TrustedNetworks that nobody named is believed here: the count is all that follows from it.
func (s *Server) behind(r *http.Request, peer netip.Addr) netip.Addr {
	f, named := r.Context().Value(forwardKey{}).(forward)
	if !named && contains(s.cfg.TrustedNetworks, peer) && passedOn(r.Header) != "" {
		f = forwardOf(r.Header, nil)
	}
	if named && f.client.IsValid() && !f.sure {
		return network(peer) // all who contradict themselves are one
	}
	return network(f.client)
}
