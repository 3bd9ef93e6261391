package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"dinkymail/cli/world"
	"dinkymail/doctor"
	"dinkymail/internal/smtptest"
)

// examine runs dinkymail doctor for the appliance in dir, in development mode, in which it asks
// nobody beyond this machine.
func examine(t *testing.T, dir string, environ []string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	w := worldOf(nil, &o, &e, append([]string{"MAIL_DOMAIN=example.com", "ENVIRONMENT=development", "DATA_DIR=" + dir}, environ...))
	code = w.Run(t.Context(), append([]string{"doctor"}, args...))
	return code, o.String(), e.String()
}

// The doctor finds the running appliance, sends a mail when an address is given, and says what
// became of it.
func TestDoctor(t *testing.T) {
	c := running(t)
	code, out, errs := examine(t, c.dir, nil, "bob@example.net")
	if code != 0 || errs != "" {
		t.Errorf("exit status %d, %s", code, errs)
	}
	for _, want := range []string{"version 1.2.3 runs and answers\n", "mail        one mail to bob@example.net\n", " queued as ", " delivered by 127.0.0.1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	code, out, _ = examine(t, c.dir, nil, "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.OK == 0 || r.Errors > 0 || len(r.Findings) < 8 {
		t.Errorf("exit status %d, %v: %s", code, err, out)
	}
}

// A mail that fails, an appliance that does not run and wrong settings each have their exit status,
// and the report says all.
func TestDoctorExitStatus(t *testing.T) {
	c := running(t, smtptest.Rule{Stage: smtptest.Rcpt, Answer: smtptest.Reply("550 5.1.1 who?")})
	if code, out, errs := examine(t, c.dir, nil, "bob@example.net"); code != world.ExitUnavailable || errs != "" || !strings.Contains(out, "550 who?") {
		t.Errorf("exit status %d, %s, %s", code, errs, out)
	}
	if code, out, _ := examine(t, t.TempDir(), nil); code != world.ExitUnavailable || !strings.Contains(out, "the appliance does not run: nobody answers at ") {
		t.Errorf("exit status %d, %s", code, out)
	}
	if code, out, _ := examine(t, c.dir, []string{"SMTP_RELAY_PORT=no"}); code != world.ExitConfig || !strings.Contains(out, "SMTP_RELAY_PORT=no (environment)") {
		t.Errorf("exit status %d, %s", code, out)
	}
}
