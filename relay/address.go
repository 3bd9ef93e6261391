package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	maxAddresses = 10              // of one next hop that are tried
	demotedFor   = 5 * time.Minute // that an address which did not work comes behind the others
)

// find returns the addresses of the next hop in the order in which they are to be tried: as the
// resolver has them, the families taking turns (RFC 8305, 4), and those that did not work lately at
// the end.
func (p *pool) find(ctx context.Context) ([]netip.AddrPort, error) {
	addrs, err := lookup(ctx, &p.cfg)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choice = len(addrs) > 1
	slices.SortStableFunc(addrs, func(a, b netip.AddrPort) int {
		return order(p.demoted[a].until.After(now)) - order(p.demoted[b].until.After(now))
	})
	return addrs, nil
}

func order(demoted bool) int {
	if demoted {
		return 1
	}
	return 0
}

// lookup asks the resolver for at most maxAddresses addresses.
func lookup(ctx context.Context, cfg *Config) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	resolver := cfg.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, "ip", cfg.Host)
	if err != nil {
		return nil, err
	}
	var first, second []netip.AddrPort // of the family that the resolver prefers, and of the other
	for _, ip := range found {
		at := netip.AddrPortFrom(ip.Unmap(), uint16(cfg.Port))
		switch {
		case slices.Contains(first, at) || slices.Contains(second, at):
		case len(first) == 0 || at.Addr().Is4() == first[0].Addr().Is4():
			first = append(first, at)
		default:
			second = append(second, at)
		}
	}
	return turns(first, second), nil
}

// turns takes from two lists by turns, at most maxAddresses.
func turns(first, second []netip.AddrPort) []netip.AddrPort {
	var all []netip.AddrPort
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			all = append(all, first[i])
		}
		if i < len(second) {
			all = append(all, second[i])
		}
	}
	return all[:min(len(all), maxAddresses)]
}

// demotion is what is remembered of an address that did not work.
type demotion struct {
	until time.Time // it comes behind others
	times int       // in a row
}

// demote remembers that an address did not work, where there are others: each time in a row for twice
// as long, until mail goes over it. The first time is logged.
func (p *pool) demote(at netip.AddrPort, why *fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.choice {
		return
	}
	if p.demoted == nil || len(p.demoted) >= 10*maxAddresses { // names may change their addresses for years
		p.demoted = map[netip.AddrPort]demotion{}
	}
	s := p.demoted[at]
	if s.times == 0 {
		p.log.Warn("address put last", "remote", p.cfg.address(), "address", at.String(), "text", classify(why, "").Text)
	}
	if now := time.Now(); now.After(s.until) {
		s.times++
		s.until = now.Add(demotedFor << min(s.times-1, 4))
	}
	p.demoted[at] = s
}

// hasOthers reports whether the next hop had more than one address lately.
func (p *pool) hasOthers() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.choice
}

// dialer is how addresses are connected to.
func (p *pool) dialer() func(context.Context, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: p.cfg.ConnectTimeout}
	return func(ctx context.Context, at string) (net.Conn, error) { return d.DialContext(ctx, "tcp", at) }
}
