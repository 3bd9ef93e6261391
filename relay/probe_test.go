package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dinkymail/internal/dnstest"
	"dinkymail/internal/smtptest"
	"dinkymail/message"
)

func passed(p Probed) string {
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// A next hop that is well is gone through to MAIL, each stage timed, and gets no message.
func TestProbe(t *testing.T) {
	ca := smtptest.NewCA(t)
	for _, tt := range []struct {
		implicit bool
		want     string
	}{{false, "resolve connect greeting ehlo starttls auth mail"}, {true, "resolve connect tls greeting ehlo auth mail"}} {
		hop := smtptest.New(t, smtptest.Config{TLS: ca.Server("127.0.0.1"), ImplicitTLS: tt.implicit,
			Users: map[string]string{"ada": "secret"}, Mechanisms: []string{"LOGIN", "CRAM-MD5"}})
		cfg := Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool(), Username: "ada", Password: "secret", ImplicitTLS: tt.implicit}
		got := Probe(t.Context(), to(hop, cfg), address(t, "ada@example.org"))
		if got.Failure != nil || passed(got) != tt.want {
			t.Errorf("got %q, %+v", passed(got), got.Failure)
		}
		if len(got.Addresses) != 1 || got.Addresses[0].Err != nil || got.Addresses[0].Address.String() != hop.Addr() {
			t.Errorf("got %+v", got.Addresses)
		}
		if got.Greeting != "hop.test ESMTP smtptest" || !slices.Contains(got.Extensions, "SIZE 36700160") ||
			strings.Join(got.Mechanisms, " ") != "CRAM-MD5 LOGIN" || got.Mechanism != "LOGIN" {
			t.Errorf("got %+v", got)
		}
		sec := got.TLS
		if sec.Version != "TLS 1.3" || sec.Cipher == "" || !slices.Equal(sec.Names, []string{"127.0.0.1"}) ||
			sec.Issuer != "smtptest CA" || time.Until(sec.NotAfter) < 23*time.Hour || sec.Problem != "" {
			t.Errorf("got %+v", sec)
		}
		hop.WaitClosed(10 * time.Second)
		if n := len(hop.Commands()); hop.Count() != 0 || !slices.Equal(hop.Commands()[n-3:],
			[]string{"MAIL FROM:<ada@example.org>", "RSET", "QUIT"}) {
			t.Errorf("%d messages after %q", hop.Count(), hop.Commands())
		}
	}
}

// Each thing that can be wrong is found at its stage, in the words of a delivery, with what was
// learned before it.
func TestProbeFailures(t *testing.T) {
	ca := smtptest.NewCA(t)
	account := smtptest.Config{TLS: ca.Server("127.0.0.1"), Users: map[string]string{"ada": "secret"}}
	full := Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool(), Username: "ada", Password: "secret"}
	with := func(change func(*Config)) Config { cfg := full; change(&cfg); return cfg }
	impatient := with(func(cfg *Config) { cfg.GreetingTimeout = 50 * time.Millisecond })
	for _, tt := range []struct {
		name  string
		hop   smtptest.Config
		cfg   Config
		rule  smtptest.Rule
		stage string
		text  string
	}{
		{"silent", account, impatient, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Silence()}, "greeting", "no answer within"},
		{"greeting", account, full, smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Reply("554 no")}, "greeting", "no"},
		{"no STARTTLS", smtptest.Config{}, full, smtptest.Rule{}, "starttls", "offers no STARTTLS"},
		{"AUTH", account, with(func(cfg *Config) { cfg.Password = "wrong" }), smtptest.Rule{}, "auth", "SMTP_RELAY_PASSWORD"},
		{"no AUTH", smtptest.Config{TLS: account.TLS}, full, smtptest.Rule{}, "auth", "offers no AUTH"},
		{"From", account, full, smtptest.Rule{Stage: smtptest.Mail, Answer: smtptest.Reply("553 5.7.1 not your address")}, "mail", "not your address"},
	} {
		hop := smtptest.New(t, tt.hop)
		hop.Script(tt.rule)
		got := Probe(t.Context(), to(hop, tt.cfg), address(t, "ada@example.org"))
		if got.Failure == nil || got.Failure.Stage != tt.stage || !strings.Contains(got.Failure.Text+got.Failure.Remedy, tt.text) {
			t.Errorf("%s: got %+v", tt.name, got.Failure)
		}
		if !strings.HasPrefix(got.Dialogue, "-- connected to 127.0.0.1") || strings.Contains(got.Dialogue, "secret") {
			t.Errorf("%s: got %s", tt.name, got.Dialogue)
		}
		if tt.name == "AUTH" && (got.Mechanism != "PLAIN" || !strings.HasSuffix(passed(got), "starttls")) {
			t.Errorf("got %+v", got)
		}
	}
	got := Probe(t.Context(), Config{}, message.Address{})
	if got.Failure == nil || !strings.Contains(got.Failure.Text, "SMTP_RELAY_HOST") {
		t.Errorf("got %+v", got.Failure)
	}
}

// A certificate is described whether it verifies or not, and its fault is told also where
// TLS_VERIFY=no overlooks it.
func TestProbeCertificates(t *testing.T) {
	ca, stranger := smtptest.NewCA(t), smtptest.NewCA(t)
	for _, tt := range []struct {
		cert tls.Certificate
		want string
	}{
		{ca.Certificate("other.example.org"), "SMTP_RELAY_HOST"},
		{stranger.Certificate("127.0.0.1"), "authority"},
		{ca.Expired("127.0.0.1"), "expired"},
	} {
		for _, verify := range []bool{true, false} {
			hop := smtptest.New(t, smtptest.Config{TLS: &tls.Config{Certificates: []tls.Certificate{tt.cert}}})
			got := Probe(t.Context(), to(hop, Config{UseTLS: true, VerifyTLS: verify, RootCAs: ca.Pool()}), message.Address{})
			if got.TLS == nil || !strings.Contains(got.TLS.Problem, tt.want) || len(got.TLS.Names) != 1 || got.TLS.NotAfter.IsZero() {
				t.Errorf("got %+v", got.TLS)
			}
			if (got.Failure != nil) != verify {
				t.Errorf("got %+v", got.Failure)
			}
		}
	}
}

// Each address of a host is connected to; one that answers is enough, and one that does not is
// known.
func TestProbeAddresses(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	dns := dnstest.New(t, "hop.example.org. A 127.0.0.1", "hop.example.org. A 127.0.0.77")
	cfg := to(hop, Config{Resolver: dns.Resolver()})
	cfg.Host = "hop.example.org"
	got := Probe(t.Context(), cfg, message.Address{})
	if got.Failure != nil || len(got.Addresses) != 2 {
		t.Fatalf("got %+v, %+v", got.Failure, got.Addresses)
	}
	for _, a := range got.Addresses {
		if refused := errors.Is(a.Err, syscall.ECONNREFUSED); refused != (a.Address.Addr().String() == "127.0.0.77") {
			t.Errorf("got %+v", a)
		}
	}
	res := one(t, start(t, cfg)) // the resolver is the delivery's, too
	if res.Remote != net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)) || hop.Count() != 1 {
		t.Errorf("got %+v", res)
	}
	cfg.Host = "nowhere.example.org"
	got = Probe(t.Context(), cfg, message.Address{})
	if got.Failure == nil || got.Failure.Stage != "resolve" || !strings.Contains(got.Failure.Text, "no such host") {
		t.Errorf("got %+v", got.Failure)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Probe(ctx, cfg, message.Address{}); got.Failure == nil || !strings.HasPrefix(got.Failure.Text, "given up") {
		t.Errorf("got %+v", got.Failure)
	}
}
