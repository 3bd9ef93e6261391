package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

const (
	evenTries   = 6           // connections have the same time to greet, or one for each address; a further one has twice as much
	usualAtMost = time.Minute // what is learned of a next hop that greets late
)

var errSlower = errors.New("silent while others are tried")

// opening is the search for one connection that greets. It goes through the addresses of the next
// hop: from one that fails at once, and from one that is silent after a short while, whose
// connection is kept beside, should it only be slow. When all are silent it begins at the front
// again, in the end with more time for each. The first that greets wins.
//
// The caller holds a slot of the pool, and each connection besides takes another; while none is
// free, the newest connection gives its place to the next.
type opening struct {
	pool      *pool
	fresh     bool // a connection that idled will not do
	at        []netip.AddrPort
	tried     int                     // of at, in their order; from len(at) on those are tried again that were only silent
	failed    map[netip.AddrPort]bool // those that failed by more than silence
	begun     time.Time
	running   []*candidate // oldest first
	extra     int          // slots beyond the caller's
	ended     chan *candidate
	worst     *candidate // of those that failed: the one that got furthest
	dialogues []string   // what was said on those that failed
}

// candidate is one connection on its way to the end of EHLO, TLS included.
type candidate struct {
	at        netip.AddrPort
	begun     time.Time
	connected atomic.Bool
	drop      context.CancelFunc
	dropped   bool // another takes its place
	c         *conn
	f         *fault
}

// next returns the first candidate that got through EHLO, or why there is none.
func (o *opening) next(ctx context.Context) (*candidate, *fault) {
	defer o.clear()
	o.start(ctx)
	timer := time.NewTimer(o.wait())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			o.overdue(ctx)
		case k := <-o.ended:
			o.running = slices.DeleteFunc(o.running, func(other *candidate) bool { return other == k })
			switch {
			case k.f == nil:
				o.succeeded(k)
				return k, nil
			case ctx.Err() != nil:
				return nil, o.fault(k)
			case !k.dropped:
				o.giveUp(k)
			}
			switch {
			case k.dropped, o.tried < len(o.at), len(o.running) == 0 && len(o.failed) < len(o.at):
				o.start(ctx)
			case len(o.running) == 0:
				return nil, o.fault(o.worst)
			}
			o.release()
		}
		timer.Reset(o.wait())
	}
}

// start begins with the next address.
func (o *opening) start(ctx context.Context) {
	k := &candidate{at: o.at[o.tried%len(o.at)], begun: time.Now()}
	for o.tried++; o.failed[k.at] && len(o.failed) < len(o.at); o.tried++ {
		k.at = o.at[o.tried%len(o.at)]
	}
	o.running = append(o.running, k)
	ctx, k.drop = context.WithCancel(ctx)
	go func() {
		k.c, k.f = o.pool.reach(ctx, k.at, &k.connected)
		k.drop()
		o.ended <- k
	}()
}

// overdue looks after the newest candidate: one that takes too long gets another beside it, or gives
// it its place.
func (o *opening) overdue(ctx context.Context) {
	k := o.running[len(o.running)-1]
	age, untried := time.Since(k.begun), o.tried < len(o.at)
	unreached := !k.connected.Load()
	switch {
	case k.dropped:
	case !untried && unreached: // the system tries on by itself
	case !untried && time.Since(o.begun)+o.patience() > o.pool.cfg.GreetingTimeout: // no time is left for another
	case age < o.patience() && (!unreached || age < o.pool.cfg.ConnectDelay):
	case (unreached || len(o.running) == 1) && o.room(ctx):
	case age >= o.patience():
		o.pool.demote(k.at, &fault{stage: stageGreeting, err: errSlower})
		k.dropped = true
		k.drop()
	}
}

// room takes another slot, if one is free, and uses it: for a connection that came back meanwhile,
// or for a new one.
func (o *opening) room(ctx context.Context) bool {
	select {
	case o.pool.slots <- struct{}{}:
	default:
		return false
	}
	o.extra++
	c := o.pool.take()
	if c != nil && !o.fresh {
		k := &candidate{c: c, drop: func() {}}
		o.running = append(o.running, k)
		o.ended <- k
		return true
	}
	if c != nil {
		c.close()
	}
	o.start(ctx)
	return true
}

// release gives slots back that no candidate needs.
func (o *opening) release() {
	for ; o.extra > 0 && o.extra >= len(o.running); o.extra-- {
		<-o.pool.slots
	}
}

// clear drops all candidates and waits for their end.
func (o *opening) clear() {
	for _, k := range o.running {
		k.drop()
	}
	for range o.running {
		if k := <-o.ended; k.c != nil {
			o.pool.abandon(k.c)
		}
	}
	o.running = o.running[:0]
	o.release()
}

// wait is how long to wait before overdue looks again.
func (o *opening) wait() time.Duration {
	if len(o.running) == 0 {
		return usualAtMost
	}
	age, patience := time.Since(o.running[len(o.running)-1].begun), o.patience()
	switch {
	case age < o.pool.cfg.ConnectDelay:
		return o.pool.cfg.ConnectDelay - age
	case age < patience:
		return patience - age
	default:
		return patience
	}
}

// patience is how long the newest candidate may take before another one is tried.
func (o *opening) patience() time.Duration {
	d := max(o.pool.cfg.GreetingDelay, min(2*time.Duration(o.pool.usual.Load()), usualAtMost))
	for range min(o.tried-max(evenTries, len(o.at)), 10) {
		d *= 2
	}
	return d
}

// succeeded remembers how long a good next hop takes, and which addresses were slower.
func (o *opening) succeeded(k *candidate) {
	if k.c.kept {
		return
	}
	o.pool.usual.Store(int64(time.Since(k.begun)))
	for _, other := range o.running {
		if other.at != k.at {
			o.pool.demote(other.at, &fault{stage: stageGreeting, err: errSlower})
		}
	}
}

// giveUp takes down why a candidate is of no use.
func (o *opening) giveUp(k *candidate) {
	if o.failed == nil {
		o.failed = map[netip.AddrPort]bool{}
	}
	o.failed[k.at] = true
	o.dialogues = append(o.dialogues, k.f.dialogue)
	if k.f.unanswered() || k.f.stage != stageAuth {
		o.pool.demote(k.at, k.f)
	}
	if o.worst == nil || k.rank() > o.worst.rank() {
		o.worst = k
	}
}

// rank is how far it got.
func (k *candidate) rank() int {
	n := 2 * slices.Index([]string{stageConnect, stageGreeting, stageEhlo, stageStartTLS, stageAuth}, k.f.stage)
	if k.connected.Load() {
		n++
	}
	return n
}

// fault is k's, with what was said on all connections.
func (o *opening) fault(k *candidate) *fault {
	if k.f.cancelled {
		return k.f
	}
	k.f.dialogue = joined(o.dialogues...)
	return k.f
}
