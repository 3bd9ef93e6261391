//go:build interop

package interop

import (
	"bytes"
	"context"
	"maps"
	"os"
	"testing"

	"dinkymail/internal/rig"
)

// A Postfix that hands all its mail to us, as thousands of servers are set up, gets through every
// listener: a program calls its sendmail, and the message arrives with nothing changed but one more
// Received.
func TestPostfixSatellite(t *testing.T) {
	sink, certs := farEnd(t), certificates(t)
	settings := rig.Relayed(sink.Addr())
	settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = certs.Cert, certs.Key
	settings["SMTP_USERS"] = userHash(t)
	trusting := appliance(t, settings)
	settings["TRUSTED_NETWORKS"] = strangersOnly
	strict := appliance(t, settings)

	// Postfix takes the password from a map of its own; static: cannot hold every character, so
	// this is a file.
	secrets := map[string]string{
		"smtp_sasl_auth_enable": "yes", "smtp_sasl_security_options": "noanonymous",
		"smtp_tls_security_level": "secure", "smtp_tls_CAfile": certs.CA,
	}
	implicit := map[string]string{"smtp_tls_wrappermode": "yes"}
	maps.Copy(implicit, secrets)
	for _, c := range []struct {
		name, relayhost string
		main            map[string]string
	}{
		{"plain", "[127.0.0.1]:" + rig.Port(trusting.Plain), map[string]string{}},
		{"opportunistic", "[localhost]:" + rig.Port(trusting.Plain), map[string]string{"smtp_tls_security_level": "may"}},
		{"STARTTLS-SASL", "[localhost]:" + rig.Port(strict.Submission), secrets},
		{"465-SASL", "[localhost]:" + rig.Port(strict.TLS), implicit},
	} {
		t.Run(c.name, func(t *testing.T) {
			main := maps.Clone(c.main)
			main["relayhost"] = c.relayhost
			satellite := postfix(t, "satellite", main)
			if c.main["smtp_sasl_auth_enable"] != "" {
				passwordMap(t, satellite, c.relayhost)
			}
			start(t, satellite, "")
			m := compose(t, "satellite-"+c.name)
			text, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := satellite.Sendmail(ctx, m.from, m.to, text); err != nil {
				t.Fatal(err)
			}
			got := arrives(t, sink, "Subject: "+m.subject)
			if !bytes.HasSuffix(got.Data, m.body) {
				t.Errorf("body changed on its way:\n%s", got.Data)
			}
			if n := bytes.Count(got.Data, []byte("Received: ")); n != 2 && n != 3 {
				t.Errorf("%d Received fields, want the satellite's and ours", n)
			}
		})
	}
}

// postfix lays out an instance that is removed at the test's end.
func postfix(t *testing.T, name string, main map[string]string, services ...string) *rig.Postfix {
	t.Helper()
	tool(t, "postfix", "apt-get install postfix")
	if os.Getuid() != 0 {
		missing(t, "a Postfix can be started by root only")
	}
	p, err := rig.NewPostfix(name, main, services...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.Log()[max(0, len(p.Log())-4000):])
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func start(t *testing.T, p *rig.Postfix, addr string) {
	t.Helper()
	if _, err := p.Start(addr); err != nil {
		t.Fatal(err)
	}
}

// passwordMap gives the satellite its login for a relayhost.
func passwordMap(t *testing.T, p *rig.Postfix, relayhost string) {
	t.Helper()
	file := p.Path("config", "sasl_passwd")
	if err := os.WriteFile(file, []byte(relayhost+" "+account+":"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Set("smtp_sasl_password_maps", "texthash:"+file); err != nil {
		t.Fatal(err)
	}
}
