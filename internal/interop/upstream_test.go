//go:build interop

package interop

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// provider is a Postfix that plays the upstream of the internet: STARTTLS required on one port, TLS
// from the first byte on another, a login with SASL on both, and nobody relays without one. Behind
// it is a black hole.
type provider struct {
	starttls string // host:port
	certs    rig.Certs
}

// implicitTLS is where a provider listens with TLS from the first byte: the port's number is what
// says so to a client.
const implicitTLS = "127.0.0.1:465"

// newProvider starts one that offers the given SASL mechanisms, such as "PLAIN LOGIN". It listens
// on a free port for STARTTLS, and on the addresses given with TLS from the first byte. Dovecot
// checks its passwords, as on most such servers.
func newProvider(t *testing.T, sink *rig.Sink, mechanisms string, implicit ...string) provider {
	t.Helper()
	tool(t, "dovecot", "apt-get install dovecot-core")
	tool(t, "postfix", "apt-get install postfix")
	addr, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	up := provider{addr, certificates(t)}
	auth, err := rig.NewDovecot(account, password, mechanisms)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := auth.Close(); err != nil {
			t.Error(err)
		}
	})
	services := []string{addr + " inet n - n - - smtpd -o smtpd_tls_security_level=encrypt"}
	for _, i := range implicit {
		services = append(services, i+" inet n - n - - smtpd -o smtpd_tls_wrappermode=yes")
	}
	p := postfix(t, "provider", map[string]string{
		"relayhost":                "[127.0.0.1]:" + rig.Port(sink.Addr()),
		"mynetworks":               strangersOnly,
		"smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
		"smtpd_sasl_auth_enable":   "yes",
		"smtpd_sasl_type":          "dovecot",
		"smtpd_sasl_path":          auth.Socket,
		"smtpd_tls_auth_only":      "yes",
		"smtpd_tls_cert_file":      up.certs.Cert,
		"smtpd_tls_key_file":       up.certs.Key,
	}, services...)
	start(t, p, up.starttls)
	return up
}

// settings are those of an appliance with an account there.
func (up provider) settings(addr string) map[string]string {
	return map[string]string{
		"SMTP_RELAY_HOST": "localhost", "SMTP_RELAY_PORT": rig.Port(addr), "SMTP_RELAY_USERNAME": account,
		"SMTP_RELAY_PASSWORD": password, "SMTP_RELAY_CA_FILE": up.certs.CA,
	}
}

// A Postfix upstream with STARTTLS gets our mail by every mechanism that we know.
func TestUpstreamSTARTTLS(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
		t.Run(mechanism, func(t *testing.T) {
			sink := farEnd(t)
			up := newProvider(t, sink, mechanism)
			a := appliance(t, up.settings(up.starttls))
			m := submit(t, a, "upstream-"+mechanism)
			if got := arrives(t, sink, m.subject); !strings.Contains(string(got.Data), "with ESMTPSA") {
				t.Errorf("the provider saw no TLS and login:\n%s", got.Data)
			}
		})
	}
}

// A Postfix upstream on port 465 gets our mail with TLS from the first byte.
func TestUpstream465(t *testing.T) {
	if ln, err := net.Listen("tcp", implicitTLS); err != nil {
		missing(t, err.Error())
	} else {
		ln.Close()
	}
	sink := farEnd(t)
	up := newProvider(t, sink, "PLAIN LOGIN", implicitTLS)
	a := appliance(t, up.settings(implicitTLS))
	m := submit(t, a, "upstream-465")
	if got := arrives(t, sink, m.subject); !strings.Contains(string(got.Data), "with ESMTPSA") {
		t.Errorf("the provider saw no TLS and login:\n%s", got.Data)
	}
}

// A wrong password fails no mail: it waits, and goes out once the password is mended.
func TestUpstreamWrongPassword(t *testing.T) {
	sink := farEnd(t)
	up := newProvider(t, sink, "PLAIN LOGIN")
	settings := up.settings(up.starttls)
	settings["SMTP_RELAY_PASSWORD"] = "wrong"
	mended(t, sink, settings, "535", map[string]string{"SMTP_RELAY_PASSWORD": password})
}

// A certificate of an authority that we do not trust gets neither mail nor password; it all waits,
// and goes out once the authority is trusted.
func TestUpstreamStrangeCertificate(t *testing.T) {
	sink := farEnd(t)
	up := newProvider(t, sink, "PLAIN LOGIN")
	settings := up.settings(up.starttls)
	settings["SMTP_RELAY_CA_FILE"] = certificates(t).CA
	mended(t, sink, settings, "certificate", map[string]string{"SMTP_RELAY_CA_FILE": up.certs.CA})
}

// mended submits while settings are wrong, waits until the log says why nothing leaves, mends them,
// and wants the mail to arrive once.
func mended(t *testing.T, sink *rig.Sink, settings map[string]string, complaint string, cure map[string]string) {
	t.Helper()
	a := unstarted(t, settings)
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	m := submit(t, a, "mended-"+complaint)
	waitLog(t, a, complaint)
	if n := sink.Total(); n != 0 {
		t.Errorf("%d messages got through with wrong settings", n)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, value := range cure {
		a.Set(name, value)
	}
	run(t, a)
	arrives(t, sink, m.subject)
	if n := len(sink.Find(m.subject)); n != 1 {
		t.Errorf("it arrived %d times", n)
	}
}

// submit hands one message to the appliance's port 25.
func submit(t *testing.T, a *rig.Appliance, subject string) mail {
	t.Helper()
	m := compose(t, subject)
	text, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rig.Dial(a.Plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Send(m.from, []string{m.to}, text, rig.Transfer{Params: " BODY=8BITMIME"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(reply, "250 2.0.0 queued as ") {
		t.Errorf("reply %q", reply)
	}
	return m
}

// waitLog waits until the appliance's log has text, whatever its case.
func waitLog(t *testing.T, a *rig.Appliance, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		log, err := os.ReadFile(a.Log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(log)), text) {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the log never said %q:\n%s", text, a.LogTail())
		}
	}
}
