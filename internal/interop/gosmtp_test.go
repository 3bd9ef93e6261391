//go:build interop

package interop

import (
	"crypto/tls"
	"net"
	netsmtp "net/smtp"
	"os"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// goClient submits with Go's net/smtp, which is what most programs written in Go use, Alertmanager
// among them.
func goClient(t *testing.T, to target, m mail) {
	certs := rig.Certs{CA: to.ca}
	config, err := certs.ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(to.host, to.port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if to.tls == "implicit" {
		conn = tls.Client(conn, config)
	}
	c, err := netsmtp.NewClient(conn, "localhost") // the host for which it sends a password without TLS
	if err != nil {
		t.Fatal(err)
	}
	if to.tls == "starttls" {
		if err := c.StartTLS(config); err != nil {
			t.Fatal(err)
		}
	}
	switch to.auth {
	case "PLAIN":
		err = c.Auth(netsmtp.PlainAuth("", account, password, "localhost"))
	case "LOGIN":
		err = c.Auth(login{})
	}
	if err != nil {
		t.Fatalf("AUTH %s: %v", to.auth, err)
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	hand(t, c, m.from, m.to, string(text))
}

// hand makes one transaction and says QUIT.
func hand(t *testing.T, c *netsmtp.Client, from, to, text string) {
	t.Helper()
	if err := c.Mail(from); err != nil {
		t.Fatalf("MAIL: %v", err)
	}
	if err := c.Rcpt(to); err != nil {
		t.Fatalf("RCPT: %v", err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatalf("DATA: %v", err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("end of data: %v", err)
	}
	if err := c.Quit(); err != nil {
		t.Fatalf("QUIT: %v", err)
	}
}

// login answers AUTH LOGIN, which net/smtp does not know, by what each challenge asks for.
type login struct{}

func (login) Start(*netsmtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

func (login) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if strings.HasPrefix(strings.ToLower(string(challenge)), "user") {
		return []byte(account), nil
	}
	return []byte(password), nil
}

// An Alertmanager without TLS or login reaches port 25, as it always has: EHLO, one transaction per
// notice, headers with bare addresses, a multipart body with quoted-printable parts. Where its
// network is not trusted, it may not send.
func TestAlertmanager(t *testing.T) {
	sink := farEnd(t)
	settings := rig.Relayed(sink.Addr())
	trusting := appliance(t, settings)
	settings["TRUSTED_NETWORKS"] = strangersOnly
	strict := appliance(t, settings)

	const notice = "From: alertmanager@example.org\r\nMessage-Id: <1762336800000000000.7423@alertmanager>\r\n" +
		"Subject: =?utf-8?q?[FIRING:1]_Disk_full_=E2=80=93_db1?=\r\nTo: ops@example.net\r\nDate: Thu, 05 Nov 2026 10:00:00 +0000\r\n" +
		"Content-Type: multipart/alternative;  boundary=b1\r\nMIME-Version: 1.0\r\n\r\n" +
		"--b1\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n" +
		"<h1>1 alert for alertname=3DDiskFull</h1>\r\n--b1--\r\n"
	c, err := netsmtp.Dial(trusting.Plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hand(t, c, "alertmanager@example.org", "ops@example.net", notice)
	got := arrives(t, sink, "alertname=3DDiskFull")
	if !strings.HasSuffix(string(got.Data), notice) {
		t.Errorf("the notice did not arrive as it was sent:\n%s", got.Data)
	}

	refused, err := netsmtp.Dial(strict.Plain)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	if err := refused.Mail("alertmanager@example.org"); err == nil {
		err = refused.Rcpt("ops@example.net")
		if err == nil {
			t.Fatal("a network that is not trusted may send")
		}
	}
}
