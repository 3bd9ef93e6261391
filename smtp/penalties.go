package smtp

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// maxPenalties bounds how many clients and accounts are remembered for their failed logins. Beyond it those whose pause is over
// are forgotten first.
const maxPenalties = 10_000

// penalties remembers failed logins by client and by account, and makes both wait after too many.
type penalties struct {
	most           int
	pause, longest time.Duration

	mu      sync.Mutex // guards the maps
	clients map[netip.Prefix]*offences
	names   map[string]*offences
}

// offences are the failed logins of one client or account.
type offences struct {
	count int
	last  time.Time
	until time.Time // refused until then
}

// A pausedError says that this client, or this account, must wait.
type pausedError struct {
	client bool
	wait   time.Duration
}

func (e *pausedError) Error() string {
	who := "this account"
	if e.client {
		who = "your address"
	}
	return fmt.Sprintf("too many failed logins: %s may try again in %s", who, e.wait)
}

func newPenalties(most int, pause, longest time.Duration) *penalties {
	return &penalties{
		most: most, pause: pause, longest: longest,
		clients: make(map[netip.Prefix]*offences),
		names:   make(map[string]*offences),
	}
}

// check returns a *pausedError while peer or name must wait.
func (p *penalties) check(peer netip.Addr, name string, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.clients[clientOf(peer)]; o != nil && now.Before(o.until) {
		return &pausedError{client: true, wait: roundUp(o.until.Sub(now))}
	}
	if o := p.names[name]; o != nil && now.Before(o.until) {
		return &pausedError{wait: roundUp(o.until.Sub(now))}
	}
	return nil
}

func roundUp(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// failed counts a failed login.
func (p *penalties) failed(peer netip.Addr, name string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offend(p, p.clients, clientOf(peer), now)
	offend(p, p.names, name, now)
}

// succeeded clears the account. The client keeps its count, or else whoever has one account could guess at all the others.
func (p *penalties) succeeded(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.names, name)
}

func offend[K comparable](p *penalties, all map[K]*offences, who K, now time.Time) {
	o := all[who]
	if o == nil || now.Sub(o.last) > p.longest {
		if len(all) >= maxPenalties {
			forget(all, now)
		}
		o = &offences{}
		all[who] = o
	}
	o.count++
	o.last = now
	if over := o.count - p.most; over >= 0 {
		wait := p.longest
		if over < 30 {
			wait = min(p.pause<<over, p.longest)
		}
		o.until = now.Add(wait)
	}
}

// forget drops all who need not wait, and everybody when that is not enough.
func forget[K comparable](all map[K]*offences, now time.Time) {
	for who, o := range all {
		if !now.Before(o.until) {
			delete(all, who)
		}
	}
	if len(all) >= maxPenalties {
		clear(all)
	}
}
