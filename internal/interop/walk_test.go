//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// walk is a session at a terminal, as it is written down.
type walk struct {
	*desk
	text strings.Builder
}

// types runs a command at a terminal of 125 columns and notes it with what it printed.
func (w *walk) types(command string) string {
	w.t.Helper()
	file := filepath.Join(w.dir, "typed")
	if err := os.WriteFile(file, []byte("stty -echo cols 125; export NO_COLOR=1\n"+command+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	out, _ := w.status("TERM=dumb script -qec 'sh " + file + "' /dev/null </dev/null")
	out = strings.NewReplacer("\r\n", "\n", "^D\b\b", "").Replace(out)
	fmt.Fprintf(&w.text, "$ %s\n%s", command, out)
	return out
}

// remarks notes what the operator does elsewhere.
func (w *walk) remarks(text string) { fmt.Fprintf(&w.text, "$ # %s\n", text) }

// sees expects texts in what a command printed.
func (w *walk) sees(out string, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			w.t.Errorf("no %q in\n%s", text, out)
		}
	}
}

// Two mails do not arrive, one because the password is wrong, one because its recipient is refused
// for now. What is wrong, and what to do, stands on the screen each time; docs/operate.md shows
// this walk.
func TestWalk(t *testing.T) {
	certs := certificates(t)
	config, err := certs.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, refusal: map[string]string{"carol@": "450 4.2.1 <carol@example.net>: mailbox is busy, try again later"}}
	d.sink, err = rig.NewSink("127.0.0.1:0", rig.SinkConfig{Keep: true, Rcpt: d.answer, TLS: config, Login: [2]string{"shop", "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.sink.Close() })
	d.layOut(map[string]string{"SMTP_RELAY_HOST": "localhost", "SMTP_RELAY_PORT": rig.Port(d.sink.Addr()), "SMTP_RELAY_CA_FILE": certs.CA,
		"SMTP_RELAY_USERNAME": "shop", "SMTP_RELAY_PASSWORD": "Secret"})
	run(t, d.a)
	w := &walk{desk: d}
	invoice := d.send("billing@example.org", "carol@example.net", "Invoice 7")
	d.send("billing@example.org", "bob@example.net", "Invoice 8")
	waitLog(t, d.a, "lane waits")

	w.sees(w.types("dinkymail queue"), invoice, "535 5.7.8")
	w.sees(w.types("dinkymail doctor | grep -A 2 ' error '"), "auth", "SMTP_RELAY_PASSWORD")
	w.remarks("the password begins with a small letter, which is soon mended in .env")
	d.set("SMTP_RELAY_PASSWORD", "secret")
	if err := d.a.Reload(); err != nil {
		t.Fatal(err)
	}
	w.remarks("systemctl reload dinkymail")
	arrives(t, d.sink, "Invoice 8")
	d.deferred(1)
	w.sees(w.types("dinkymail queue"), invoice, "450 4.2.1")
	w.sees(w.types("dinkymail show "+invoice), "mailbox is busy", "C: RCPT TO:<carol@example.net>", "dinkymail retry "+invoice)
	d.refuse("carol@", "")
	w.types("dinkymail retry " + invoice)
	arrives(t, d.sink, "Invoice 7")
	if !rig.Settles(patience, func() bool { return strings.HasPrefix(d.sh("dinkymail show "+invoice), invoice+"  delivered") }) {
		t.Error("it is not delivered")
	}
	w.types("dinkymail show " + invoice)
	w.compare()
}

// place is where docs/operate.md shows the walk.
var place = regexp.MustCompile("(?s)(\n## When a mail does not arrive\n.*?\n```console\n)(.*?)(```\n)")

// compare fails the test when docs/operate.md shows another walk than this one, but for its times.
// UPDATE=1 writes this one there.
func (w *walk) compare() {
	w.t.Helper()
	root, err := rig.Root()
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(root, "docs", "operate.md")
	page, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	now := strings.ReplaceAll(w.text.String(), ":"+rig.Port(w.sink.Addr()), ":587")
	at := place.FindSubmatchIndex(page)
	switch {
	case at == nil:
		w.t.Fatalf("%s has no place for\n%s", file, now)
	case os.Getenv("UPDATE") != "":
		if err := os.WriteFile(file, slices.Concat(page[:at[4]], []byte(now), page[at[5]:]), 0o644); err != nil {
			w.t.Error(err)
		}
	case timeless(string(page[at[4]:at[5]])) != timeless(now):
		w.t.Errorf("%s shows another walk (UPDATE=1 writes this one):\n%s", file, now)
	}
}

var passing = regexp.MustCompile(`\b[0-9a-v]{16}\b|\d\d:\d\d:\d\d|\b\d+ [A-Z][a-z][a-z]\b|just now|\bTLS_[0-9A-Z_]+|\b[0-9.]+( ?[mµ]s|[smh])( ago)?\b| +`)

// timeless is a text with blanks for the times, durations and IDs in it, and for other blanks.
func timeless(text string) string {
	return strings.Join(strings.Fields(passing.ReplaceAllString(text, " ")), " ")
}
