package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
)

// What sendmail takes arrives at the next hop: while the appliance runs, by the submit socket, and
// what it took while the appliance was down once it is up, both with nothing but SUBMIT_DIR known.
func TestSendmail(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	dir, err := os.MkdirTemp("", "dm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	settings := []string{"MAIL_DOMAIN=example.org", "SMTP_RELAY_HOST=" + hop.Host(), "SMTP_RELAY_PORT=" + strconv.Itoa(hop.Port()), "USE_TLS=no",
		"SUBMIT_GROUP=" + strconv.Itoa(os.Getgid())}
	sendmail := func(subject string) string {
		t.Helper()
		var out, errs bytes.Buffer
		status := run(context.Background(), []string{"/usr/sbin/sendmail", "-t", "-v", "-f", "ada@example.org"},
			strings.NewReader("To: bob@example.net\nSubject: "+subject+"\n\nHello\n"), &out, &errs,
			[]string{"DINKYMAIL_SUBMIT_DIR=" + filepath.Join(dir, "data", "submit")})
		if status != 0 || errs.Len() > 0 {
			t.Fatalf("got status %d, %s", status, errs.String())
		}
		return out.String()
	}
	a := start(t, dir, settings...)
	if out := sendmail("up"); !strings.HasPrefix(out, "queued as ") {
		t.Errorf("got %s", out)
	}
	hop.Wait(1, soon)
	a.end()
	if out := sendmail("down"); !strings.HasPrefix(out, "left in ") {
		t.Errorf("got %s", out)
	}
	if status, out := dinkymail(dir, settings, "queue"); status != 0 || !strings.Contains(out, "to be taken in when it runs: 1") {
		t.Errorf("queue while it waits: status %d, %s", status, out)
	}
	start(t, dir, settings...)
	for i, m := range hop.Wait(2, soon) {
		subject := []string{"Subject: up\r\n", "Subject: down\r\n"}[i]
		if m.From != "ada@example.org" || !bytes.Contains(m.Data, []byte(subject)) {
			t.Errorf("got from %s: %s", m.From, m.Data)
		}
	}
}
