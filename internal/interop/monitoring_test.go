//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// plugins is where Debian has the monitoring plugins.
const plugins = "/usr/lib/nagios/plugins"

// checkMailq is the plugin with utils.pm, the file of a site's paths, saying that mailq is ours.
func (d *desk) checkMailq() string {
	d.t.Helper()
	utils, err := os.ReadFile(filepath.Join(plugins, "utils.pm"))
	if err != nil {
		missing(d.t, "check_mailq: monitoring-plugins-standard")
	}
	tool(d.t, filepath.Join(plugins, "check_mailq"), "monitoring-plugins-standard")
	path := regexp.MustCompile(`(?m)^(\$PATH_TO_MAILQ\s*=).*$`)
	if !path.Match(utils) {
		d.t.Fatal("utils.pm says nothing of mailq")
	}
	utils = path.ReplaceAll(utils, []byte(`${1} "`+d.sbin+`/mailq";`))
	site := filepath.Join(d.dir, "check_mailq")
	if err := os.WriteFile(filepath.Join(d.dir, "utils.pm"), utils, 0o644); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(plugins, "check_mailq"), site); err != nil {
		d.t.Fatal(err)
	}
	return site
}

// check_mailq, as every Nagios and Icinga has it, counts the queue and warns when it should; it
// goes critical when the queue cannot be read, and works while the appliance is down.
func TestCheckMailq(t *testing.T) {
	d := newDesk(t, nil)
	check := d.checkMailq() + " -M postfix -w 2 -c 4 2>/dev/null"
	expect := func(status int, text string) {
		t.Helper()
		if out, got := d.status(check); got != status || !strings.HasPrefix(out, text) {
			t.Errorf("got status %d, want %d and %s: %s", got, status, text, out)
		}
	}
	expect(0, "OK: postfix mailq reports queue is empty|unsent=0;2;4;0")
	d.refuse("@grey.example", "451 4.7.1 Greylisted")
	for n, want := range []struct {
		status int
		text   string
	}{{0, "OK: postfix mailq (1)"}, {1, "WARNING: postfix mailq is 2"}, {1, "WARNING: postfix mailq is 3"}, {2, "CRITICAL: postfix mailq is 4"}} {
		d.send("shop@example.org", fmt.Sprintf("bob%d@grey.example", n), "Hello")
		expect(want.status, want.text)
	}
	if err := d.a.Stop(); err != nil {
		t.Fatal(err)
	}
	expect(2, "CRITICAL: postfix mailq is 4")
	if err := os.Rename(d.a.Data, d.a.Data+".away"); err != nil {
		t.Fatal(err)
	}
	expect(2, "CRITICAL: Error code 69")
}

// Prometheus reads our metrics and takes our alert rules, and no rule and no panel asks for a
// metric that is not there.
func TestPrometheus(t *testing.T) {
	certs := certificates(t)
	sink := farEnd(t)
	settings := rig.Relayed(sink.Addr())
	settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = certs.Cert, certs.Key
	a := appliance(t, settings)
	m := submit(t, a, "for-prometheus")
	arrives(t, sink, m.subject)
	if !rig.Settles(patience, func() bool {
		n, err := a.Metric(`dinkymail_recipients_total{outcome="delivered"}`)
		return err == nil && n == 1
	}) {
		t.Error("the delivery was not counted")
	}
	metrics := scrape(t, a)
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	rules, dashboard := filepath.Join(root, "deploy", "prometheus-alerts.yml"), filepath.Join(root, "deploy", "grafana-dashboard.json")
	for _, file := range []string{rules, dashboard} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bdinkymail_[a-z_]+\b`).FindAllString(string(text), -1)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !regexp.MustCompile(`(?m)^` + name + `[ {]`).Match(metrics) {
				t.Errorf("%s asks for %s, which is not in /metrics", filepath.Base(file), name)
			}
		}
	}
	promtool := tool(t, "promtool", "Debian's prometheus")
	client(t, promtool, "check", "rules", rules)
	d := &desk{t: t, dir: t.TempDir()}
	lint := d.command("", promtool, "check", "metrics")
	lint.Stdin = bytes.NewReader(metrics)
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func scrape(t *testing.T, a *rig.Appliance) []byte {
	t.Helper()
	resp, err := http.Get("http://" + a.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s %v", resp.Status, err)
	}
	return text
}
