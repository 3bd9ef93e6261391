package httpapi

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// proxiesKept is how many proxies that are not trusted are remembered. Of addresses on the
// Internet, of which anybody can pretend to be a proxy, only a few of these places are for.
const (
	proxiesKept   = 16
	proxiesPublic = 4
)

// proxies remembers who passed requests on without being in TRUSTED_PROXIES.
type proxies struct {
	mu     sync.Mutex // guards peers and public
	peers  []netip.Addr
	public int
}

// add remembers peer and reports whether it is new.
func (p *proxies) add(peer netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	near := peer.IsPrivate() || peer.IsLoopback() || peer.IsLinkLocalUnicast()
	if !peer.IsValid() || len(p.peers) == proxiesKept || !near && p.public == proxiesPublic || slices.Contains(p.peers, peer) {
		return false
	}
	if !near {
		p.public++
	}
	p.peers = append(p.peers, peer)
	return true
}

// all is whom add has remembered, as text.
func (p *proxies) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	texts := make([]string, len(p.peers))
	for i, a := range p.peers {
		texts[i] = a.String()
	}
	return texts
}

// noteProxy says once of a peer that it passes requests on and is not trusted to name the clients.
func (s *Server) noteProxy(peer netip.Addr, field string) {
	if !s.proxies.add(peer) {
		return
	}
	value := make([]string, 0, len(s.cfg.TrustedProxies)+1)
	for _, known := range s.cfg.TrustedProxies {
		value = append(value, known.String())
	}
	s.log.Warn("a proxy is not trusted: all visitors who come through it share one FORM_RATE_LIMIT", "client", peer.String(),
		"field", field, "fix", "if this is your reverse proxy, set TRUSTED_PROXIES="+strings.Join(append(value, peer.String()), ","))
}
