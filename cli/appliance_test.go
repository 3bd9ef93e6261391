package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dinkymail/backup"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/httpapi"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// night is when the stocked queue is looked at. It lies in the past, so that what the appliance
// says of its own clock never depends on the day of the test.
var night = time.Date(2025, 3, 2, 3, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return night.Add(-d) }

// box is an address of a test.
func box(s string) message.Address {
	a, err := message.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// letter is a message for the stock, whose recipients are not settled.
func letter(id queue.ID, accepted time.Time, from, subject string, to ...string) queue.Message {
	m := queue.Message{ID: id, Accepted: accepted, Legs: []queue.Leg{{Lane: queue.Upstream, Next: accepted}}, Origin: queue.Origin{Door: "smtp", Client: "10.0.0.7:51234", User: "ada"},
		Facts: message.Facts{Subject: subject, MessageID: "<" + string(id) + "@example.com>"}}
	if from != "" {
		m.Envelope.From = box(from)
	}
	for _, address := range to {
		m.Envelope.To = append(m.Envelope.To, message.Recipient{Address: box(address)})
		m.Results = append(m.Results, queue.Result{})
	}
	return m
}

var (
	later   = queue.Result{Code: 451, Status: "4.7.1", Text: "greylisted, try again in five minutes", Remote: "mx.example.net:25", Stage: "rcpt"}
	taken   = queue.Result{Outcome: queue.Delivered, Code: 250, Status: "2.0.0", Text: "ok", Remote: "mx.example.net:25", Stage: "body"}
	unknown = queue.Result{Outcome: queue.Failed, Code: 550, Status: "5.1.1", Text: "no such user", Remote: "mx.example.net:25", Stage: "rcpt"}
)

// stock are the messages of a night: deferred with two attempts and a partner that was served, held
// by an operator, not tried yet, a bounce, failed, and one in the trash.
func stock() []queue.Message {
	deferred := letter("0cagh3h68onkmkg0", ago(2*time.Hour), "ada@example.com", "Invoice \x1b[31m42", "bob@example.net", "eve@example.net")
	deferred.Legs[0].Tries, deferred.Legs[0].Next = 2, night.Add(12*time.Minute)
	deferred.Results = []queue.Result{later, taken}
	deferred.History = []queue.Attempt{
		{At: ago(2 * time.Hour), Took: 1500 * time.Millisecond, Answers: []queue.Answer{{Result: later, To: []int{0}}, {Result: taken, To: []int{1}}}},
		{At: ago(3 * time.Minute), Took: 80 * time.Millisecond, Answers: []queue.Answer{{Result: later, To: []int{0}}},
			Dialogue: "S: 220 mx.example.net ESMTP\nC: MAIL FROM:<ada@example.com>\nS: 250 2.1.0 ok\nC: RCPT TO:<bob@example.net>\n" +
				"S: 451 4.7.1 greylisted, \x1b[2Jtry again in five minutes\n"},
	}
	held := letter("0cagh3h68onkmkg1", ago(95*time.Minute), "shop@example.com", "Newsletter", "一二三@example.org", "x@example.org", "y@example.org")
	held.Held = "ask Ada first"
	fresh := letter("0cagh3h68onkmkg2", ago(4*time.Second), "grace@example.com", "Hello", "joe@sub.example.org")
	bounce := letter("0cagh3h68onkmkg3", ago(50*time.Minute), "", "Undelivered", "someone.with.a.rather.long.name@a.rather.long.domain.example.net")
	bounce.Legs[0].Tries, bounce.Legs[0].Next, bounce.Results = 1, night.Add(90*time.Second), []queue.Result{{Text: "connection refused", Remote: "mx.example.net:25", Stage: "connect"}}
	failed := letter("0cagh3h68onkmkg4", ago(3*24*time.Hour), "ada@example.com", "Old", "gone@example.net")
	failed.Legs[0].Tries, failed.Results, failed.Finished, failed.Legs[0].Next = 1, []queue.Result{unknown}, ago(3*24*time.Hour), time.Time{}
	removed := letter("0cagh3h68onkmkg5", ago(time.Hour), "shop@example.com", "Spam", "list@example.org")
	removed.Removed = ago(10 * time.Minute)
	return []queue.Message{deferred, held, fresh, bounce, failed, removed}
}

// fill puts messages into the queue in dir, which nobody has open.
func fill(dir string, messages []queue.Message) error {
	store, err := boltstore.Open(dir, boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for _, m := range messages {
		body := "Subject: " + plain(m.Facts.Subject) + "\r\nX-Odd: \x1b]0;gotcha\x07\r\n\r\nDear reader,\r\nthis is it.\r\n"
		_, err := store.Put(strings.NewReader(body), func(size int64) (queue.Message, error) {
			begun := m
			begun.Size, begun.Finished, begun.Removed = size, time.Time{}, time.Time{}
			return begun, nil
		})
		if err == nil && (!m.Finished.IsZero() || !m.Removed.IsZero()) {
			_, err = store.Update(m.ID, func(r *queue.Message) { r.Finished, r.Removed = m.Finished, m.Removed })
		}
		if err != nil {
			return errors.Join(err, store.Close())
		}
	}
	return store.Close()
}

// open opens the queue in dir as the appliance does.
func open(dir string, next queue.Deliverer) (*queue.Queue, *operate.Local, func() error, error) {
	store, err := boltstore.Open(dir, boltstore.Config{}, discard)
	if err != nil {
		return nil, nil, nil, err
	}
	q := queue.New(store, queue.One(next), queue.Config{Hostname: "mail.example.com", Domain: "example.com", Self: box("noreply@example.com"), Notices: box("noreply@example.com")}, discard)
	return q, operate.New(q, operate.Parts{Backup: copier{q}, Log: keptLog{}}), store.Close, nil
}

var discard = slog.New(slog.DiscardHandler)

// copier makes backups as main's does.
type copier struct{ queue *queue.Queue }

func (c copier) Write(ctx context.Context, w io.Writer) error {
	return backup.Write(ctx, c.queue, backup.Origin{Host: "mail.example.com", Version: "1.2.3"}, w)
}

// keptLog knows of one message.
type keptLog struct{}

func (keptLog) Search(_ context.Context, id string, w io.Writer) error {
	if id != "0cagh3h68onkmkg0" {
		return nil
	}
	_, err := io.WriteString(w, "msg=queued id="+id+"\n")
	return err
}

// offline answers from the queue's files, as main does.
func offline(s *config.Settings) (operate.Operator, func() error, error) {
	_, o, closeStore, err := open(s.DataDir, nil)
	return o, closeStore, err
}

// listen serves the control socket in dir until stop.
func listen(dir string, q *queue.Queue, o operate.Operator) (stop func() error, err error) {
	ln, err := net.Listen("unix", filepath.Join(dir, control.Socket))
	if err != nil {
		return nil, err
	}
	api := httpapi.New(q, httpapi.Config{Domain: "example.com", DefaultFrom: message.Mailbox{Address: box("noreply@example.com")},
		TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Version: "1.2.3"}, discard)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	grace := func() time.Duration { return 10 * time.Second }
	go func() { ended <- control.Serve(ctx, ln, o, api.Trusted(), grace, discard) }()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

// standing is an appliance over a stocked queue in which nothing moves: its dispatcher does not
// run.
func standing(dir string) (stop func() error, err error) {
	if err := fill(dir, stock()); err != nil {
		return nil, err
	}
	q, o, closeStore, err := open(dir, nil)
	if err != nil {
		return nil, err
	}
	unlisten, err := listen(dir, q, o)
	if err != nil {
		return nil, errors.Join(err, closeStore())
	}
	return func() error { return errors.Join(unlisten(), closeStore()) }, nil
}

// console runs commands for the appliance in a directory as an operator without a terminal does.
type console struct {
	t   *testing.T
	dir string
}

// stocked is a console for a standing appliance.
func stocked(t *testing.T) console {
	t.Helper()
	dir := t.TempDir()
	stop, err := standing(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return console{t, dir}
}

// run runs a command and returns its exit status and everything it printed.
func (c console) run(in string, args ...string) (int, string, string) {
	c.t.Helper()
	var out, errs strings.Builder
	w := worldOf(strings.NewReader(in), &out, &errs, []string{"MAIL_DOMAIN=example.com", "DATA_DIR=" + c.dir})
	w.Now = func() time.Time { return night }
	return w.Run(c.t.Context(), args), out.String(), errs.String()
}

// golden compares text with a file in testdata/golden, which UPDATE=1 rewrites.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what it was; run UPDATE=1 go test ./cli and read the difference. Got:\n%s", path, got)
	}
}
