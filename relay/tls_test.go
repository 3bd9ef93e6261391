package relay

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// A certificate that does not verify stops the lane, tells which of its parts is wrong and what to
// do, and no password or mail went out.
func TestWrongCertificate(t *testing.T) {
	ca, stranger := smtptest.NewCA(t), smtptest.NewCA(t)
	for _, implicit := range []bool{false, true} {
		for _, tt := range []struct {
			name string
			cert tls.Certificate
			want string
		}{
			{"name", ca.Certificate("other.example.org"), "SMTP_RELAY_HOST"},
			{"no name", ca.Certificate(), "subject alternative name"},
			{"authority", stranger.Certificate("127.0.0.1"), "authority"},
			{"expired", ca.Expired("127.0.0.1"), "expired"},
		} {
			hop := smtptest.New(t, smtptest.Config{
				TLS:         &tls.Config{Certificates: []tls.Certificate{tt.cert}},
				ImplicitTLS: implicit,
				Users:       map[string]string{"ada": "secret"},
			})
			cfg := Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool(), Username: "ada", Password: "secret", ImplicitTLS: implicit}
			res := one(t, start(t, to(hop, cfg)))
			check(t, res, queue.Deferred, queue.PauseUnreachable)
			if !strings.Contains(res.Text+res.Remedy, tt.want) || !strings.Contains(res.Remedy, "TLS_VERIFY=no") {
				t.Errorf("%s: %q explains too little", tt.name, res.Text+"; "+res.Remedy)
			}
			for _, c := range hop.Commands() {
				if !strings.HasPrefix(c, "EHLO") && c != "STARTTLS" {
					t.Errorf("%s: %q was sent", tt.name, c)
				}
			}
			cfg.VerifyTLS = false
			check(t, one(t, start(t, to(hop, cfg))), queue.Delivered, queue.NoPause)
		}
	}
}

// With USE_TLS=yes everything goes over TLS, by STARTTLS or from the first byte, and EHLO names us
// before and after.
func TestTLS(t *testing.T) {
	ca := smtptest.NewCA(t)
	for _, implicit := range []bool{false, true} {
		hop := smtptest.New(t, smtptest.Config{TLS: ca.Server("127.0.0.1"), ImplicitTLS: implicit})
		r := start(t, to(hop, Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool(), ImplicitTLS: implicit}))
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		got := hop.Messages()[0]
		if !got.TLS || got.Helo != "mail.example.org" || string(got.Data) != letter {
			t.Errorf("got %+v", got)
		}
		if !implicit && !slices.Equal(hop.Commands()[:3], []string{"EHLO mail.example.org", "STARTTLS", "EHLO mail.example.org"}) {
			t.Errorf("got %q", hop.Commands())
		}
	}
}

// Without USE_TLS there is no TLS, whatever is offered.
func TestNoTLSAsAsked(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{TLS: smtptest.NewCA(t).Server("127.0.0.1"), Users: map[string]string{"ada": "secret"}})
	r := start(t, to(hop, Config{Username: "ada", Password: "secret"}))
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if got := hop.Messages()[0]; got.TLS || got.User != "ada" {
		t.Errorf("got %+v", got)
	}
}

// A next hop without STARTTLS gets neither password nor mail while USE_TLS=yes.
func TestStartTLSNotOffered(t *testing.T) {
	for _, cfg := range []smtptest.Config{{}, {NoEhlo: true}} {
		cfg.Users = map[string]string{"ada": "secret"}
		hop := smtptest.New(t, cfg)
		res := one(t, start(t, to(hop, Config{UseTLS: true, Username: "ada", Password: "secret"})))
		check(t, res, queue.Deferred, queue.PauseUnreachable)
		if res.Stage != "starttls" || !strings.Contains(res.Remedy, "USE_TLS=no") {
			t.Errorf("got %+v", res)
		}
		for _, c := range hop.Commands() {
			if !strings.HasPrefix(c, "EHLO") && !strings.HasPrefix(c, "HELO") {
				t.Errorf("%q was sent", c)
			}
		}
	}
}

// What stands behind the reply to STARTTLS was put there by somebody who hopes that it counts as
// said under TLS.
func TestInjectionBeforeTLS(t *testing.T) {
	ca := smtptest.NewCA(t)
	hop := smtptest.New(t, smtptest.Config{TLS: ca.Server("127.0.0.1")})
	hop.Script(smtptest.Rule{Stage: smtptest.StartTLS, Answer: smtptest.Raw("220 go\r\n250 AUTH PLAIN\r\n")})
	res := one(t, start(t, to(hop, Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool()})))
	check(t, res, queue.Deferred, queue.PauseUnreachable)
	if !strings.Contains(res.Text, errInjected.Error()) {
		t.Errorf("got %+v", res)
	}
}

// A next hop that speaks without TLS where TLS is to begin at once is told from a broken one.
func TestPlainWhereTLSIsDue(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Lenient: true})
	res := one(t, start(t, to(hop, Config{UseTLS: true, ImplicitTLS: true, RootCAs: x509.NewCertPool()})))
	check(t, res, queue.Deferred, queue.PauseUnreachable)
	if !strings.Contains(res.Text, "587") {
		t.Errorf("got %+v", res)
	}
}
