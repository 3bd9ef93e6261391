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
//     quota is refused. The Remedy says what to do. From MAIL on it may be about this message alone: Delivery.Own is told.
//   - A 4xx that asks for fewer connections or a slower pace is queue.PauseBusy, by which the queue makes fewer attempts at a time.
//   - No password and no mail leaves without TLS while UseTLS is set, and none to a certificate that does not verify while
//     VerifyTLS is. With UseTLS unset there is no TLS at all, as was asked for, but on port 465 it is always there.
//   - A body with a bare CR or LF is never completed: the next hop cannot see an end of the message where we saw none.
//   - Of several addresses the first that greets, and offers what was asked for, is taken. A password that is refused is tried nowhere
//     else.
//   - What a connection that was used before says of itself is no answer to the mail; it goes over a fresh one, once in an attempt.
//   - The one window for a repeat: the final dot is sent and the connection breaks before the reply. The recipients are
//     deferred, though the next hop may have taken the message. Never is it sent again within the attempt.
//   - Passwords are in no log line and no Text.
//
// # Limits
//
// At most Config.Connections connections, those included that are not greeted yet, each for Config.PerConnection messages and
// Config.MaxAge; during [Relay.Use] those of the old settings finish their message besides. Messages per connection, its idle time
// and recipients per transaction are learnedLimit when the next hop's replies say so, in memory, and double again every hour up to the
// settings. A reply has at most maxReply bytes, a Text maxText, and rcptGroup commands wait for their replies at once. A host has
// at most maxAddresses addresses. An attempt sends the body once for each transaction, at most log2(Config.Recipients) times more
// where the next hop finds recipients too many after the message, and once more over a fresh connection.
//
// # Who runs where
//
// Deliver runs in its caller's goroutine; Config.Connections of them work at a time and more wait. It waits for the goroutines that
// open a connection for it, one each. Others of our own only say QUIT, for at most quitPatience; Use and Close wait for them.
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
	fresh.inherit(old)
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

// Deliver makes one attempt. What a connection that was used before answers about itself, or that
// it turns out dead before anything of this message was answered, is no answer: the attempt goes on
// over a fresh one, once, with those recipients who have none.
func (r *Relay) Deliver(ctx context.Context, d queue.Delivery) []queue.Result {
	a := newAttempt(r.current(), d)
	a.make(ctx)
	if a.dialogue != "" && d.Dialogue != nil {
		d.Dialogue(a.dialogue)
	}
	for i, res := range a.results {
		if res, ok := own(res); ok && d.Own != nil {
			d.Own(i, res)
		}
	}
	return a.results
}

func (a *attempt) make(ctx context.Context) {
	p := a.pool
	if p.cfg.Host == "" {
		a.fill(classify(&fault{stage: stageConnect, err: errNoUpstream}, ""))
		return
	}
	for len(a.todo) > 0 {
		c, f := p.get(ctx, a.renewed)
		if f != nil {
			a.dialogue = joined(a.dialogue, f.dialogue)
			a.fill(classify(f, ""))
			return
		}
		f = a.over(ctx, c)
		a.report(c, f)
		p.put(c, f == nil)
		switch {
		case f == nil:
		case f.renew:
			a.renewed = true
			if c.used == 1 && !a.current.answered { // it was fresh
				p.demote(c.at, f)
			}
		default:
			if f.unanswered() && !f.cancelled && !f.ours() {
				p.demote(c.at, f)
			}
			a.fill(classify(f.elsewhere(), c.remote))
			return
		}
	}
}
