package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"dinkymail/account"
	"dinkymail/internal/gate"
	"dinkymail/internal/web"
)

// Serve answers requests from ln until ctx ends. Then it takes no more, lets those in flight finish
// within Config.Grace, cuts off the rest and returns nil; nothing of it is left running. It closes
// ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	places := gate.New(s.cfg.MaxConnections, s.cfg.MaxConnectionsPerClient)
	turned := func() { s.turned.Store(time.Now().UnixNano()) }
	return web.Serve(ctx, places.Listen(ln, s.exempt, turned), s.Handler(), web.Limits{
		HeaderTimeout:  s.cfg.HeaderTimeout,
		ReadTimeout:    s.cfg.ReadTimeout,
		WriteTimeout:   s.cfg.WriteTimeout,
		IdleTimeout:    s.cfg.IdleTimeout,
		MaxHeaderBytes: s.cfg.MaxHeaderBytes,
		Grace:          s.grace,
	}, s.log)
}

// grace is how long requests in flight may go on at the end.
func (l *lasting) grace() time.Duration { return l.latest.Load().cfg.Grace }

// exempt reports whether no limit per client holds for a peer.
func (l *lasting) exempt(peer netip.Addr) bool {
	cfg := &l.latest.Load().cfg
	return gate.Contains(cfg.TrustedNetworks, peer) || gate.Contains(cfg.TrustedProxies, peer)
}

// callerKey leads to the caller, where the socket tells who that is.
type callerKey struct{}

// asOperator makes everybody who comes through an operator, named as the kernel names it.
func asOperator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, address := web.User(r)
		who := caller{rank: operator, user: account.Anybody(name), address: address}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}
