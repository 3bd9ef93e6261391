//go:build unix

package maildrop

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"dinkymail/message"
	"dinkymail/queue"
)

func number(n int) string { return strconv.Itoa(n) }

const good = `{"from":"ada@example.org","to":[{"address":"bob@example.net"}]}` + "\n" + letter

// Whatever a user puts into the directory, it is neither followed nor waited for, it goes away, and
// the mail beside it arrives.
func TestHostileFiles(t *testing.T) {
	for name, put := range map[string]func(h *house, path string) error{
		"a link": func(h *house, path string) error {
			secret := filepath.Join(h.t.TempDir(), "secret")
			if err := os.WriteFile(secret, []byte(good), 0o600); err != nil {
				return err
			}
			return os.Symlink(secret, path)
		},
		"a second name": func(h *house, path string) error {
			h.write(".other", good)
			return os.Link(h.drop(".other"), path)
		},
		"a FIFO":             func(_ *house, path string) error { return syscall.Mkfifo(path, 0o666) },
		"a directory":        func(_ *house, path string) error { return os.Mkdir(path, 0o700) },
		"an empty file":      content(""),
		"no envelope":        content("Subject: x\r\n\r\n"),
		"no line end":        content(`{"from":"ada@example.org","to":[{"address":"bob@example.net"}]}`),
		"an endless line":    content(strings.Repeat("x", maxEnvelope+100)),
		"no recipient":       content(`{"from":"ada@example.org","to":[]}` + "\n" + letter),
		"too many":           content(`{"from":"","to":[` + strings.TrimSuffix(many(4), ",") + "]}\n" + letter),
		"a line break":       content(`{"from":"ada@example.org\r\nRCPT TO:<x@y>","to":[{"address":"bob@example.net"}]}` + "\n" + letter),
		"a forged parameter": content(`{"from":"a@b.c","to":[{"address":"b@c.d","original":"rfc822;x\r\ny"}]}` + "\n" + letter),
		"a NUL":              content(strings.Replace(good, "Hello Bob", "Hello\x00Bob", 1)),
		"bare line ends":     content(strings.ReplaceAll(good, "\r\n", "\n")),
		"too large":          content(good + strings.Repeat("x", 2<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			bad := queue.NewID()
			if err := put(h, h.drop(string(bad))); err != nil {
				t.Fatal(err)
			}
			h.checkOnlyGoodArrives()
			if _, err := h.queue.Get(bad); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

func content(text string) func(*house, string) error {
	return func(_ *house, path string) error { return os.WriteFile(path, []byte(text), 0o600) }
}

func many(n int) (list string) {
	for i := range n {
		list += fmt.Sprintf(`{"address":"bob%d@example.net"},`, i)
	}
	return list
}

// checkOnlyGoodArrives puts a mail down and expects it to be the one that arrives, with nothing but
// names that begin with a dot left, and one line in the log.
func (h *house) checkOnlyGoodArrives() {
	h.t.Helper()
	id := queue.NewID()
	if err := Put(h.dir, id, envelope(h.t, "ada@example.org", "bob@example.net"), strings.NewReader(letter)); err != nil {
		h.t.Fatal(err)
	}
	h.round()
	if _, err := h.queue.Get(id); err != nil {
		h.t.Errorf("the good one: %v", err)
	}
	for _, name := range h.names(dropDir) {
		if !strings.HasPrefix(name, ".") {
			h.t.Errorf("%q is left", name)
		}
	}
	if n := strings.Count(h.log.String(), "level=WARN"); n != 1 || strings.Count(h.log.String(), "\n") != 1 {
		h.t.Errorf("got %d lines in the log: %s", n, h.log.String())
	}
}

// A name that is none of ours is set aside with its content, and quoted in the log.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"hello", "two\nlines id=forged", "-rf", strings.Repeat("v", 200)} {
		h := newHouse(t)
		h.write(name, good)
		h.checkOnlyGoodArrives()
		if aside := h.names(rejectedDir); len(aside) != 1 {
			t.Errorf("%q: got %v in rejected", name, aside)
		}
	}
}

// A directory with something in it, which we may not move, is named once in the log and stands in
// nobody's way.
func TestFullDirectory(t *testing.T) {
	h := newHouse(t)
	if err := os.MkdirAll(h.drop("full/of/things"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := New(h.queue, h.cfg, h.logger())
	for range 3 {
		d.round(context.Background())
	}
	if n := strings.Count(h.log.String(), "cannot pick up"); n != 1 {
		t.Errorf("said %d times: %s", n, h.log.String())
	}
}

// rejected does not grow for ever.
func TestRejectedIsBounded(t *testing.T) {
	h := newHouse(t)
	for i := range keptAside + 20 {
		h.write("junk"+number(i), "junk")
	}
	h.round()
	if n := len(h.names(rejectedDir)); n != keptAside || len(h.names(dropDir)) > 0 {
		t.Errorf("got %d files, and %d left", n, len(h.names(dropDir)))
	}
}

// FuzzFile: whatever a file says, it is handed in with an envelope that has a recipient's form, or
// it goes away.
func FuzzFile(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"to":[{"address":"ops"}]}` + "\n"))
	f.Add([]byte("Subject: x\r\n\r\n"))
	dir := f.TempDir()
	cfg := Config{Dir: dir, Machine: "box", About: About{Domain: "example.org", MaxMessageBytes: 1 << 20, MaxRecipients: 10}}
	if err := Prepare(cfg, dir); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, dropDir, string(queue.NewID()))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		next := submits(func(_ context.Context, s queue.Submission) (queue.ID, error) {
			for _, r := range s.Envelope.To {
				if again, err := message.ParseLocalAddress(r.Address.String()); err != nil || again != r.Address {
					t.Errorf("to %q: %v", r.Address, err)
				}
			}
			return s.ID, nil
		})
		New(next, cfg, slog.New(slog.DiscardHandler)).round(t.Context())
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%q is still there", text)
		}
	})
}
