package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dinkymail/alert"
	"dinkymail/config"
	"dinkymail/internal/smtptest"
	"dinkymail/message"
)

// dinkymail runs a command with the settings of dir and returns its exit status and what it
// printed.
func dinkymail(dir string, settings []string, args ...string) (int, string) {
	var out bytes.Buffer
	environ := append([]string{"DATA_DIR=" + filepath.Join(dir, "data")}, settings...)
	args = append([]string{"dinkymail", "--env-file", filepath.Join(dir, ".env")}, args...)
	status := run(context.Background(), args, strings.NewReader(""), &out, &out, environ)
	return status, out.String()
}

// Mail of local programs goes to whom the aliases name, from an address that can be answered, with
// what it was kept in the header; and its whole life can be read by its ID.
func TestAliasesAndLog(t *testing.T) {
	hop, settings := upstream(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "aliases"), "root: ops, carol@example.com\nops: dave@example.com\n")
	settings = append(settings, "ALIASES_FILE="+filepath.Join(dir, "aliases"))
	a := start(t, dir, settings...)
	c := a.control()
	defer c.Close()
	sent, err := c.Submit(t.Context(), letter(message.Address{Local: "root"}, message.Address{Local: "root"},
		"From: root (Cron Daemon)\nTo: root\nSubject: Cron\n\nbackup failed\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := hop.Wait(1, soon)[0]
	if got := strings.Join(m.To, " "); m.From != "noreply@example.org" || got != "dave@example.com carol@example.com" {
		t.Errorf("from %s to %s", m.From, got)
	}
	for _, want := range []string{"From: Cron Daemon <noreply@example.org>\r\n", "X-Original-From: root (Cron Daemon)\r\n", "X-Original-Sender: root@"} {
		if !bytes.Contains(m.Data, []byte(want)) {
			t.Errorf("no %q in\n%s", want, m.Data)
		}
	}
	a.awaitStatus(string(sent.ID), "delivered")
	if status, out := dinkymail(dir, settings, "log", string(sent.ID)); status != 0 || strings.Count(out, "\n") < 2 || !strings.Contains(out, `"msg":"attempt"`) {
		t.Errorf("log: status %d\n%s", status, out)
	}
	if status, out := dinkymail(dir, settings, "alias", "root"); status != 0 || out != "dave@example.com\ncarol@example.com\n" {
		t.Errorf("alias: status %d\n%s", status, out)
	}
	if status, _ := dinkymail(dir, settings, "alias", "nobody"); status != 1 {
		t.Errorf("alias of nobody: status %d", status)
	}
}

// A password that is refused is told by the webhook, once, and that it was corrected is told too.
func TestAlerts(t *testing.T) {
	t.Parallel()
	posts := make(chan alert.Notice, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n alert.Notice
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		posts <- n
	}))
	defer hook.Close()
	hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "right"}})
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	write(t, file, "SMTP_RELAY_PASSWORD=wrong\n")
	often := func(s *config.Settings) { s.Alert.Every = 50 * time.Millisecond }
	a := startTuned(t, dir, often, "MAIL_DOMAIN=example.org", "SMTP_RELAY_HOST="+hop.Host(), "SMTP_RELAY_PORT="+strconv.Itoa(hop.Port()),
		"USE_TLS=no", "SMTP_RELAY_USERNAME=ada", "ALERT_WEBHOOK="+hook.URL+"/token")
	a.send("Hello")
	expect := func(key string, state alert.State) {
		t.Helper()
		select {
		case n := <-posts:
			if n.Key != key || n.State != state || n.Appliance != "mail.example.org" {
				t.Errorf("got %+v, want %s %s", n, key, state)
			}
		case <-time.After(soon):
			t.Fatalf("nothing was posted\n%s", a.log)
		}
	}
	expect("credentials", alert.Firing)
	if status, out := dinkymail(dir, []string{"ALERT_WEBHOOK=" + hook.URL, "MAIL_DOMAIN=example.org", "SMTP_RELAY_USERNAME=ada"}, "alert-test"); status != 0 {
		t.Errorf("alert-test: status %d\n%s", status, out)
	}
	expect("test", alert.Firing)
	write(t, file, "SMTP_RELAY_PASSWORD=right\n")
	if _, err := a.control().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	hop.Wait(1, soon)
	expect("credentials", alert.Cleared)
	if strings.Contains(a.log.String(), "token") {
		t.Error("the webhook's secret stands in the log")
	}
}

// A backup that is made while the appliance runs becomes a queue whose mail is held until it is
// released.
func TestBackupAndRestore(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	settings := []string{"MAIL_DOMAIN=example.org", "USE_TLS=no", "SMTP_RELAY_HOST=" + hop.Host(), "SMTP_RELAY_PORT=" + strconv.Itoa(hop.Port())}
	dir, other := t.TempDir(), t.TempDir()
	file := filepath.Join(other, "backup.tar")
	a := start(t, dir, settings...)
	c := a.control()
	if err := c.Pause(t.Context(), "upstream", "wait", "ada"); err != nil {
		t.Fatal(err)
	}
	id := a.send("Hello")
	if status, out := dinkymail(dir, settings, "backup", file); status != 0 || !strings.Contains(out, "1 message, 1 of them waiting") {
		t.Fatalf("backup: status %d\n%s", status, out)
	}
	if status, out := dinkymail(dir, settings, "backup", file); status != 73 {
		t.Errorf("backup over a file: status %d\n%s", status, out)
	}
	c.Close()
	a.end()
	if status, out := dinkymail(dir, settings, "restore", file); status != 73 || !strings.Contains(out, "has a queue") {
		t.Errorf("restore over a queue: status %d\n%s", status, out)
	}
	if status, out := dinkymail(other, settings, "restore", file); status != 0 {
		t.Fatalf("restore: status %d\n%s", status, out)
	}
	a = start(t, other, settings...)
	a.awaitStatus(id, "held")
	if status, out := dinkymail(other, settings, "release", id); status != 0 {
		t.Fatalf("release: status %d\n%s", status, out)
	}
	a.awaitStatus(id, "delivered")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text[:len(text)/2]))
	if status, out := dinkymail(t.TempDir(), settings, "restore", file); status != 65 || !strings.Contains(out, "nothing was restored") {
		t.Errorf("restore of half a backup: status %d\n%s", status, out)
	}
}
