package relay

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/internal/dnstest"
	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// brief makes the next connection follow soon.
var brief = Config{ConnectDelay: 50 * time.Millisecond, GreetingDelay: 250 * time.Millisecond}

// twins are two next hops, of which the first does as cfg and rules say, and settings that reach
// them under one name.
func twins(t *testing.T, second string, cfg smtptest.Config, rules ...smtptest.Rule) (bad, good *smtptest.Server, to Config) {
	t.Helper()
	good = smtptest.New(t, smtptest.Config{TLS: cfg.TLS, ImplicitTLS: cfg.ImplicitTLS, Users: cfg.Users, Lenient: cfg.Lenient})
	cfg.Addr = net.JoinHostPort(second, strconv.Itoa(good.Port()))
	bad = smtptest.New(t, cfg)
	bad.Script(rules...)
	kind := "A"
	if strings.Contains(second, ":") {
		kind = "AAAA"
	}
	dns := dnstest.New(t, "hop.example.org. "+kind+" "+second, "hop.example.org. A 127.0.0.1")
	to = brief
	to.Host, to.Port, to.Hostname, to.Resolver = "hop.example.org", good.Port(), "mail.example.org", dns.Resolver()
	return bad, good, to
}

// Whatever is wrong with the first address, the mail goes out over the second one soon, and the
// first is left alone then.
func TestSecondAddress(t *testing.T) {
	t.Parallel()
	ca, stranger := smtptest.NewCA(t), smtptest.NewCA(t)
	secure := smtptest.Config{TLS: ca.Server("hop.example.org"), Lenient: true}
	implicit := secure
	implicit.ImplicitTLS = true
	wrong := smtptest.Config{TLS: ca.Server("other.example.org")}
	unknown := smtptest.Config{TLS: stranger.Server("hop.example.org")}
	for _, second := range []string{"127.0.0.2", "::1"} {
		for name, tt := range map[string]struct {
			hop  smtptest.Config
			rule smtptest.Rule
		}{
			"421":            {secure, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Reply("421 4.3.2 shutting down")}},
			"554":            {secure, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Reply("554 5.7.1 not you").ThenDisconnect()}},
			"hangs up":       {secure, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Disconnect()}},
			"silent":         {secure, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Silence()}},
			"garbage":        {secure, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Garbage()}},
			"silent at EHLO": {secure, smtptest.Rule{Stage: smtptest.Ehlo, Answer: smtptest.Silence()}},
			"gone at EHLO":   {secure, smtptest.Rule{Stage: smtptest.Ehlo, Answer: smtptest.Disconnect()}},
			"no STARTTLS":    {smtptest.Config{Lenient: true}, smtptest.Rule{}},
			"STARTTLS 454":   {secure, smtptest.Rule{Stage: smtptest.StartTLS, Answer: smtptest.Reply("454 4.7.0 not now")}},
			"TLS silent":     {secure, smtptest.Rule{Stage: smtptest.Handshake, Answer: smtptest.Silence()}},
			"TLS garbage":    {secure, smtptest.Rule{Stage: smtptest.Handshake, Answer: smtptest.Garbage()}},
			"wrong name":     {wrong, smtptest.Rule{}},
			"wrong signer":   {unknown, smtptest.Rule{}},
			"implicit":       {implicit, smtptest.Rule{Stage: smtptest.Handshake, Answer: smtptest.Silence()}},
		} {
			t.Run(second+"/"+name, func(t *testing.T) {
				t.Parallel()
				tt.hop.Lenient = true
				bad, good, cfg := twins(t, second, tt.hop, tt.rule)
				if tt.hop.TLS == nil || tt.hop.TLS == wrong.TLS || tt.hop.TLS == unknown.TLS {
					good.Stop()
					good = smtptest.New(t, smtptest.Config{Addr: good.Addr(), TLS: secure.TLS})
				}
				cfg.UseTLS, cfg.VerifyTLS, cfg.RootCAs, cfg.ImplicitTLS = true, true, ca.Pool(), tt.hop.ImplicitTLS
				cfg.PerConnection = 1
				r := start(t, cfg)
				for range 2 {
					check(t, one(t, r), queue.Delivered, queue.NoPause)
				}
				if bad.Count() != 0 || good.Count() != 2 {
					t.Errorf("%d and %d messages", bad.Count(), good.Count())
				}
				if next, _ := r.pool.find(t.Context()); bad.Connections() > 0 && next[1].String() != bad.Addr() {
					t.Errorf("the bad address is tried first again: %v", next)
				}
			})
		}
	}
}

// An address that nobody listens at, and one that takes for ever to connect to, cost next to
// nothing.
func TestUnreachableAddress(t *testing.T) {
	t.Parallel()
	for name, connections := range map[string]int{"refused": 10, "no answer": 10, "no answer, no second connection": 1} {
		bad, good, cfg := twins(t, "::1", smtptest.Config{})
		bad.Stop()
		cfg.Connections = connections
		r := start(t, cfg)
		if name != "refused" {
			dial := r.pool.dial
			r.pool.dial = func(ctx context.Context, at string) (net.Conn, error) {
				if at == bad.Addr() {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return dial(ctx, at)
			}
		}
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		if good.Count() != 1 {
			t.Errorf("%s: %d messages", name, good.Count())
		}
	}
}

// An address that greets and then does not carry mail is asked last from then on: at once while
// nothing of the mail was answered, and else with the next attempt. It is asked again when the
// other one fails.
func TestAddressThatFailsLater(t *testing.T) {
	for name, tt := range map[string]struct {
		stage  smtptest.Stage
		answer smtptest.Answer
		first  queue.Outcome
	}{
		"hangs up at MAIL": {smtptest.Mail, smtptest.Disconnect(), queue.Delivered},
		"421 at MAIL":      {smtptest.Mail, smtptest.Reply("421 4.3.2 closing"), queue.Delivered},
		"hangs up at DATA": {smtptest.Data, smtptest.Disconnect(), queue.Deferred},
		"silent at DATA":   {smtptest.Data, smtptest.Silence(), queue.Deferred},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good, cfg := twins(t, "127.0.0.2", smtptest.Config{})
			cfg.PerConnection, cfg.DataTimeout = 1, hasty.DataTimeout
			r := start(t, cfg)
			if first, _ := r.pool.find(t.Context()); first[0].String() != bad.Addr() { // the resolver's order is its own
				bad, good = good, bad
			}
			bad.Script(smtptest.Rule{Stage: tt.stage, Times: 1, Answer: tt.answer})
			check(t, one(t, r), tt.first, queue.NoPause)
			check(t, one(t, r), queue.Delivered, queue.NoPause)
			want := 1
			if tt.first == queue.Delivered {
				want = 2
			}
			if bad.Count() != 0 || good.Count() != want {
				t.Errorf("%d and %d messages, want 0 and %d", bad.Count(), good.Count(), want)
			}
			good.Stop()
			check(t, one(t, r), queue.Delivered, queue.NoPause)
			if bad.Count() != 1 {
				t.Errorf("%d messages, want 1", bad.Count())
			}
		})
	}
}

// A password that is refused is refused by the account, and no other address is asked.
func TestRefusedLoginIsNotTriedElsewhere(t *testing.T) {
	users := map[string]string{"ada": "secret"}
	for _, tt := range []struct {
		answer smtptest.Answer
		pause  queue.Pause
		logins int
	}{
		{smtptest.Reply("535 5.7.8 no"), queue.PauseCredentials, 1},
		{smtptest.Reply("454 4.7.0 later"), queue.PauseCredentials, 1},
		{smtptest.Disconnect(), queue.PauseUnreachable, 2},
		{smtptest.Reply("421 4.3.2 closing"), queue.PauseUnreachable, 2},
	} {
		bad, good, cfg := twins(t, "127.0.0.2", smtptest.Config{Users: users})
		for _, hop := range []*smtptest.Server{bad, good} {
			hop.Script(smtptest.Rule{Stage: smtptest.Auth, Answer: tt.answer})
		}
		cfg.Username, cfg.Password = "ada", "wrong"
		check(t, one(t, start(t, cfg)), queue.Deferred, tt.pause)
		if got := count(bad.Commands(), "AUTH") + count(good.Commands(), "AUTH"); got != tt.logins {
			t.Errorf("%d logins, want %d", got, tt.logins)
		}
	}
}

// When all addresses fail, the one that got furthest tells why, and what was said to each is kept.
func TestAllAddressesFail(t *testing.T) {
	ca := smtptest.NewCA(t)
	bad, good, cfg := twins(t, "127.0.0.2", smtptest.Config{TLS: &tls.Config{Certificates: []tls.Certificate{ca.Certificate("other.example.org")}}})
	good.Script(smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Reply("421 4.3.2 shutting down")})
	cfg.UseTLS, cfg.VerifyTLS, cfg.RootCAs = true, true, ca.Pool()
	d, said := mail(t, letter, "bob@example.net"), ""
	d.Dialogue = func(lines string) { said = lines }
	r := start(t, cfg)
	res := deliver(t, r, d)[0]
	check(t, res, queue.Deferred, queue.PauseUnreachable)
	if !strings.Contains(res.Remedy, "SMTP_RELAY_HOST") || res.Stage != "starttls" {
		t.Errorf("got %+v", res)
	}
	if !strings.Contains(said, bad.Addr()) || !strings.Contains(said, good.Addr()) || !strings.Contains(said, "S: 421 4.3.2 shutting down") {
		t.Errorf("got %s", said)
	}
	good.Script() // both are to be tried again
	good.Stop()
	smtptest.New(t, smtptest.Config{Addr: good.Addr(), TLS: ca.Server("hop.example.org")})
	check(t, one(t, r), queue.Delivered, queue.NoPause)
}

// Connections that never greet hold mail no longer than a moment each, with room for others or
// without.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ connections, mails int }{"one mail": {10, 1}, "no room": {1, 1}, "all at once": {6, 6}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hop := smtptest.New(t, smtptest.Config{})
			var rules []smtptest.Rule
			for n := range 6 {
				rules = append(rules, smtptest.Rule{Stage: smtptest.Greeting, Conn: n + 1, Answer: smtptest.Silence()})
			}
			hop.Script(rules...)
			cfg := Config{Connections: tt.connections, GreetingDelay: 50 * time.Millisecond}
			r := start(t, to(hop, cfg))
			var all sync.WaitGroup
			for range tt.mails {
				all.Go(func() { check(t, one(t, r), queue.Delivered, queue.NoPause) })
			}
			all.Wait()
			if hop.Count() != tt.mails {
				t.Errorf("%d messages, want %d", hop.Count(), tt.mails)
			}
		})
	}
}

// A next hop that greets late is waited for, over the first connection where there is room for
// others beside, and is then known to be slow.
func TestLateGreeting(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{1, 2, 10} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Answer{}.After(200 * time.Millisecond)})
		cfg := brief
		cfg.Connections, cfg.PerConnection, cfg.GreetingDelay = connections, 1, 60*time.Millisecond
		r := start(t, to(hop, cfg))
		began := time.Now()
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		if took := time.Since(began); connections > 1 && took > 2*time.Second {
			t.Errorf("%d connections: took %v", connections, took)
		}
		before := hop.Connections()
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		if got := hop.Connections() - before; got > 2 { // one, but on a very busy machine
			t.Errorf("%d connections for the second mail, want 1", got)
		}
	}
}

// However many greet late or never, there are never more connections than allowed.
func TestOpeningIsBounded(t *testing.T) {
	t.Parallel()
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Silence()})
	cfg := brief
	cfg.Connections, cfg.GreetingDelay, cfg.GreetingTimeout = 3, 10*time.Millisecond, 200*time.Millisecond
	r := start(t, to(hop, cfg))
	var (
		mu         sync.Mutex
		open, most int
	)
	dial := r.pool.dial
	r.pool.dial = func(ctx context.Context, at string) (net.Conn, error) {
		nc, err := dial(ctx, at)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		open++
		most = max(most, open)
		return &closing{Conn: nc, closed: sync.OnceFunc(func() { mu.Lock(); open--; mu.Unlock() })}, nil
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { check(t, one(t, r), queue.Deferred, queue.PauseUnreachable) })
	}
	all.Wait()
	if most > 3 || open != 0 {
		t.Errorf("at most %d connections at once, want 3; %d are left", most, open)
	}
	if len(r.pool.slots) != 0 {
		t.Errorf("%d slots are taken", len(r.pool.slots))
	}
}

type closing struct {
	net.Conn
	closed func()
}

func (c *closing) Close() error {
	c.closed()
	return c.Conn.Close()
}

// Addresses of both families are tried by turns, each once, and not without end.
func TestTurns(t *testing.T) {
	var records []string
	for _, ip := range []string{"A 127.0.0.1", "A 127.0.0.2", "A 127.0.0.3", "AAAA ::1", "A 127.0.0.4", "A 127.0.0.5", "A 127.0.0.6",
		"A 127.0.0.7", "A 127.0.0.8", "A 127.0.0.9", "A 127.0.0.10", "A 127.0.0.11"} {
		records = append(records, "hop.example.org. "+ip)
	}
	cfg := Config{Host: "hop.example.org", Port: 25, Resolver: dnstest.New(t, records...).Resolver()}.withDefaults()
	got, err := lookup(t.Context(), &cfg)
	if err != nil || len(got) != maxAddresses {
		t.Fatalf("got %v, %v", got, err)
	}
	if got[0].Addr().Is4() == got[1].Addr().Is4() || !got[2].Addr().Is4() {
		t.Errorf("got %v", got)
	}
}

// An address that keeps failing is left alone for longer each time, and forgiven when mail goes
// over it.
func TestShunning(t *testing.T) {
	bad, good, cfg := twins(t, "127.0.0.2", smtptest.Config{})
	r := start(t, cfg)
	p := r.pool
	all, err := p.find(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v", all, err)
	}
	for n := range 7 {
		p.demote(all[0], &fault{stage: stageGreeting, err: errSlower})
		if got, want := time.Until(p.demoted[all[0]].until).Round(time.Minute), demotedFor<<min(n, 4); got != want {
			t.Errorf("the %dth time for %v, want %v", n+1, got, want)
		}
		if next, _ := p.find(t.Context()); next[1] != all[0] {
			t.Errorf("got %v", next)
		}
		p.demoted[all[0]] = demotion{times: n + 1}
	}
	for _, hop := range []*smtptest.Server{bad, good} {
		if hop.Addr() != all[0].String() {
			hop.Stop()
		}
	}
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if _, demoted := p.demoted[all[0]]; demoted {
		t.Error("mail goes over it, and it is put last")
	}
}

// A probe goes to the next address as a delivery does, and tells of the one that it got through to.
func TestProbeOfSecondAddress(t *testing.T) {
	t.Parallel()
	bad, good, cfg := twins(t, "::1", smtptest.Config{}, smtptest.Rule{Stage: smtptest.Ehlo, Answer: smtptest.Reply("421 4.3.2 closing")})
	got := Probe(t.Context(), cfg, address(t, "ada@example.org"))
	if got.Failure != nil || len(got.Addresses) != 2 || passed(got) != "resolve connect greeting ehlo mail" {
		t.Errorf("got %q, %+v", passed(got), got)
	}
	if good.Count()+bad.Count() != 0 {
		t.Error("a message arrived")
	}
}
