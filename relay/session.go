package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
)

// The stages of a conversation, as they stand in Result.Stage.
const (
	stageConnect  = "connect"
	stageGreeting = "greeting"
	stageEhlo     = "ehlo"
	stageStartTLS = "starttls"
	stageAuth     = "auth"
	stageMail     = "mail"
	stageRcpt     = "rcpt"
	stageData     = "data"
	stageBody     = "body"
)

var (
	errNoStartTLS = advisedError{
		errors.New("the next hop offers no STARTTLS, and USE_TLS=yes sends nothing without"),
		"try SMTP_RELAY_PORT=465, or set USE_TLS=no if the way there is trusted",
	}
	errInjected = errors.New("the next hop, or somebody in between, talked on before TLS began; nothing was sent")
)

// open finds the addresses and makes a connection that is ready for MAIL; unless fresh is set, one
// that came back meanwhile will do. What a next hop says of the account is the answer; a login that
// gets none is tried at the next address.
func (p *pool) open(ctx context.Context, fresh bool) (*conn, *fault) {
	at, err := p.find(ctx)
	if err != nil {
		f := &fault{stage: stageConnect, err: err, cancelled: ctx.Err() != nil}
		f.dialogue = unreached(&p.cfg, f)
		return nil, f
	}
	o := &opening{pool: p, fresh: fresh, at: at, begun: time.Now(), ended: make(chan *candidate, len(at)+2)}
	for {
		k, f := o.next(ctx)
		if f != nil {
			return nil, f
		}
		if k.c.kept {
			return k.c, nil
		}
		if k.f = p.login(ctx, k.c); k.f == nil {
			p.log.Debug("connected", "remote", k.c.remote, "tls", k.c.secure(), "user", p.cfg.Username)
			return k.c, nil
		}
		o.giveUp(k)
		if k.f.cancelled || !k.f.unanswered() || len(o.failed) == len(o.at) {
			return nil, o.fault(k)
		}
	}
}

// reach connects to one address and does all that comes before AUTH.
func (p *pool) reach(ctx context.Context, at netip.AddrPort, connected *atomic.Bool) (*conn, *fault) {
	nc, err := p.dial(ctx, at.String())
	if err != nil {
		f := &fault{stage: stageConnect, err: err, cancelled: ctx.Err() != nil}
		f.dialogue = unreached(&p.cfg, f)
		return nil, f
	}
	connected.Store(true)
	c := newConn(&p.cfg, nc)
	c.at = at
	p.passed(c, stageConnect)
	return c, p.guarded(ctx, c, p.greet)
}

// login does AUTH, where there is an account.
func (p *pool) login(ctx context.Context, c *conn) *fault {
	if p.cfg.Username == "" {
		return nil
	}
	return p.guarded(ctx, c, func(context.Context, *conn) *fault {
		f := p.authenticate(c)
		if f == nil {
			p.passed(c, stageAuth)
		}
		return f
	})
}

// guarded does a part of the conversation before MAIL. When it fails, or ctx ends, the connection
// is closed.
func (p *pool) guarded(ctx context.Context, c *conn, part func(context.Context, *conn) *fault) *fault {
	stop := c.guard(ctx)
	f := part(ctx, c)
	if !stop() && f == nil {
		f = &fault{stage: stageConnect}
	}
	if f == nil {
		return nil
	}
	c.close()
	if ctx.Err() != nil {
		f.err, f.cancelled = context.Cause(ctx), true
	}
	f.remote, f.dialogue = c.remote, c.dialogue(nil, f)
	return f
}

// greet hears the greeting, says EHLO and sees to TLS.
func (p *pool) greet(ctx context.Context, c *conn) *fault {
	if p.cfg.implicit() {
		if f := c.startTLS(ctx, p.tls, stageConnect); f != nil {
			return f
		}
		p.passed(c, stageTLS)
	}
	greeting, f := c.reply(stageGreeting, p.cfg.GreetingTimeout)
	if f != nil {
		return f
	}
	if greeting.code != 220 {
		return &fault{stage: stageGreeting, reply: greeting}
	}
	p.passed(c, stageGreeting)
	if f := c.hello(); f != nil {
		return f
	}
	p.passed(c, stageEhlo)
	if p.cfg.UseTLS && !c.secure() {
		if f := c.upgrade(ctx, p.tls); f != nil {
			return f
		}
		p.passed(c, stageStartTLS)
	}
	return nil
}

func (p *pool) passed(c *conn, stage string) {
	if p.watch != nil {
		p.watch(c, stage)
	}
}

// hello says EHLO, and HELO to those who do not know it.
func (c *conn) hello() *fault {
	r, f := c.command(stageEhlo, "EHLO "+c.cfg.Hostname, c.cfg.CommandTimeout)
	if f != nil {
		return f
	}
	if r.positive() {
		c.ext = parseExtensions(r.text)
		return nil
	}
	if r.code/100 == 5 {
		c.ext = extensions{}
		if r, f = c.command(stageEhlo, "HELO "+c.cfg.Hostname, c.cfg.CommandTimeout); f != nil {
			return f
		}
		if r.positive() {
			return nil
		}
	}
	return &fault{stage: stageEhlo, reply: r}
}

// upgrade does STARTTLS. What was learned before is forgotten: anybody could have said it (RFC 3207, 4.2).
func (c *conn) upgrade(ctx context.Context, config *tls.Config) *fault {
	if !c.ext.startTLS {
		return &fault{stage: stageStartTLS, err: errNoStartTLS}
	}
	r, f := c.command(stageStartTLS, "STARTTLS", c.cfg.CommandTimeout)
	if f != nil {
		return f
	}
	if r.code != 220 {
		return &fault{stage: stageStartTLS, reply: r}
	}
	if c.r.Buffered() > 0 {
		return &fault{stage: stageStartTLS, err: errInjected}
	}
	if f := c.startTLS(ctx, config, stageStartTLS); f != nil {
		return f
	}
	return c.hello()
}

func (c *conn) startTLS(ctx context.Context, config *tls.Config, stage string) *fault {
	if err := c.raw.SetDeadline(time.Now().Add(c.cfg.ConnectTimeout)); err != nil {
		return &fault{stage: stage, err: err}
	}
	t := tls.Client(c.raw, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return &fault{stage: stage, err: err, patience: c.cfg.ConnectTimeout}
	}
	c.transport.Conn = t
	c.transcript.note(c.protection())
	return nil
}

// secure reports whether TLS protects the connection.
func (c *conn) secure() bool {
	_, ok := c.tls()
	return ok
}

func (c *conn) tls() (*tls.Conn, bool) {
	t, ok := c.transport.Conn.(*tls.Conn)
	return t, ok
}
