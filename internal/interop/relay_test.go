//go:build interop

package interop

import (
	"errors"
	"testing"

	"dinkymail/internal/rig"
)

// Nobody outside TRUSTED_NETWORKS sends without logging in, by any listener, with or without TLS:
// 530 before any recipient is looked at, 535 for a wrong password, and nothing in the queue.
func TestNeverAnOpenRelay(t *testing.T) {
	sink, certs := farEnd(t), certificates(t)
	settings := rig.Relayed(sink.Addr())
	settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = certs.Cert, certs.Key
	settings["SMTP_USERS"] = userHash(t)
	settings["TRUSTED_NETWORKS"] = strangersOnly
	a := appliance(t, settings)
	for _, m := range modes {
		if m.auth != "" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			c := dial(t, m.addr(a), m.tls, certs)
			refuses(t, c, 530, "MAIL FROM:<ada@example.org>")
			refuses(t, c, 535, "AUTH PLAIN AGFkYQB3cm9uZw==") // ada, wrong
			refuses(t, c, 530, "MAIL FROM:<>")
		})
	}
	if n := sink.Total(); n != 0 {
		t.Errorf("%d messages got through", n)
	}
}

func refuses(t *testing.T, c *rig.Client, code int, line string) {
	t.Helper()
	_, err := c.Command(2, line)
	var reply *rig.ReplyError
	if !errors.As(err, &reply) || reply.Code != code {
		t.Errorf("%s: %v, want %d", line, err, code)
	}
}

// dial opens a session with the wanted security.
func dial(t *testing.T, addr, tls string, certs rig.Certs) *rig.Client {
	t.Helper()
	config, err := certs.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	var c *rig.Client
	if tls == "implicit" {
		c, err = rig.Dial(addr, config)
	} else {
		c, err = rig.Dial(addr, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if tls == "starttls" {
		if err := c.StartTLS(config); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
