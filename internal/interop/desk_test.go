//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"dinkymail/internal/rig"
)

// desk is an appliance on a machine where it is the mail system: the names of Postfix's and Exim's
// programs come first in PATH and find its settings by themselves. What stands in the settings file
// alone can be mended there.
type desk struct {
	t    *testing.T
	a    *rig.Appliance
	sink *rig.Sink
	dir  string            // the binary and its .env
	sbin string            // the links
	env  map[string]string // of .env

	mu      sync.Mutex // guards what follows
	refusal map[string]string
}

// newDesk starts one with settings, and an upstream that takes everything but what refuse says.
func newDesk(t *testing.T, settings map[string]string) *desk {
	t.Helper()
	d := &desk{t: t, refusal: map[string]string{}}
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{Keep: true, Rcpt: d.answer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	d.sink = sink
	d.layOut(rig.Relayed(sink.Addr()), settings)
	run(t, d.a)
	return d
}

// layOut makes the directories and the settings file, and starts nothing.
func (d *desk) layOut(settings ...map[string]string) {
	d.t.Helper()
	binary, err := build()
	if err != nil {
		d.t.Fatal(err)
	}
	d.dir = d.t.TempDir()
	d.sbin = filepath.Join(d.dir, "sbin")
	own := filepath.Join(d.dir, "dinkymail")
	if err := errors.Join(copyFile(binary, own), os.Mkdir(d.sbin, 0o755)); err != nil {
		d.t.Fatal(err)
	}
	if d.a, err = rig.NewAppliance(own, d.dir, nil); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(d.a.Kill)
	d.env = map[string]string{
		"DATA_DIR": d.a.Data, "MAIL_DOMAIN": "example.org", "SMTP_LISTEN": d.a.Submission + "," + d.a.Plain, "HTTP_LISTEN": d.a.HTTP,
		"DEFAULT_FROM": "noreply@example.org", "DEFAULT_TO": "owner@example.org",
	}
	for _, s := range settings {
		maps.Copy(d.env, s)
	}
	d.set("", "")
	d.sh("dinkymail install-links " + d.sbin)
}

// set changes a line of the settings file.
func (d *desk) set(name, value string) {
	d.t.Helper()
	if name != "" {
		d.env[name] = value
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.env)) {
		fmt.Fprintf(&text, "%s=%s\n", name, d.env[name])
	}
	if err := d.a.WriteEnv(text.String()); err != nil {
		d.t.Fatal(err)
	}
}

// refuse gives the answer to RCPT TO for every recipient with part in it; an empty one takes them
// again.
func (d *desk) refuse(part, answer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusal[part] = answer
}

func (d *desk) answer(to string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for part, answer := range d.refusal {
		if strings.Contains(to, part) {
			return answer
		}
	}
	return ""
}

// command is a program on that machine.
func (d *desk) command(stdin, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*patience)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = d.dir, strings.NewReader(stdin)
	cmd.Env = []string{"PATH=" + d.sbin + ":" + d.dir + ":" + os.Getenv("PATH"), "HOME=" + d.dir, "TZ=UTC", "LC_ALL=C.UTF-8"}
	return cmd
}

// status runs a shell script there and returns what it printed, and its exit status.
func (d *desk) status(script string) (string, int) {
	d.t.Helper()
	out, err := d.command("", "sh", "-c", script).CombinedOutput()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		return string(out), ended.ExitCode()
	case err != nil:
		d.t.Fatalf("%s: %v", script, err)
	}
	return string(out), 0
}

// sh is status for a script that ends well.
func (d *desk) sh(script string) string {
	d.t.Helper()
	out, status := d.status(script)
	if status != 0 {
		d.t.Fatalf("%s: status %d\n%s", script, status, out)
	}
	return out
}

var queuedAs = regexp.MustCompile(`^queued as ([0-9a-v]{16})\n$`)

// send hands a mail in with sendmail and returns its ID.
func (d *desk) send(from, to, subject string) string {
	d.t.Helper()
	out := d.sh("printf 'To: " + to + "\\nSubject: " + subject + "\\n\\nHello\\n' | sendmail -v -t -f '" + from + "'")
	id := queuedAs.FindStringSubmatch(out)
	if id == nil {
		d.t.Fatalf("sendmail says %s", out)
	}
	return id[1]
}

// deferred waits until so many messages wait for another attempt.
func (d *desk) deferred(n int) {
	d.t.Helper()
	want := strings.Repeat("deferred\n", n)
	count := "dinkymail queue --json | jq -r .status"
	if !rig.Settles(patience, func() bool { return d.sh(count) == want }) {
		d.t.Fatalf("%d messages should be deferred:\n%s", n, d.sh("dinkymail queue"))
	}
}

// private runs a script in a mount namespace in which /usr/sbin holds nothing but the links and the
// programs given, and /run and cron's directories are empty: for programs that look for others
// where they always are.
func (d *desk) private(t *testing.T, script string, programs ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "only root can mount in a namespace of its own")
	}
	unshare := tool(t, "unshare", "util-linux")
	for _, p := range programs {
		if err := copyFile(p, filepath.Join(d.sbin, filepath.Base(p))); err != nil {
			missing(t, err.Error())
		}
	}
	mounts := "set -e; mount --bind " + d.sbin + " /usr/sbin; for dir in /run /var/spool/cron /etc/cron.d; do " +
		"if [ -d $dir ]; then mount -t tmpfs none $dir; fi; done\n"
	if out, err := d.command("", unshare, "-m", "--propagation", "private", "sh", "-c", mounts).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no mounts in a namespace: %v %s", err, out))
	}
	return d.command("", unshare, "-m", "--propagation", "private", "sh", "-c", mounts+script)
}
