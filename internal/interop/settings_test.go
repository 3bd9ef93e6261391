//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// A newcomer writes a .env with a wrong password, sends mail, mends the line and says SIGHUP: the
// mail that waited goes out, once, without a restart. The password stands in a file of its own,
// quotes, spaces and all.
func TestReload(t *testing.T) {
	sink := farEnd(t)
	up := newProvider(t, sink, "PLAIN LOGIN")
	a := unstarted(t, nil)
	secret := filepath.Join(t.TempDir(), "relay-password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(secret, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("not the password")
	env := fmt.Sprintf("SMTP_RELAY_HOST=localhost\nSMTP_RELAY_PORT=%s\nSMTP_RELAY_USERNAME=%s\nSMTP_RELAY_PASSWORD_FILE=%s\nSMTP_RELAY_CA_FILE=%s\n",
		rig.Port(up.starttls), account, secret, up.certs.CA)
	if err := a.WriteEnv(env); err != nil {
		t.Fatal(err)
	}
	run(t, a)
	m := submit(t, a, "reload")
	waitLog(t, a, "535")
	write(password)
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	arrives(t, sink, m.subject)
	if n := len(sink.Find(m.subject)); n != 1 {
		t.Errorf("it arrived %d times", n)
	}
	if log, err := os.ReadFile(a.Log); err != nil || strings.Contains(string(log), password) {
		t.Errorf("the password is in the log, or: %v", err)
	}
}

// The verbs that scripts are made of work against a running appliance: health, config check,
// send-test --wait.
func TestVerbs(t *testing.T) {
	sink := farEnd(t)
	settings := rig.Relayed(sink.Addr())
	settings["DEFAULT_TO"] = "owner@example.org"
	a := appliance(t, settings)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, args := range [][]string{{"health"}, {"config", "check"}, {"version"}, {"send-test", "bob@example.net", "--wait"}} {
		if out, err := a.Run(ctx, "", args...); err != nil {
			t.Error(err)
		} else {
			t.Logf("dinkymail %s: %s", strings.Join(args, " "), out)
		}
	}
	if n := sink.Total(); n != 1 {
		t.Errorf("%d test mails arrived", n)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if out, err := a.Run(ctx, "", "health"); err == nil {
		t.Errorf("a stopped appliance is well: %s", out)
	}
}
