package sendmail

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/cli/world"
	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// appliance is one in this process: a queue, a submit socket, a maildrop.
type appliance struct {
	t     *testing.T
	dir   string // SUBMIT_DIR
	drop  maildrop.Config
	queue *queue.Queue
	stop  func()
}

// newAppliance makes one that does not run yet.
func newAppliance(t *testing.T, cfg queue.Config) *appliance {
	t.Helper()
	data, err := os.MkdirTemp("", "sm") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	a := &appliance{t: t, dir: filepath.Join(data, "submit")}
	a.drop = maildrop.Config{Dir: a.dir, Machine: "box", About: maildrop.About{Domain: "example.org", MaxMessageBytes: 4 << 20, MaxRecipients: 50}}
	if err := maildrop.Prepare(a.drop, data); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	cfg.Hostname, cfg.Domain, cfg.MaxMessageBytes, cfg.MaxRecipients = "mail.example.org", "example.org", 4<<20, 50
	a.queue = queue.New(store, nil, cfg, log)
	return a
}

// start serves the submit socket until stop.
func (a *appliance) start() *appliance {
	a.t.Helper()
	ln, err := net.Listen("unix", maildrop.Socket(a.dir))
	if err != nil {
		a.t.Fatal(err)
	}
	taker := operate.New(a.queue, operate.Parts{Machine: "box"})
	grace := func() time.Duration { return 10 * time.Second }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- maildrop.Serve(ctx, ln, taker, grace, slog.New(slog.DiscardHandler)) }()
	a.stop = func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Error(err)
		}
	}
	a.t.Cleanup(func() { a.stop() })
	return a
}

// result is what a run said.
type result struct {
	status   int
	out, err string
}

// sendmail runs the program as the user ada.
func (a *appliance) sendmail(stdin string, args ...string) result {
	a.t.Helper()
	return run(a.t, world.World{Environ: []string{"DINKYMAIL_SUBMIT_DIR=" + a.dir, "HOME=" + a.t.TempDir()}}, stdin, args...)
}

func run(t *testing.T, w world.World, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	w.In, w.Out, w.Err = strings.NewReader(stdin), &out, &errs
	w.User = &user.User{Username: "ada", Name: "Ada Lovelace,,,"}
	status := Run(context.Background(), "sendmail", args, w)
	return result{status, out.String(), errs.String()}
}

// one is the only message in the queue, and its body without the Received field, Date and
// Message-ID.
func (a *appliance) one() (queue.Message, string) {
	a.t.Helper()
	list, err := a.queue.List(context.Background(), queue.Filter{}, "", 10)
	if err != nil || len(list) != 1 {
		a.t.Fatalf("got %d messages, %v", len(list), err)
	}
	body, err := a.queue.Body(list[0].ID)
	if err != nil {
		a.t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		a.t.Fatal(err)
	}
	header, rest, _ := strings.Cut(string(text), "\r\n\r\n")
	var kept []string
	skip := false
	for _, line := range strings.Split(header, "\r\n") {
		if !strings.HasPrefix(line, " ") {
			name, _, _ := strings.Cut(line, ":")
			skip = name == "Received" || name == "Date" || name == "Message-ID"
		}
		if !skip {
			kept = append(kept, line)
		}
	}
	return list[0], strings.ReplaceAll(strings.Join(append(kept, ""), "\r\n")+"\r\n"+rest, "\r\n", "\n")
}

// empty expects that nothing was accepted.
func (a *appliance) empty() {
	a.t.Helper()
	if list, err := a.queue.List(context.Background(), queue.Filter{}, "", 10); err != nil || len(list) > 0 {
		a.t.Errorf("got %d messages, %v", len(list), err)
	}
}

func recipients(e message.Envelope) string {
	var all []string
	for _, r := range e.To {
		all = append(all, r.Address.String())
	}
	return strings.Join(all, " ")
}
