//go:build unix

package maildrop

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

func TestMain(m *testing.M) {
	child()
	goleak.VerifyTestMain(m)
}

// house is a place with an appliance's queue behind it.
type house struct {
	t     *testing.T
	dir   string
	cfg   Config
	queue *queue.Queue
	log   strings.Builder
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, dir: filepath.Join(dir, "submit")}
	h.cfg = Config{Dir: h.dir, Machine: "box.example.org", About: About{Domain: "example.org", MaxMessageBytes: 1 << 20, MaxRecipients: 3}}
	if err := Prepare(h.cfg, dir); err != nil {
		t.Fatal(err)
	}
	h.queue = h.newQueue(queue.Config{MaxMessageBytes: 1 << 20, MaxRecipients: 3})
	return h
}

func (h *house) newQueue(cfg queue.Config) *queue.Queue {
	h.t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(h.t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { store.Close() })
	cfg.Hostname, cfg.Domain = "mail.example.org", "example.org"
	return queue.New(store, nil, cfg, log)
}

// round looks at the directory once, as a new process of the appliance does.
func (h *house) round() {
	h.t.Helper()
	New(h.queue, h.cfg, h.logger()).round(context.Background())
}

func (h *house) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// drop is the path of a name in the maildrop.
func (h *house) drop(name string) string { return filepath.Join(h.dir, dropDir, name) }

// write makes a file in the maildrop without the help of Put.
func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.drop(name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// names lists a directory of the place.
func (h *house) names(dir string) []string {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, dir))
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// accepted are the bodies of what the queue has.
func (h *house) accepted() map[queue.ID]string {
	h.t.Helper()
	list, err := h.queue.List(context.Background(), queue.Filter{}, "", 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[queue.ID]string{}
	for _, m := range list {
		body, err := h.queue.Body(m.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			h.t.Fatal(err)
		}
		body.Close()
		all[m.ID] = string(text)
	}
	return all
}

func envelope(t testing.TB, from string, to ...string) message.Envelope {
	t.Helper()
	e := message.Envelope{}
	var err error
	if from != "" {
		if e.From, err = message.ParseLocalAddress(from); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range to {
		a, err := message.ParseLocalAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		e.To = append(e.To, message.Recipient{Address: a})
	}
	return e
}

const letter = "Subject: hello\r\n\r\nHello Bob\r\n"
