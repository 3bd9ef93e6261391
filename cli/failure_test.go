package cli

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dinkymail/control"

	"github.com/alecthomas/kong"
)

// failed runs a command that must fail, and reads the object that it then prints, alone or last.
func (c console) failed(stdin string, args ...string) (found outcome, before string) {
	c.t.Helper()
	code, out, errs := c.run(stdin, args...)
	objects := json.NewDecoder(strings.NewReader(out))
	var last json.RawMessage
	for at := int64(0); objects.More(); before, at = out[:at], objects.InputOffset() {
		if err := objects.Decode(&last); err != nil {
			c.t.Errorf("%v: %v: %s", args, err, out)
			return found, before
		}
	}
	if err := json.Unmarshal(last, &found); err != nil || code == 0 || found.Success || found.Exit != code || found.Code == "" ||
		found.Message == "" || !strings.Contains(string(last), `"success":`) {
		c.t.Errorf("%v: exit status %d, %v: %s%s", args, code, err, out, errs)
	}
	return found, strings.TrimSpace(before)
}

// Every verb that has --json prints one object when it fails, which says with what status.
func TestFailuresJSON(t *testing.T) {
	const none = "0cagh3h68onkmkgv"
	broken := filepath.Join(t.TempDir(), "broken.tar")
	if err := os.WriteFile(broken, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	queue := stocked(t)
	empty := console{t, t.TempDir()}
	for _, test := range []struct {
		in   console
		args string
		code string
		exit int
	}{
		{queue, "queue --error /(/", "bad_selection", ExitUsage},
		{queue, "show " + none, "not_found", ExitNoInput},
		{queue, "show word", "usage", ExitUsage},
		{queue, "retry " + none, "not_found", ExitNoInput},
		{queue, "hold 0cagh3h68onkmkg0 " + none, "not_found", ExitNoInput},
		{queue, "release " + none, "not_found", ExitNoInput},
		{queue, "bounce 0cagh3h68onkmkg4", "unavailable", ExitUnavailable},
		{queue, "remove " + none, "not_found", ExitNoInput},
		{queue, "purge --yes " + none, "not_found", ExitNoInput},
		{queue, "purge " + none, "not_found", ExitNoInput},
		{queue, "purge", "usage", ExitUsage},
		{queue, "undo " + none, "not_found", ExitNoInput},
		{queue, "redirect " + none + " ada@example.com", "not_found", ExitNoInput},
		{queue, "redirect " + none, "usage", ExitUsage},
		{queue, "edit-recipients " + none + " --add ada@example.com", "not_found", ExitNoInput},
		{queue, "edit-recipients " + none, "usage", ExitUsage},
		{queue, "pause nowhere", "bad_selection", ExitUsage},
		{queue, "resume nowhere", "bad_selection", ExitUsage},
		{queue, "backup -", "usage", ExitUsage},
		{queue, "backup " + broken, "cannot_create", ExitCantCreate},
		{queue, "restore " + broken, "cannot_create", ExitCantCreate},
		{empty, "restore " + broken + "x", "not_found", ExitNoInput},
		{empty, "undo", "not_found", ExitNoInput},
		{empty, "watch", "unavailable", ExitUnavailable},
		{empty, "reload", "unavailable", ExitUnavailable},
		{empty, "health", "failed", 1},
		{empty, "send-test ada@example.org", "unavailable", ExitUnavailable},
		{empty, "verify " + broken, "damaged", exitData},
		{empty, "verify " + broken + "x", "not_found", ExitNoInput},
		{empty, "alias none@example.com", "failed", 1},
		{empty, "alias @", "usage", ExitUsage},
		{empty, "alert-test", "config", ExitConfig},
		{empty, "install-links " + broken, "cannot_create", ExitCantCreate},
	} {
		found, before := test.in.failed("", append(strings.Fields(test.args), "--json")...)
		if found.Code != test.code || found.Exit != test.exit || before != "" {
			t.Errorf("%s: %+v behind %q", test.args, found, before)
		}
	}
	for verb := range withJSON(t) {
		if found, _ := queue.failed("", append(strings.Fields(verb), "--json", "--no-such-flag")...); found.Code != "usage" || found.Exit != ExitUsage {
			t.Errorf("%s --no-such-flag: %+v", verb, found)
		}
	}
	for _, args := range []string{"--json", "nothing --json", "show --json", "cat --json"} {
		if found, _ := queue.failed("", strings.Fields(args)...); found.Code != "usage" {
			t.Errorf("%s: %+v", args, found)
		}
	}
}

// withJSON yields the path of each command that has --json.
func withJSON(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, leaf := range grammar(t).Leaves(true) {
		if slices.ContainsFunc(leaf.Flags, func(f *kong.Flag) bool { return f.Name == "json" }) {
			found[leaf.Path()] = true
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d commands have --json", len(found))
	}
	return found
}

// With wrong settings, and where no queue is, every verb with --json fails with one object.
func TestWrongSettingsJSON(t *testing.T) {
	free := []string{"version", "install-links", "verify"} // they need no settings
	for verb := range withJSON(t) {
		if slices.Contains(free, verb) {
			continue
		}
		args := strings.Fields(verb)
		switch verb {
		case "show":
			args = append(args, "0cagh3h68onkmkg0")
		case "redirect":
			args = append(args, "0cagh3h68onkmkg0", "ada@example.org")
		case "edit-recipients":
			args = append(args, "--add", "ada@example.org", "0cagh3h68onkmkg0")
		case "retry", "hold", "release", "remove", "purge", "bounce":
			args = append(args, "--everything")
		case "pause", "resume":
			args = append(args, "all")
		case "backup", "restore", "alias", "send-test":
			args = append(args, filepath.Join(t.TempDir(), "new"))
		}
		var out, errs strings.Builder
		w := worldOf(strings.NewReader(""), &out, &errs, []string{"MAIL_DOMAIN=example.com", "DATA_DIR=" + t.TempDir(), "SMTP_RELAY_PORT=no",
			"HTTP_LISTEN="})
		code := w.Run(t.Context(), append(args, "--json"))
		var found outcome
		if err := json.Unmarshal([]byte(out.String()), &found); err != nil || code == 0 || found.Exit != code || found.Success ||
			!strings.Contains(found.Message, "SMTP_RELAY_PORT") {
			t.Errorf("%v: exit status %d, %v: %s%s", args, code, err, out.String(), errs.String())
		}
	}
}

// A list that breaks off ends with the error's object, on a line as the others are.
func TestBrokenListJSON(t *testing.T) {
	c := stocked(t)
	found, before := c.failed("", "show", "0cagh3h68onkmkg0", "0cagh3h68onkmkgv", "--json")
	if found.Code != "not_found" || !strings.Contains(before, `"id": "0cagh3h68onkmkg0"`) {
		t.Errorf("show: %+v behind %s", found, before)
	}
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, control.Socket))
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if pages++; pages == 1 {
			_, _ = io.WriteString(w, `{"success":true,"messages":[{"id":"0cagh3h68onkmkg0"}],"next":"0cagh3h68onkmkg0"}`)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"success":false,"message":"The disk failed.","code":"unavailable"}`)
	}))
	server.Listener = listener
	server.Start()
	defer server.Close()
	code, out, errs := console{t, dir}.run("", "queue", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != ExitTempFail || len(lines) != 2 || !strings.HasPrefix(lines[0], `{"id":"0cagh3h68onkmkg0"`) ||
		lines[1] != `{"success":false,"message":"The disk failed.","code":"unavailable","exit":75}` || errs != "dinkymail: The disk failed.\n" {
		t.Errorf("exit status %d: %s%s", code, out, errs)
	}
}

// What was done in part is no success, and the object has both.
func TestDoneInPartJSON(t *testing.T) {
	c := stocked(t)
	found := c.object(ExitNoInput, "hold", "0cagh3h68onkmkg2", "0cagh3h68onkmkgv")
	if failed, _ := found["failed"].([]any); found["success"] != false || found["done"] != 1.0 || len(failed) != 1 {
		t.Errorf("hold: %v", found)
	}
	if found := c.object(0, "release", "0cagh3h68onkmkg2"); found["success"] != true || found["done"] != 1.0 || found["exit"] != nil {
		t.Errorf("release: %v", found)
	}
}
