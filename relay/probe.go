package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"dinkymail/internal/certs"
	"dinkymail/message"
	"dinkymail/queue"
)

// Probed is what [Probe] found out. What comes behind the stage that failed is zero.
type Probed struct {
	Addresses []Reached // of the host, in the order in which they are tried; at most maxAddresses
	Stages    []Stage   // those that were passed, in order

	Greeting   string
	Extensions []string // as EHLO listed them last, under TLS if there is any
	TLS        *Security
	Mechanisms []string // of AUTH, as offered, sorted
	Mechanism  string   // the one that was used; empty without a login

	// Failure is what an attempt to deliver would have reported, its Stage among it ("resolve" when
	// the host has no address); nil when mail could be handed over.
	Failure  *queue.Result
	Dialogue string // what was said until Failure
	Outdated bool   // Failure is that the next hop knows no TLS that is taken here
}

// Reached is one address of the next hop, and whether a connection to it could be made.
type Reached struct {
	Address netip.AddrPort
	Took    time.Duration
	Err     error
}

// Stage is a part of the conversation that went well: resolve, connect, tls, greeting, ehlo,
// starttls (with the EHLO behind it), auth, mail.
type Stage struct {
	Name string
	Took time.Duration
}

// Security is the TLS of a connection, or what stood against it.
type Security struct {
	Version, Cipher     string // empty when the handshake failed
	Names               []string
	Issuer              string
	NotBefore, NotAfter time.Time
	// Problem is why the certificate does not verify, in words; it is set even if VerifyTLS is not,
	// and nobody minds.
	Problem string
}

// Probe does what an attempt does until just before the first recipient, and sends nothing: it
// resolves the host, connects to each of its addresses, and on a connection of its own goes through
// greeting, EHLO, TLS and AUTH by the very code that delivers. Unless from is null it asks then
// with MAIL whether this sender is taken, and takes that back with RSET. It ends with QUIT, when
// ctx does at the latest.
func Probe(ctx context.Context, cfg Config, from message.Address) Probed {
	cfg.ConnectDelay, cfg.GreetingDelay = never, never // what is found out is of one address
	p := newPool(cfg.withDefaults(), slog.New(slog.DiscardHandler))
	pr := &probe{pool: p, last: time.Now()}
	p.watch = pr.pass
	if p.cfg.Host == "" {
		pr.fail(&fault{stage: stageConnect, err: errNoUpstream})
		return pr.Probed
	}
	if err := pr.resolve(ctx); err != nil {
		pr.fail(&fault{stage: stageResolve, err: err, cancelled: ctx.Err() != nil})
		return pr.Probed
	}
	pr.last = time.Now()
	c, f := p.open(ctx, true)
	if f != nil {
		pr.fail(f)
		return pr.Probed
	}
	stop := c.guard(ctx)
	defer stop()
	defer c.quit()
	if !from.IsNull() {
		pr.sender(c, from)
	}
	return pr.Probed
}

const (
	never        = 24 * time.Hour
	stageResolve = "resolve"
	stageTLS     = "tls"
)

// probe is one call of Probe.
type probe struct {
	Probed
	pool *pool
	conn *conn
	last time.Time // when the stage before ended
}

// resolve finds the addresses and connects to each, all at the same time.
func (pr *probe) resolve(ctx context.Context) error {
	cfg := &pr.pool.cfg
	addrs, err := lookup(ctx, cfg)
	if err != nil {
		return err
	}
	pr.Stages = append(pr.Stages, Stage{stageResolve, time.Since(pr.last)})
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	pr.Addresses = make([]Reached, len(addrs))
	var dials sync.WaitGroup
	for i := range pr.Addresses {
		pr.Addresses[i].Address = addrs[i]
		dials.Go(func() { pr.Addresses[i].dial(ctx) })
	}
	dials.Wait()
	return nil
}

func (r *Reached) dial(ctx context.Context) {
	start := time.Now()
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", r.Address.String())
	r.Took, r.Err = time.Since(start), err
	if err == nil {
		r.Err = nc.Close()
	}
}

// pass is called whenever c has passed a stage.
func (pr *probe) pass(c *conn, stage string) {
	now := time.Now()
	if stage == stageConnect { // what an address before had to say is not of this one
		pr.Probed = Probed{Addresses: pr.Addresses, Stages: pr.Stages[:1]}
	}
	pr.Stages = append(pr.Stages, Stage{stage, now.Sub(pr.last)})
	pr.last, pr.conn = now, c
	switch stage {
	case stageGreeting:
		pr.Greeting = visible(c.transcript.last().text)
	case stageEhlo, stageStartTLS:
		_, rest, _ := strings.Cut(c.transcript.last().text, "\n")
		pr.Extensions = nil
		for line := range strings.Lines(rest) {
			pr.Extensions = append(pr.Extensions, visible(strings.TrimSpace(line)))
		}
		pr.Mechanisms = slices.Sorted(maps.Keys(c.ext.auth))
	case stageAuth:
		pr.Mechanism = c.transcript.mechanism()
	}
	if t, secure := c.tls(); secure && pr.TLS == nil {
		pr.secured(t.ConnectionState())
	}
}

// sender asks for the permission to send from an address.
func (pr *probe) sender(c *conn, from message.Address) {
	env := message.Envelope{From: from}
	line := strings.TrimSuffix(string(c.ext.appendMail(nil, &env, 0, false, from.NeedsUTF8())), "\r\n")
	r, f := c.command(stageMail, line, c.cfg.CommandTimeout)
	if f == nil && !r.positive() {
		f = &fault{stage: stageMail, reply: r}
	}
	if f != nil {
		f.dialogue = c.dialogue(nil, f)
		pr.fail(f)
		return
	}
	pr.pass(c, stageMail)
	c.command(stageMail, "RSET", c.cfg.CommandTimeout)
}

func (pr *probe) fail(f *fault) {
	res := classify(f, "")
	pr.Failure, pr.Dialogue, pr.Outdated = &res, f.dialogue, outdated(f.err)
	if pr.conn != nil {
		pr.Mechanism = pr.conn.transcript.mechanism()
	}
	var unverified *tls.CertificateVerificationError
	if errors.As(f.err, &unverified) && pr.TLS == nil {
		pr.certified(unverified.UnverifiedCertificates)
		pr.TLS.Problem = clean(f.sentence(), maxText)
	}
}

// secured takes in what a handshake agreed upon. A certificate that nobody asked to verify is
// verified here, for the report.
func (pr *probe) secured(state tls.ConnectionState) {
	pr.certified(state.PeerCertificates)
	pr.TLS.Version, pr.TLS.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	if len(state.VerifiedChains) > 0 || len(state.PeerCertificates) == 0 {
		return
	}
	err := certs.Verify(state.PeerCertificates, pr.pool.tls.ServerName, pr.pool.cfg.RootCAs)
	if err != nil {
		pr.TLS.Problem = clean((&fault{err: err}).sentence(), maxText)
	}
}

func (pr *probe) certified(chain []*x509.Certificate) {
	pr.TLS = &Security{}
	if len(chain) == 0 {
		return
	}
	leaf := chain[0]
	for _, name := range leaf.DNSNames {
		pr.TLS.Names = append(pr.TLS.Names, visible(name))
	}
	for _, ip := range leaf.IPAddresses {
		pr.TLS.Names = append(pr.TLS.Names, ip.String())
	}
	pr.TLS.NotBefore, pr.TLS.NotAfter = leaf.NotBefore, leaf.NotAfter
	pr.TLS.Issuer = visible(cmp.Or(leaf.Issuer.CommonName, strings.Join(leaf.Issuer.Organization, ", ")))
}

// last is the latest reply.
func (t *transcript) last() (r reply) {
	for _, e := range slices.Backward(t.exchanges) {
		if e.reply.code != 0 {
			return e.reply
		}
	}
	return r
}

// mechanism is the one that AUTH was tried with last, or "".
func (t *transcript) mechanism() string {
	for _, e := range slices.Backward(t.exchanges) {
		if rest, ok := strings.CutPrefix(e.line, "AUTH "); ok {
			name, _, _ := strings.Cut(rest, " ")
			return name
		}
	}
	return ""
}
