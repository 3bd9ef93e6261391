package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/smtptest"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/relay"
)

// running is a console for an appliance that delivers to a next hop which follows a script.
func running(t *testing.T, rules ...smtptest.Rule) console {
	t.Helper()
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(rules...)
	dir := t.TempDir()
	next := relay.New(relay.Config{Host: hop.Host(), Port: hop.Port(), Hostname: "mail.example.com"}, slog.New(slog.DiscardHandler))
	q, o, closeStore, err := open(dir, next)
	if err != nil {
		t.Fatal(err)
	}
	unlisten, err := listen(dir, q, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(unlisten(), <-ended, next.Close(), closeStore()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return console{t, dir}
}

// watcher is a dinkymail watch that runs.
type watcher struct {
	t     *testing.T
	lines chan string
}

// watch runs dinkymail watch. It returns once it has seen an event.
func (c console) watch(args ...string) *watcher {
	c.t.Helper()
	out, in := io.Pipe()
	var errs strings.Builder
	w := worldOf(nil, in, &errs, []string{"MAIL_DOMAIN=example.com", "DATA_DIR=" + c.dir})
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- w.Run(ctx, append([]string{"watch"}, args...))
		_ = in.Close()
	}()
	seen := &watcher{c.t, make(chan string, 100)}
	go func() {
		defer close(seen.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			seen.lines <- lines.Text()
		}
	}()
	c.t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			c.t.Errorf("watch ended with %d: %s", code, errs.String())
		}
	})
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		c.run("", "pause", "intake")
		c.run("", "resume", "intake")
		select {
		case <-seen.lines:
			tick.Stop()
			return seen
		default:
		}
	}
}

// until waits for a line that matches.
func (w *watcher) until(pattern string) string {
	w.t.Helper()
	wanted := regexp.MustCompile(pattern)
	var seen []string
	for patience := time.After(20 * time.Second); ; {
		select {
		case line, ok := <-w.lines:
			if !ok {
				w.t.Fatalf("watch ended before a line with %s", pattern)
			}
			if wanted.MatchString(line) {
				return line
			}
			seen = append(seen, line)
		case <-patience:
			w.t.Fatalf("no line with %s came, but\n%s", pattern, strings.Join(seen, "\n"))
		}
	}
}

// A stuck mail is seen, understood and mended with the commands that each output names.
func TestAStuckMailIsMended(t *testing.T) {
	c := running(t, smtptest.Rule{Stage: smtptest.Rcpt, Answer: smtptest.Reply("451 4.7.1 greylisted"), Times: 1})
	w := c.watch()
	code, out, errs := c.run("", "send-test", "bob@example.net")
	if code != 0 {
		t.Fatalf("send-test: %d %s", code, errs)
	}
	id := regexp.MustCompile("[0-9a-v]{16}").FindString(out)
	w.until("queued +" + id + "  noreply@example.com → bob@example.net  [0-9.]+ k?B$")
	w.until("deferred +" + id + "  .*451 4.7.1 greylisted; again in [0-9]+[sm]$")
	if _, out, _ = c.run("", "queue"); !regexp.MustCompile(id + " .* bob@example.net +451 4.7.1 greylisted\n$").MatchString(out) {
		t.Errorf("queue says\n%s", out)
	}
	_, out, _ = c.run("", "show", id)
	for _, want := range []string{"said: 451 4.7.1 greylisted\n", "deferred at rcpt: 451", "C: RCPT TO:<bob@example.net>", "dinkymail retry " + id} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
	if code, _, errs := c.run("", "retry", id); code != 0 {
		t.Errorf("retry: %d %s", code, errs)
	}
	w.until("delivered +" + id)
	if _, out, _ = c.run("", "show", id); !strings.HasPrefix(out, id+"  delivered\n") {
		t.Errorf("show says\n%s", out)
	}
	if code, out, errs := c.run("", "health"); code != 0 || out != "ok\n" {
		t.Errorf("health: %d %s%s", code, out, errs)
	}
}

// Who removes what is being handed over is told that it may be too late, and show then tells of
// that attempt.
func TestRemovedTooLate(t *testing.T) {
	t.Parallel()
	c := running(t, smtptest.Rule{Stage: smtptest.Rcpt, Answer: smtptest.Answer{}.After(3 * time.Second)})
	w := c.watch()
	_, out, _ := c.run("", "send-test", "bob@example.net")
	id := regexp.MustCompile("[0-9a-v]{16}").FindString(out)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.HasPrefix(out, id+"  active\n") { // the test's own deadline ends this
		<-tick.C
		_, out, _ = c.run("", "show", id)
	}
	_, out, _ = c.run("", "remove", id)
	if want := "Removed " + id + ". It is being handed over now and may be delivered all the same. dinkymail undo"; !strings.HasPrefix(out, want) {
		t.Errorf("remove says %q", out)
	}
	if _, _, errs := c.run("", "hold", id); !strings.Contains(errs, "in the trash") {
		t.Errorf("hold says %q", errs)
	}
	w.until("delivered +" + id)
	_, out, _ = c.run("", "show", id)
	if !strings.HasPrefix(out, id+"  delivered\n") || !strings.Contains(out, "\nAttempts\n") {
		t.Errorf("show says\n%s", out)
	}
}

// How many come too late is said in a sentence.
func TestTooLate(t *testing.T) {
	for _, c := range []struct {
		done, active int
		want         string
	}{
		{5, 0, ""},
		{1, 1, " It is being handed over now and may be delivered all the same."},
		{5, 1, " 1 of them is being handed over now and may be delivered all the same."},
		{5000, 1200, " 1,200 of them are being handed over now and may be delivered all the same."},
	} {
		if got := tooLate(operate.ActionResult{Done: c.done, Active: c.active}); got != c.want {
			t.Errorf("%d of %d: %q", c.active, c.done, got)
		}
	}
}

// What the answer leaves out is counted; of what was named nothing is.
func TestFailures(t *testing.T) {
	r := operate.ActionResult{Matched: 7, Done: 2, Failed: []operate.ActionError{{ID: "0cagh3h68onkmkg0", Missing: true}}}
	if err := failures(operate.Action{}, r); !strings.Contains(err.Error(), "and 4 more") {
		t.Errorf("of a selection: %v", err)
	}
	named := operate.Action{Selection: queue.Selection{IDs: []queue.ID{"0cagh3h68onkmkg0"}}}
	if err := failures(named, r); strings.Contains(err.Error(), "more") {
		t.Errorf("of what was named: %v", err)
	}
}

// With --json every event is an object on a line of its own.
func TestWatchJSON(t *testing.T) {
	c := running(t)
	w := c.watch("--json")
	c.run("", "send-test", "bob@example.net")
	var e queue.Event
	line := w.until(`"kind":"delivered"`)
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.To != "bob@example.net" || !e.ID.Valid() {
		t.Errorf("%s: %v", line, err)
	}
}
