// Package relay hands mail to the next hop: the account at an upstream provider, or a smarthost on the network.
//
// Its SMTP client is our own, because the time a message takes is what the appliance exists for. MAIL, RCPT and DATA go out in
// one write where the next hop offers PIPELINING (RFC 2920), so that a message costs two round trips; connections carry many
// messages; and every wait has an end.
//
// # What it promises
//
//   - Not getting through is a [queue.Result] per recipient, never an error. [classify] alone knows what a reply means.
//   - A recipient is delivered only when the next hop said 2xx to the end of the message, and failed only when it said 5xx to
//     something that concerns this message. All else defers: silence, nonsense, a broken connection.
//   - What concerns the whole lane sets Pause and is no attempt: nobody answers, the certificate is wrong, the account or its
//     quota is refused. The Text says what to do. From MAIL on it may be about this message alone: Delivery.Own is told.
//   - A 4xx that asks for fewer connections or a slower pace is queue.PauseBusy, by which the queue makes fewer attempts at a time.
//   - No password and no mail leaves without TLS while UseTLS is set, and none to a certificate that does not verify while
//     VerifyTLS is. With UseTLS unset there is no TLS at all, as was asked for, but on port 465 it is always there.
//   - A body with a bare CR or LF is never completed: the next hop cannot see an end of the message where we saw none.
//   - The one window for a repeat: the final dot is sent and the connection breaks before the reply. The recipients are
//     deferred, though the next hop may have taken the message.
//   - Passwords are in no log line and no Text.
//
// # Limits
//
// At most Config.Connections connections, each for Config.PerConnection messages and Config.MaxAge; during [Relay.Use] those of
// the old settings finish their message besides. A reply has at most maxReply bytes, a Text maxText, and rcptGroup commands wait
// for their replies at once. Recipients that the next hop finds too many for one transaction go in further ones at once.
//
// # Who runs where
//
// Deliver runs in its caller's goroutine; Config.Connections of them work at a time and more wait. Goroutines of our own only
// say QUIT, for at most quitPatience; Use and Close wait for them.
package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"dinkymail/queue"
)

var _ queue.Deliverer = (*Relay)(nil)

var errNoUpstream = errors.New("no upstream configured: set SMTP_RELAY_HOST")

// Relay delivers to one next hop.
type Relay struct {
	log *slog.Logger

	mu   sync.Mutex // guards pool
	pool *pool
}

// New makes a Relay; it connects when there is mail.
func New(cfg Config, log *slog.Logger) *Relay {
	return &Relay{log: log, pool: newPool(cfg.withDefaults(), log)}
}

// CertificateEnds is when the certificate ends that the upstream showed last; the zero time before a connection with TLS was made.
func (r *Relay) CertificateEnds() time.Time {
	r.mu.Lock()
	ends := r.pool.ends.Load()
	r.mu.Unlock()
	if ends == 0 {
		return time.Time{}
	}
	return time.Unix(ends, 0)
}

// Use replaces the settings. Attempts under way finish with the old ones; the next one uses the new ones. It takes up to
// quitPatience to part from connections that idle.
func (r *Relay) Use(cfg Config) {
	fresh := newPool(cfg.withDefaults(), r.log)
	r.mu.Lock()
	old := r.pool
	r.pool = fresh
	r.mu.Unlock()
	old.close()
}

// Close parts from the next hop, politely and within quitPatience. Attempts that are still under way close their connections
// when they are done. The error is always nil.
func (r *Relay) Close() error {
	r.current().close()
	return nil
}

// Ready is an error while there is no host to deliver to.
func (r *Relay) Ready() error {
	if r.current().cfg.Host == "" {
		return errNoUpstream
	}
	return nil
}

func (r *Relay) current() *pool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pool
}

// Deliver makes one attempt. A connection that was kept from an earlier message and turns out dead, before anything of this
// message was answered, is no answer: the attempt goes over a fresh one, once.
func (r *Relay) Deliver(ctx context.Context, d queue.Delivery) []queue.Result {
	a := newAttempt(d)
	r.attempt(ctx, a)
	if a.talk != "" && d.Dialogue != nil {
		d.Dialogue(a.talk)
	}
	for i, res := range a.results {
		if res, ok := own(res); ok && d.Own != nil {
			d.Own(i, res)
		}
	}
	return a.results
}

func (r *Relay) attempt(ctx context.Context, a *attempt) {
	p := r.current()
	if p.cfg.Host == "" {
		a.fill(classify(&fault{stage: stageConnect, err: errNoUpstream}, ""))
		return
	}
	for fresh := false; ; fresh = true {
		c, f := p.get(ctx, fresh)
		if f != nil {
			a.talk = f.talk
			a.fill(classify(f, ""))
			return
		}
		stale := c.used > 0
		f = a.over(ctx, c)
		a.tell(c, f)
		p.put(c, f == nil)
		if f == nil {
			return
		}
		if stale && !fresh && !a.answered && f.hangup() {
			continue
		}
		a.fill(classify(f, c.remote))
		return
	}
}
