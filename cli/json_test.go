package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"dinkymail/operate"
	"dinkymail/queue"
)

// object runs a command with --json, and reads the one object that it prints.
func (c console) object(want int, args ...string) map[string]any {
	c.t.Helper()
	code, out, errs := c.run("", append(args, "--json")...)
	var found map[string]any
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != want || !strings.HasPrefix(out, "{\n  \"") {
		c.t.Errorf("%v: exit status %d, %v: %s%s", args, code, err, out, errs)
	}
	return found
}

// Commands that act print one object with --json: what they did.
func TestActsJSON(t *testing.T) {
	c := stocked(t)
	for _, test := range []struct {
		args, field string
		want        any
	}{
		{"version", "version", "1.2.3"},
		{"pause upstream --reason moving", "reason", "moving"},
		{"pause intake", "paused", true},
		{"resume all", "paused", false},
		{"config check", "success", true},
		{"stats", "success", true},
	} {
		if found := c.object(0, strings.Fields(test.args)...); found[test.field] != test.want {
			t.Errorf("%s: %v", test.args, found)
		}
	}
	bin := filepath.Join(t.TempDir(), "none")
	links, ok := c.object(ExitCantCreate, "install-links", bin)["links"].([]any)
	if !ok || len(links) != len(linked) || links[0].(map[string]any)["error"] == nil {
		t.Errorf("install-links in no directory: %v", links)
	}
	links, ok = c.object(0, "install-links", t.TempDir())["links"].([]any)
	if !ok || len(links) != len(linked) || links[0].(map[string]any)["did"] == nil {
		t.Errorf("install-links: %v", links)
	}
}

// The mistakes of wrong settings are in the object, and the exit status is that of wrong settings.
func TestConfigCheckJSON(t *testing.T) {
	var out, errs strings.Builder
	code := worldOf(nil, &out, &errs, []string{"MAIL_DOMAIN=example.com", "SMTP_RELAY_PORT=no"}).
		Run(t.Context(), []string{"config", "check", "--json"})
	var r struct {
		checkResult
		Success bool
		Code    string
		Exit    int
	}
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || code != ExitConfig || r.Success || r.Exit != code || r.Code != "config" || errs.String() != "" ||
		len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "SMTP_RELAY_PORT=no") {
		t.Errorf("exit status %d, %v: %s%s", code, err, out.String(), errs.String())
	}
}

// A test alert that was posted says so.
func TestAlertTestJSON(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hook.Close()
	var out, errs strings.Builder
	code := worldOf(nil, &out, &errs, []string{"MAIL_DOMAIN=example.com", "ALERT_WEBHOOK=" + hook.URL}).
		Run(t.Context(), []string{"alert-test", "--json"})
	if code != 0 || out.String() != "{\n  \"success\": true\n}\n" {
		t.Errorf("exit status %d: %s%s", code, out.String(), errs.String())
	}
}

// send-test prints what was accepted, or with --wait how it ended.
func TestSendTestJSON(t *testing.T) {
	for _, test := range []struct {
		state  queue.State
		args   []string
		code   int
		status string
	}{
		{queue.StateQueued, nil, 0, "queued"},
		{queue.StateDelivered, []string{"--wait"}, 0, "delivered"},
		{queue.StateFailed, []string{"--wait"}, ExitUnavailable, "failed"},
	} {
		var out, errs strings.Builder
		w := worldOf(nil, &out, &errs, appliance(t, &played{states: []queue.State{test.state}}))
		code := w.Run(t.Context(), append([]string{"send-test", "--json", "ada@example.org"}, test.args...))
		var found operate.Entry
		if err := json.Unmarshal([]byte(out.String()), &found); err != nil || code != test.code || found.ID == "" ||
			string(found.State) != test.status || len(found.Recipients) != 1 {
			t.Errorf("%v: exit status %d, %v: %s%s", test, code, err, out.String(), errs.String())
		}
	}
}

// A backup, its check and what is made of it each tell what the file has.
func TestBackupJSON(t *testing.T) {
	c := console{t, t.TempDir()}
	fresh := stock()
	for i := range fresh {
		fresh[i].ID = queue.NewID() // a backup has what was there when it began
	}
	if err := fill(c.dir, fresh); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.tar")
	other := console{t, filepath.Join(t.TempDir(), "data")}
	for _, found := range []map[string]any{c.object(0, "backup", file), c.object(0, "verify", file), other.object(0, "restore", file)} {
		if found["file"] != file || found["messages"] != 6.0 || found["waiting"] != 4.0 || found["version"] != "1.2.3" {
			t.Errorf("got %v", found)
		}
		if dir := found["dataDir"]; dir != nil && (dir != other.dir || found["held"] != true) {
			t.Errorf("restored to %v, held: %v", dir, found["held"])
		}
	}
	if code, out, _ := c.run("", "backup", "-", "--json"); code != ExitUsage || !strings.Contains(out, "\"code\": \"usage\"") {
		t.Errorf("backup - --json: exit status %d: %q", code, out)
	}
}
