package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// pool keeps the connections made with one Config. Connections in use and idle ones together are never more than
// cfg.Connections: an idle one gives its place to each that is opened.
type pool struct {
	cfg   Config
	tls   *tls.Config
	log   *slog.Logger
	dial  func(ctx context.Context, at string) (net.Conn, error)
	watch func(c *conn, stage string) // called when a stage before the first MAIL was passed; nil but in a probe
	slots chan struct{}               // one token per connection in use
	usual atomic.Int64                // how long the latest connection took until EHLO was answered, in nanoseconds
	ends  atomic.Int64                // when the certificate that was seen last ends, in seconds since 1970; 0: none was

	mu                            sync.Mutex // guards what follows
	idle                          []*conn    // longest idle first
	sweeps                        *time.Timer
	closed                        bool
	messages, idleFor, recipients learnedLimit                // what was learned of the next hop's limits
	unfit                         map[string]bool             // mechanisms of AUTH that were refused as not known
	choice                        bool                        // the next hop has more than one address
	demoted                       map[netip.AddrPort]demotion // addresses that did not work

	quits sync.WaitGroup // goroutines saying QUIT; they begin under mu while not closed, or in close
}

func newPool(cfg Config, log *slog.Logger) *pool {
	p := &pool{cfg: cfg, tls: cfg.tls(), log: log, slots: make(chan struct{}, cfg.Connections)}
	p.dial = p.dialer()
	return p
}

// get returns a connection ready for MAIL: the one that idled for the shortest time, or a fresh one.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, *fault) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, &fault{stage: stageConnect, err: context.Cause(ctx), cancelled: true}
	}
	c := p.take()
	if c != nil && !fresh {
		return c, nil
	}
	if c != nil {
		c.close()
	}
	c, f := p.open(ctx, fresh)
	if f != nil {
		<-p.slots
		return nil, f
	}
	if t, ok := c.tls(); ok {
		p.ends.Store(t.ConnectionState().PeerCertificates[0].NotAfter.Unix())
	}
	return c, nil
}

func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for n := len(p.idle) - 1; n >= 0; n-- {
		c := p.idle[n]
		p.idle[n] = nil
		p.idle = p.idle[:n]
		c.idled = now.Sub(c.since)
		if c.used < p.perConnection(now) && c.idled < p.idleTimeout(now) {
			return c
		}
		p.quit(c) // the limit was learnedLimit while it idled
	}
	return nil
}

// put gives a connection back; one that is not usable is closed at once.
func (p *pool) put(c *conn, usable bool) {
	defer func() { <-p.slots }()
	if !usable {
		p.log.Debug("connection given up", "remote", c.remote, "n", c.used)
		c.close()
		return
	}
	p.keep(c)
}

// abandon gives back a connection that nobody used after all. Its slot is the caller's.
func (p *pool) abandon(c *conn) {
	if !c.kept {
		c.close()
		return
	}
	p.keep(c)
}

// keep puts a connection among those that idle, unless it has had its number or its time.
func (p *pool) keep(c *conn) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.demoted, c.at)
	switch {
	case p.closed:
		c.close()
	case c.used >= p.perConnection(now) || now.Sub(c.born) > p.cfg.MaxAge:
		p.quit(c)
	default:
		c.since, c.kept = now, true
		p.idle = append(p.idle, c)
		if p.sweeps == nil {
			p.sweeps = time.AfterFunc(p.idleTimeout(now), p.sweep)
		}
	}
}

// quit says QUIT in the background. The caller holds mu, or is close.
func (p *pool) quit(c *conn) {
	p.log.Debug("disconnecting", "remote", c.remote, "n", c.used)
	p.quits.Go(c.quit)
}

// sweep closes what has been idle for too long, and comes back while anything idles.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	limit := p.idleTimeout(now)
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= limit {
		p.quit(p.idle[n])
		n++
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
	if len(p.idle) == 0 {
		p.sweeps = nil
		return
	}
	p.sweeps.Reset(limit - now.Sub(p.idle[0].since))
}

func (p *pool) close() {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	if !closed {
		for _, c := range idle {
			p.quit(c)
		}
	}
	p.quits.Wait()
}
