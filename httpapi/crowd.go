package httpapi

import (
	"net/http"
	"net/netip"
	"time"

	"dinkymail/internal/gate"
	"dinkymail/internal/web"
	"dinkymail/operate"
)

// admit keeps strangers off the places of programs on this machine, also when they come through a
// proxy that has no limit, and holds every client behind a proxy to MaxConnectionsPerClient
// requests at a time.
func (s *Server) admit(next http.Handler) http.Handler {
	full := s.serve(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Connection", "close") // its place belongs to others
		return operate.Unsent(operate.CodeBusy, "too many requests at once.", 5*time.Second, nil)
	})
	many := s.serve(func(http.ResponseWriter, *http.Request) error {
		return &operate.Error{Code: operate.CodeRate, Message: "Too many requests of this address are being answered. Try again later.",
			Retry: time.Second}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := gate.ParsePeer(r.RemoteAddr)
		if s.callers.inside(r, peer) {
			next.ServeHTTP(w, r)
			return
		}
		if c, ok := web.Conn(r).(*gate.Conn); ok && !c.Stranger() {
			full(w, r)
			return
		}
		if client := s.behind(r, peer); client.IsValid() {
			if !s.crowd.Enter(client, s.cfg.MaxConnectionsPerClient) {
				many(w, r)
				return
			}
			defer s.crowd.Leave(client)
		}
		next.ServeHTTP(w, r)
	})
}

// inside reports whether a program of TrustedNetworks asks: one that counts as such, or shows a
// key.
func (c *callers) inside(r *http.Request, peer netip.Addr) bool {
	who, err := c.identify(r)
	return err == nil && (who.rank == program ||
		who.rank == application && passedOn(r.Header) == "" && gate.Contains(c.cfg.TrustedNetworks, peer))
}

// behind is the client behind a proxy whose connections are not limited, as its limit counts; not
// valid when there is none. A proxy in TrustedNetworks that nobody named is believed here: the
// count is all that follows from it.
func (s *Server) behind(r *http.Request, peer netip.Addr) netip.Prefix {
	f, named := r.Context().Value(forwardKey{}).(forward)
	if !named && gate.Contains(s.cfg.TrustedNetworks, peer) && passedOn(r.Header) != "" {
		f = forwardOf(r.Header, nil)
	}
	if named && f.client.IsValid() && !f.sure {
		return gate.Client(peer) // all who contradict themselves are one
	}
	return gate.Client(f.client)
}
