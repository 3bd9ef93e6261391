//go:build unix

package maildrop

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// Mail that was put down is accepted under its ID, with its envelope as it was and addresses
// completed, and its file goes.
func TestMailIsPickedUp(t *testing.T) {
	h := newHouse(t)
	e := envelope(t, "root", "bob@example.net", "ops")
	e.To[0].Notify, e.To[0].Original, e.Ret, e.ID = message.NotifyFailure|message.NotifyDelay, "rfc822;bob@example.net", "HDRS", "x 1"
	id := queue.NewID()
	if err := Put(h.dir, id, e, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	h.round()
	m, err := h.queue.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	want := e
	want.From.Domain, want.To = "box.example.org", slices.Clone(e.To)
	want.To[1].Domain = "example.org"
	if got := m.Envelope; got.From != want.From || !slices.Equal(got.To, want.To) || got.Ret != "HDRS" || got.ID != "x 1" {
		t.Errorf("got envelope %+v, want %+v", got, want)
	}
	if o := m.Origin; o.Door != "sendmail" || !strings.HasPrefix(o.Client, "unix:") || o.User == "" {
		t.Errorf("got origin %+v", o)
	}
	if text := h.accepted()[id]; !strings.Contains(text, "Subject: hello\r\n") || !strings.HasSuffix(text, "\r\n\r\nHello Bob\r\n") ||
		!strings.Contains(text, "authenticated as "+m.Origin.User) {
		t.Errorf("got %q", text)
	}
	if left := h.names(dropDir); len(left) > 0 || h.log.Len() > 0 {
		t.Errorf("left %v, log %s", left, h.log.String())
	}
}

// A file that is still there after its mail was accepted, because the appliance was killed in
// between, is not accepted again.
func TestMailIsAcceptedOnce(t *testing.T) {
	h := newHouse(t)
	id := queue.NewID()
	for range 2 {
		if err := Put(h.dir, id, envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(letter)); err != nil {
			t.Fatal(err)
		}
		h.round()
	}
	if n := len(h.accepted()); n != 1 || len(h.names(dropDir)) > 0 {
		t.Errorf("got %d messages, and %v left", n, h.names(dropDir))
	}
}

// A mail that was written while the clock was ahead keeps its ID: under another one a crash before
// its file is gone would send it twice.
func TestClockThatWasAhead(t *testing.T) {
	h := newHouse(t)
	const future = "7vvvvvvvvvvvvvvv"
	for range 2 {
		if err := Put(h.dir, future, envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(letter)); err != nil {
			t.Fatal(err)
		}
		h.round()
	}
	if got := h.accepted(); len(got) != 1 || got[future] == "" || len(h.names(dropDir)) > 0 {
		t.Errorf("got %d mails, left %v", len(got), h.names(dropDir))
	}
}

// One mail that does not fit now waits, and what is larger with it; the others go on. What keeps
// all of them out is asked once.
func TestMailThatDoesNotFitKeepsNoneBack(t *testing.T) {
	h := newHouse(t)
	var ids []queue.ID
	for _, size := range []int{1, 5000, 1, 9000, 1} {
		ids = append(ids, queue.NewID())
		body := letter + strings.Repeat("a line of text\r\n", size/16)
		if err := Put(h.dir, ids[len(ids)-1], envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	next := &narrow{next: h.queue, most: 2000}
	New(next, h.cfg, h.logger()).round(context.Background())
	if left := h.names(dropDir); !slices.Equal(left, []string{string(ids[1]), string(ids[3])}) || next.asked != 4 {
		t.Errorf("left %v of %v after %d were handed in", left, ids, next.asked)
	}
	if n := strings.Count(h.log.String(), "mail waits in the maildrop"); n != 1 {
		t.Errorf("said %d times: %s", n, h.log.String())
	}
	d := New(&moody{next: h.queue, err: queue.ErrPaused}, h.cfg, h.logger())
	d.round(context.Background())
	if len(h.names(dropDir)) != 2 || !d.closed {
		t.Errorf("left %v", h.names(dropDir))
	}
}

// narrow has room for small mail alone.
type narrow struct {
	next  Submitter
	most  int
	asked int
}

func (n *narrow) Submit(ctx context.Context, s queue.Submission) (queue.ID, error) {
	n.asked++
	body, err := io.ReadAll(s.Body)
	if err != nil {
		return "", err
	}
	if len(body) > n.most {
		return "", queue.ErrFull
	}
	s.Body = strings.NewReader(string(body))
	return n.next.Submit(ctx, s)
}

// Once as much waits as may, no more is put down until some of it is gone.
func TestMaildropHasLimits(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"messages": func(c *Config) { c.MaxMessages = 2 },
		"bytes":    func(c *Config) { c.MaxBytes = 150 },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			limit(&h.cfg)
			next := &moody{next: h.queue, err: queue.ErrPaused}
			d := New(next, h.cfg, h.logger())
			put := func() error {
				return Put(h.dir, queue.NewID(), envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(letter))
			}
			if err := errors.Join(put(), put()); err != nil {
				t.Fatal(err)
			}
			d.round(context.Background())
			if err := put(); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "2 mails") {
				t.Errorf("got %v", err)
			}
			next.err = nil
			d.round(context.Background())
			if err := put(); err != nil || len(h.accepted()) != 2 {
				t.Errorf("got %v with %d accepted", err, len(h.accepted()))
			}
		})
	}
}

// A writer that fails, or is killed, leaves nothing that is picked up, and its rest goes after a
// day.
func TestHalfWrittenMail(t *testing.T) {
	h := newHouse(t)
	half := io.MultiReader(strings.NewReader("Subject: half\r\n"), iotest.ErrReader(errors.New("killed")))
	if err := Put(h.dir, queue.NewID(), envelope(t, "ada@example.org", "bob@example.net"), half); err == nil {
		t.Fatal("no error")
	}
	if left := h.names(dropDir); len(left) > 0 {
		t.Fatalf("left %v", left)
	}
	h.write(".killed", `{"from":"ada@example.org","to":[{"address":"bob@example.net"}]}`+"\nSubject: half\r\n")
	h.round()
	if len(h.accepted()) > 0 || len(h.names(dropDir)) != 1 {
		t.Fatal("half a mail was picked up, or taken away while it may still be written")
	}
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(h.drop(".killed"), old, old); err != nil {
		t.Fatal(err)
	}
	h.round()
	if len(h.accepted()) > 0 || len(h.names(dropDir)) > 0 {
		t.Errorf("got %d messages, and %v left", len(h.accepted()), h.names(dropDir))
	}
}

// While nothing is accepted mail stays, which is said once; then it is accepted.
func TestMailWaits(t *testing.T) {
	h := newHouse(t)
	if err := Put(h.dir, queue.NewID(), envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	next := &moody{next: h.queue, err: queue.ErrFull}
	d := New(next, h.cfg, h.logger())
	for range 3 {
		d.round(context.Background())
	}
	if n := strings.Count(h.log.String(), "mail waits in the maildrop"); n != 1 || len(h.names(dropDir)) != 1 {
		t.Errorf("said %d times, left %v", n, h.names(dropDir))
	}
	next.err = nil
	d.round(context.Background())
	if len(h.accepted()) != 1 || len(h.names(dropDir)) > 0 {
		t.Errorf("got %d messages, left %v", len(h.accepted()), h.names(dropDir))
	}
}

// What one file meets does not keep the others.
func TestOneBadFileDoesNotStopOthers(t *testing.T) {
	h := newHouse(t)
	first, second := queue.NewID(), queue.NewID()
	for _, id := range []queue.ID{first, second} {
		if err := Put(h.dir, id, envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(letter)); err != nil {
			t.Fatal(err)
		}
	}
	d := New(&moody{next: h.queue, err: errors.New("input/output error"), only: first}, h.cfg, h.logger())
	for range 3 {
		d.round(context.Background())
	}
	if n := strings.Count(h.log.String(), "cannot pick up"); n != 1 {
		t.Errorf("said %d times: %s", n, h.log.String())
	}
	if _, err := h.queue.Get(second); err != nil || !slices.Equal(h.names(dropDir), []string{string(first)}) {
		t.Errorf("the other: %v; left %v", err, h.names(dropDir))
	}
}

// moody refuses mail, or one mail, while it has an error.
type moody struct {
	next Submitter
	err  error
	only queue.ID
}

func (m *moody) Submit(ctx context.Context, s queue.Submission) (queue.ID, error) {
	if m.err != nil && (m.only == "" || m.only == s.ID) {
		return "", m.err
	}
	return m.next.Submit(ctx, s)
}

// Run looks every two seconds, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithCancel(context.Background())
		d := New(h.queue, h.cfg, h.logger())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		synctest.Wait()
		if err := Put(h.dir, queue.NewID(), envelope(t, "ada@example.org", "bob@example.net"), strings.NewReader(letter)); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second)
		if left := h.names(dropDir); len(left) > 0 {
			t.Errorf("left %v", left)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Put says by its error what is wrong with the place, and does not replace a mail that waits.
func TestPutErrors(t *testing.T) {
	h := newHouse(t)
	e := envelope(t, "ada@example.org", "bob@example.net")
	id := queue.NewID()
	for _, want := range []error{nil, fs.ErrExist} {
		if err := Put(h.dir, id, e, strings.NewReader(letter)); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if err := Put(filepath.Join(h.dir, "none"), id, e, strings.NewReader(letter)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no place: got %v", err)
	}
	if err := Put(h.dir, "../../../tmp/x", e, strings.NewReader(letter)); err == nil {
		t.Error("a path was taken for an ID")
	}
	if names := h.names(dropDir); !slices.Equal(names, []string{string(id)}) {
		t.Errorf("got %v", names)
	}
}

// The place is closed to everybody without a group; with one it has the rights that the package
// comment names, DATA_DIR above it can be passed through, and about.json is there.
func TestPrepare(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	cfg := Config{Dir: filepath.Join(data, "in", "submit"), About: About{Domain: "example.org", MaxMessageBytes: 1 << 20, MaxRecipients: 10}}
	check := func(want map[string]fs.FileMode) {
		t.Helper()
		for name, mode := range want {
			info, err := os.Stat(filepath.Join(data, name))
			if err != nil || info.Mode()&^fs.ModeDir != mode {
				t.Errorf("%s: got %v, %v, want %v", name, info.Mode(), err, mode)
			}
		}
	}
	if err := Prepare(cfg, data); err != nil {
		t.Fatal(err)
	}
	check(map[string]fs.FileMode{".": 0o700, "in": 0o700, "in/submit": 0o700, "in/submit/maildrop": 0o700, "in/submit/about.json": 0o640})
	groups, err := os.Getgroups()
	if err != nil || len(groups) == 0 {
		groups = []int{os.Getgid()}
	}
	cfg.Group = number(groups[0])
	if err := Prepare(cfg, data); err != nil {
		t.Fatal(err)
	}
	check(map[string]fs.FileMode{".": 0o711, "in": 0o711, "in/submit": 0o750, "in/submit/maildrop": 0o730 | fs.ModeSticky,
		"in/submit/rejected": 0o700, "in/submit/about.json": 0o640})
	if a, err := ReadAbout(cfg.Dir); err != nil || a != cfg.About {
		t.Errorf("got %+v, %v", a, err)
	}
	cfg.Group = "no-such-group"
	if err := Prepare(cfg, data); err == nil || !strings.Contains(err.Error(), "groupadd --system no-such-group") {
		t.Errorf("unknown group: got %v", err)
	}
}
