package postfix

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/httpapi"
	"dinkymail/internal/stock"
	"dinkymail/operate"
)

// environ is what the settings in tests are made of.
var environ = []string{
	"MAIL_DOMAIN=example.org", "MAIL_HOSTNAME=mail.example.org", "ENVIRONMENT=production", "DATA_DIR=/var/lib/dinkymail",
	"SMTP_RELAY_HOST=smtp.example.net", "SMTP_RELAY_USERNAME=ada", "SMTP_RELAY_PASSWORD=very secret",
	"DEFAULT_TO=owner@example.com",
	"ALIASES_FILE=testdata/aliases", "VIRTUAL_FILE=testdata/virtual",
}

// step is one command line and what it reads.
type step struct{ line, in string }

// lives is where commands of tests live.
func lives(open func(context.Context) (operate.Operator, func(), error), in string) (w world.World, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return world.World{
		In: strings.NewReader(in), Out: out, Err: err, Now: func() time.Time { return time.Now().UTC() }, Version: "1.2.3", Open: open,
		Settings: func() (*config.Settings, error) { return config.Load(environ, os.DevNull) },
	}, out, err
}

func to(s *stock.Stock) func(context.Context) (operate.Operator, func(), error) {
	return func(context.Context) (operate.Operator, func(), error) { return s.Client, func() {}, nil }
}

// health asks the public API of the same queue.
func health(s *stock.Stock) func(context.Context) (httpapi.Health, error) {
	return func(context.Context) (h httpapi.Health, err error) {
		w := httptest.NewRecorder()
		httpapi.New(s.Queue, httpapi.Config{}, slog.New(slog.DiscardHandler)).Trusted().ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
		return h, json.Unmarshal(w.Body.Bytes(), &h)
	}
}

// transcript runs the steps one after the other and compares what they print, standard error marked
// with "! ", and their exit statuses with a file.
func transcript(t *testing.T, s *stock.Stock, file string, steps ...step) {
	t.Helper()
	var b strings.Builder
	for _, st := range steps {
		w, out, err := lives(to(s), st.in)
		w.Health = health(s)
		words := strings.Fields(st.line)
		status := Run(t.Context(), words[0], words[1:], w)
		fmt.Fprintf(&b, "$ %s\n%s", st.line, out)
		for line := range strings.Lines(err.String()) {
			b.WriteString("! " + line)
		}
		fmt.Fprintf(&b, "[%d]\n\n", status)
		if s != nil {
			synctest.Wait() // what was set going comes to its end
		}
	}
	golden(t, file, notice.ReplaceAllString(b.String(), "03e6nxxxxxxxxxxx"))
}

// notice is the ID of a notice that the queue made itself, in the year 2000.
var notice = regexp.MustCompile(`\b03e6n[0-9a-v]{11}\b`)

// golden compares got with a file of testdata, which UPDATE=1 rewrites.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nUPDATE=1 go test accepts it", path, got, want)
	}
}

// mixed runs what it is given on a queue of its own, in a bubble.
func mixed(t *testing.T, test func(t *testing.T, s *stock.Stock)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, stock.Mixed(t)) })
}
