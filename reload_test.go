package main

import (
	"fmt"
	"maps"
	"net/http"
	netsmtp "net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dinkymail/control"
	"dinkymail/internal/smtptest"
	"dinkymail/operate"
)

// A reload reaches every part that was told something anew, says so, and names what takes a
// restart. A mistake changes nothing.
func TestReloadReachesEveryPart(t *testing.T) {
	t.Parallel()
	hop, settings := upstream(t)
	hop.Script(smtptest.Rule{Stage: smtptest.Body, Answer: smtptest.Reply("250 taken").After(100 * time.Millisecond)})
	dir := t.TempDir()
	env := func(more ...string) {
		var b strings.Builder
		for _, s := range append(slices.Clone(settings), more...) {
			name, value, _ := strings.Cut(s, "=")
			fmt.Fprintf(&b, "%s='%s'\n", name, value)
		}
		write(t, filepath.Join(dir, ".env"), b.String())
	}
	env("ALLOWED_HOSTS=old.example", "SMTP_RELAY_CONNECTIONS=1", "MESSAGE_MAX_BYTES=1KiB")
	a := start(t, dir)
	control := control.NewClient(filepath.Join(dir, "data", "control.sock"))
	t.Cleanup(control.Close)
	reload := func() operate.SettingsReport {
		t.Helper()
		report, err := control.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	fromPage := func(origin string) int {
		t.Helper()
		status, _ := a.call("POST", "/send", `{"subject":"from a page","body":"Hello."}`, "Origin", origin)
		return status
	}
	long := "Subject: long\r\n\r\n" + strings.Repeat("All work and no play.\r\n", 100)
	hand := func(text string) error {
		return netsmtp.SendMail(a.ports["smtp"], nil, "ada@example.org", []string{"bob@example.net"}, []byte(text))
	}
	if status := fromPage("https://new.example"); status != http.StatusForbidden {
		t.Errorf("a page that nobody allowed gets %d", status)
	}
	if err := hand(long); err == nil || !strings.Contains(err.Error(), "552") {
		t.Errorf("a mail that is too long: %v", err)
	}

	env("ALLOWED_HOSTS=new.example", "SMTP_RELAY_CONNECTIONS=3", "MESSAGE_MAX_BYTES=1MiB", "LOG_KEEP=64MiB")
	report := reload()
	changed := map[string]bool{}
	for _, c := range report.Changes {
		changed[c.Name] = c.Restart
	}
	if want := map[string]bool{"ALLOWED_HOSTS": false, "SMTP_RELAY_CONNECTIONS": false, "MESSAGE_MAX_BYTES": false, "LOG_KEEP": true}; !maps.Equal(changed, want) {
		t.Errorf("changed, and whether it takes a restart: %v, want %v", changed, want)
	}
	if line := a.log.wait(t, "settings that take a restart were changed; the old ones stay until then"); line["names"] != "LOG_KEEP" {
		t.Errorf("logged: %v", line)
	}
	if status := fromPage("https://new.example"); status != http.StatusOK {
		t.Errorf("a page that is allowed now gets %d", status)
	}
	if status := fromPage("https://old.example"); status != http.StatusForbidden {
		t.Errorf("a page that is no longer allowed gets %d", status)
	}
	if err := hand(long); err != nil {
		t.Errorf("a mail that is not too long any more: %v", err)
	}
	for i := range 10 {
		a.send(fmt.Sprint("one of many ", i))
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); hop.Open() < 3; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%d connections to the upstream at a time, want 3", hop.Open())
		}
	}
	hop.Wait(12, soon)

	about := filepath.Join(dir, "data", "submit", "about.json") // written every two seconds
	for end := time.Now().Add(soon); ; <-tick.C {
		text, err := os.ReadFile(about)
		if err == nil && strings.Contains(string(text), `"maxMessageBytes":1048576`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("sendmail is told %s, %v", text, err)
		}
	}
	env("ALLOWED_HOSTS=new.example", "SMTP_RELAY_CONNECTIONS=2")
	reload()
	if page := a.metrics(); !strings.Contains(page, `dinkymail_certificate_end_seconds{whose="upstream"}`) {
		t.Errorf("the upstream's certificate is forgotten:\n%s", page)
	}
	env("ALLOWED_HOSTS=old.example", "USE_TLS=perhaps")
	if report := reload(); len(report.Problems) == 0 {
		t.Errorf("a mistake is no problem: %+v", report)
	}
	if status := fromPage("https://new.example"); status != http.StatusOK {
		t.Errorf("after a mistake the page gets %d", status)
	}
	hop.Wait(13, soon)
}
