package account

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// maxPenalties bounds how many clients, and how many names that nobody has, are remembered for
// failed logins. Beyond it those whose pause is over are forgotten first.
const maxPenalties = 10_000

// penalties remembers failed logins and makes whoever tries wait after too many. An address from
// which an account has logged in answers for its own tries alone: strangers can neither shut the
// owner out nor gain a try by the owner's logins. All other addresses together share one budget of
// tries for each account, and each has one for itself.
type penalties struct {
	most           int
	pause, longest time.Duration

	mu       sync.Mutex // guards the maps
	clients  map[netip.Prefix]*offences
	owners   map[login]*offences  // by an account and an address it has logged in from
	accounts map[string]*offences // from everywhere else
	nobodies map[string]*offences // by names that are no accounts
}

// try is somebody who logs in.
type try struct {
	login
	real  bool // the account exists
	known bool // and has logged in from there
}

// offences are the failed logins of one client or account.
type offences struct {
	count int
	last  time.Time
	until time.Time // refused until then
}

// PausedError says that this client, or this account, must wait.
type PausedError struct {
	Client bool // the client, not the account
	Wait   time.Duration
}

func (e *PausedError) Error() string {
	who := "this account"
	if e.Client {
		who = "your address"
	}
	return fmt.Sprintf("too many failed logins: %s may try again in %s", who, e.Wait)
}

func newPenalties(most int, pause, longest time.Duration) *penalties {
	return &penalties{
		most: most, pause: pause, longest: longest,
		clients:  make(map[netip.Prefix]*offences),
		owners:   make(map[login]*offences),
		accounts: make(map[string]*offences),
		nobodies: make(map[string]*offences),
	}
}

// check returns a *PausedError while whoever tries must wait.
func (p *penalties) check(t try, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.known {
		return waits(p.owners[t.login], true, now)
	}
	if err := waits(p.clients[t.client], true, now); err != nil {
		return err
	}
	if t.real {
		return waits(p.accounts[t.name], false, now)
	}
	return waits(p.nobodies[t.name], false, now)
}

func waits(o *offences, client bool, now time.Time) error {
	if o != nil && now.Before(o.until) {
		return &PausedError{Client: client, Wait: roundUp(o.until.Sub(now))}
	}
	return nil
}

func roundUp(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// failed counts a failed login.
func (p *penalties) failed(t try, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offend(p, p.clients, t.client, now)
	switch {
	case t.known:
		offend(p, p.owners, t.login, now)
	case t.real:
		offend(p, p.accounts, t.name, now)
	default:
		offend(p, p.nobodies, t.name, now)
	}
}

// succeeded clears what counted against the account: from where it is known, that place's count
// alone, or else each login of its owner would give strangers new tries. The client keeps its
// count, or else whoever has one account could guess at all the others.
func (p *penalties) succeeded(t try) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.known {
		delete(p.owners, t.login)
	} else {
		delete(p.accounts, t.name)
	}
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
