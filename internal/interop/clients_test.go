//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// mode is one way to submit: which listener, which TLS, which login.
type mode struct {
	name string
	addr func(*rig.Appliance) string
	tls  string // "no", "starttls" or "implicit"
	auth string // "", "PLAIN" or "LOGIN"
}

func port25(a *rig.Appliance) string  { return a.Plain }
func port587(a *rig.Appliance) string { return a.Submission }
func port465(a *rig.Appliance) string { return a.TLS }

// modes are all that the appliance offers. Those without a login are tried on an appliance that
// trusts loopback, those with one on an appliance that trusts nobody here.
var modes = []mode{
	{"25 plain", port25, "no", ""},
	{"25 STARTTLS", port25, "starttls", ""},
	{"587 plain", port587, "no", ""},
	{"587 plain AUTH PLAIN", port587, "no", "PLAIN"},
	{"587 plain AUTH LOGIN", port587, "no", "LOGIN"},
	{"587 STARTTLS AUTH PLAIN", port587, "starttls", "PLAIN"},
	{"587 STARTTLS AUTH LOGIN", port587, "starttls", "LOGIN"},
	{"465", port465, "implicit", ""},
	{"465 AUTH PLAIN", port465, "implicit", "PLAIN"},
	{"465 AUTH LOGIN", port465, "implicit", "LOGIN"},
}

// mail is one message to submit, with what clients like to get wrong: dots at line starts, raw
// 8-bit bytes, a blank end.
type mail struct {
	from, to, subject string
	file              string // where its bytes are
	body              []byte // the part behind the header
}

func compose(t *testing.T, subject string) mail {
	t.Helper()
	m := mail{from: "ada@example.org", to: "bob@example.net", subject: subject, file: filepath.Join(t.TempDir(), "mail")}
	m.body = []byte("Grüße aus Köln.\r\n.dot\r\n..two\r\n.\r\n \r\nlast line\r\n")
	head := fmt.Sprintf("From: Ada <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Thu, 05 Nov 2026 10:00:00 +0000\r\n"+
		"Message-ID: <%s@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Transfer-Encoding: 8bit\r\n\r\n", m.from, m.to, subject, subject)
	if err := os.WriteFile(m.file, append([]byte(head), m.body...), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// target is where a client shall submit.
type target struct {
	mode
	host, port, ca string
}

// Every client reaches the far end through every listener, security and login, with envelope and
// body unharmed.
func TestClients(t *testing.T) {
	sink, certs := farEnd(t), certificates(t)
	settings := rig.Relayed(sink.Addr())
	settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = certs.Cert, certs.Key
	settings["SMTP_USERS"] = userHash(t)
	trusting := appliance(t, settings)
	settings["TRUSTED_NETWORKS"] = strangersOnly
	strict := appliance(t, settings)

	for _, c := range []struct {
		name   string
		submit func(*testing.T, target, mail)
	}{
		{"curl", curl}, {"swaks", swaks}, {"smtplib", smtplib}, {"nodemailer", nodemailer}, {"msmtp", msmtp}, {"Go", goClient},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, m := range modes {
				t.Run(m.name, func(t *testing.T) {
					a := trusting
					if m.auth != "" {
						a = strict
					}
					letter := compose(t, "interop-"+c.name+"-"+strconv.Itoa(i))
					c.submit(t, target{m, "127.0.0.1", rig.Port(m.addr(a)), certs.CA}, letter)
					verify(t, arrives(t, sink, letter.subject), letter, m)
				})
			}
		})
	}
}

// verify compares what arrived with what was submitted.
func verify(t *testing.T, got rig.Received, m mail, how mode) {
	t.Helper()
	if !strings.HasPrefix(got.From, "<"+m.from+">") || len(got.To) != 1 || !strings.HasPrefix(got.To[0], "<"+m.to+">") {
		t.Errorf("envelope %q → %q, want %s → %s", got.From, got.To, m.from, m.to)
	}
	head, body, _ := bytes.Cut(got.Data, []byte("\r\n\r\n"))
	if !bytes.Equal(bytes.TrimRight(body, "\r\n"), bytes.TrimRight(m.body, "\r\n")) {
		t.Errorf("body %q, want %q", body, m.body)
	}
	received, _, _ := strings.Cut(string(head), "\r\nFrom:")
	with := "SMTP" // RFC 3848 and RFC 6531, 3.7.3: ESMTP, or UTF8SMTP for clients that say SMTPUTF8
	if how.tls != "no" {
		with += "S"
	}
	if how.auth != "" {
		with += "A"
	}
	if !strings.HasPrefix(received, "Received: ") ||
		!strings.Contains(received, " with E"+with+" ") && !strings.Contains(received, " with UTF8"+with+" ") {
		t.Errorf("first field %q, want a Received with E%s", received, with)
	}
}

func curl(t *testing.T, to target, m mail) {
	scheme := "smtp"
	if to.tls == "implicit" {
		scheme = "smtps"
	}
	args := []string{
		"--silent", "--show-error", "--max-time", "20", "--cacert", to.ca, "--url", scheme + "://" + to.host + ":" + to.port + "/rig.example",
		"--mail-from", m.from, "--mail-rcpt", m.to, "--upload-file", m.file,
	}
	if to.tls == "starttls" {
		args = append(args, "--ssl-reqd")
	}
	if to.auth != "" {
		args = append(args, "--user", account+":"+password, "--login-options", "AUTH="+to.auth)
	}
	client(t, tool(t, "curl", "apt-get install curl"), args...)
}

func swaks(t *testing.T, to target, m mail) {
	args := []string{
		"--server", to.host, "--port", to.port, "--from", m.from, "--to", m.to, "--data", "@" + m.file, "--timeout", "20",
		"--helo", "rig.example",
	}
	switch to.tls {
	case "starttls":
		args = append(args, "--tls", "--tls-verify", "--tls-ca-path", to.ca)
	case "implicit":
		args = append(args, "--tls-on-connect", "--tls-verify", "--tls-ca-path", to.ca)
	}
	if to.auth != "" {
		args = append(args, "--auth", to.auth, "--auth-user", account, "--auth-password", password)
	}
	program := tool(t, "swaks", "apt-get install swaks")
	if to.tls != "no" && exec.Command("perl", "-MNet::SSLeay", "-e", "1").Run() != nil {
		missing(t, "swaks has no TLS: apt-get install libnet-ssleay-perl")
	}
	client(t, program, args...)
}

// options are what the scripts in Python and JavaScript are told.
func options(t *testing.T, to target, m mail) string {
	t.Helper()
	port, err := strconv.Atoi(to.port)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"host": to.host, "port": port, "tls": to.tls, "auth": to.auth, "user": account, "password": password, "ca": to.ca,
		"from": m.from, "to": m.to, "file": m.file,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func smtplib(t *testing.T, to target, m mail) {
	client(t, tool(t, "python3", "apt-get install python3"), filepath.Join("testdata", "submit.py"), options(t, to, m))
}

func nodemailer(t *testing.T, to target, m mail) {
	node := tool(t, "node", "install Node.js")
	if _, err := os.Stat(filepath.Join("node", "node_modules", "nodemailer")); err != nil {
		missing(t, "nodemailer is not installed: npm ci --prefix internal/interop/node")
	}
	client(t, node, filepath.Join("node", "submit.mjs"), options(t, to, m))
}

func msmtp(t *testing.T, to target, m mail) {
	program := tool(t, "msmtp", "apt-get install msmtp")
	lines := []string{"account default", "host " + to.host, "port " + to.port, "from " + m.from, "domain rig.example", "timeout 20"}
	switch to.tls {
	case "no":
		lines = append(lines, "tls off")
	case "starttls":
		lines = append(lines, "tls on", "tls_starttls on", "tls_trust_file "+to.ca)
	case "implicit":
		lines = append(lines, "tls on", "tls_starttls off", "tls_trust_file "+to.ca)
	}
	if to.auth == "" {
		lines = append(lines, "auth off")
	} else {
		secret := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, "auth "+strings.ToLower(to.auth), "user "+account, "passwordeval cat "+secret)
	}
	rc := filepath.Join(t.TempDir(), "msmtprc")
	if err := os.WriteFile(rc, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client(t, "sh", "-c", `exec "$0" --file="$1" -- "$2" <"$3"`, program, rc, m.to, m.file)
}
