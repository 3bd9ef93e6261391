package operate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// still is a queue that nobody runs.
func still(t *testing.T) *queue.Queue {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return queue.New(store, nil, queue.Config{Hostname: "mail.example.org", Domain: "example.org"}, log)
}

// letter is a mail from ada to bob.
func letter(text string) Mail {
	return Mail{Envelope: message.Envelope{From: message.Address{Local: "ada", Domain: "example.org"},
		To: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "example.net"}}}}, Body: strings.NewReader(text)}
}

// wantCode checks that err is an Error with this code.
func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != code {
		t.Errorf("error = %v, want %s", err, code)
	}
}

// Within the process everything answers as it does over the socket: verbs, streams and refusals.
func TestLocal(t *testing.T) {
	o := New(still(t), Parts{})
	long := strings.Repeat("Many words.\r\n", 100_000)
	sent, err := o.Submit(t.Context(), letter("Subject: s\r\n\r\n"+long))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := o.Cat(t.Context(), sent.ID, "body", &b); err != nil || b.String() != long {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
	if d, err := o.Show(t.Context(), sent.ID); err != nil || d.State != queue.StateQueued || d.Origin.Door != "sendmail" || !d.HasBody {
		t.Errorf("%+v, %v", d, err)
	}
	if res, err := o.Act(t.Context(), Action{Verb: Remove, Selection: queue.Selection{IDs: []queue.ID{sent.ID}}}); err != nil || res.Done != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	_, err = o.Show(t.Context(), "0000000000000000")
	wantCode(t, err, CodeNotFound)
	if !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("%v is not queue.ErrNotFound", err)
	}
	_, err = o.Settings(t.Context())
	wantCode(t, err, CodeNotFound)
	wantCode(t, o.Backup(t.Context(), &b), CodeNotFound)
}

// A stream ends when its reader has enough, and a watcher's when its context does.
func TestLocalStreams(t *testing.T) {
	o := New(still(t), Parts{})
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	seen := make(chan queue.Event, 1000)
	events, err := o.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for e, err := range events {
			if err != nil {
				watching <- err
				return
			}
			seen <- e
		}
	}()
	var id queue.ID
	for len(seen) == 0 {
		sent, err := o.Submit(t.Context(), letter("Subject: s\n\n"+strings.Repeat("Many words.\n", 100_000)))
		if err != nil {
			t.Fatal(err)
		}
		id = sent.ID
	}
	if e := <-seen; e.Kind != queue.EventQueued {
		t.Errorf("event = %+v", e)
	}
	cancel()
	if err := <-watching; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v", err)
	}
	enough := errors.New("enough")
	if err := o.Cat(t.Context(), id, "raw", writer(func([]byte) (int, error) { return 0, enough })); !errors.Is(err, enough) {
		t.Errorf("Cat = %v", err)
	}
	if _, err := o.Stats(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stats after the end = %v", err)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// keptLog is a log that has a line about every message but "none", and of "torn" half a line.
type keptLog struct{}

func (keptLog) Search(_ context.Context, id string, w io.Writer) error {
	if id == "none" {
		return queue.ErrNotFound
	}
	_, err := io.WriteString(w, "level=INFO msg=queued id="+id+"\n")
	if id == "torn" {
		return io.ErrUnexpectedEOF
	}
	return err
}

// The kept log is passed on, and so is what goes wrong with it.
func TestKeptLog(t *testing.T) {
	o := New(still(t), Parts{Log: keptLog{}})
	var b bytes.Buffer
	if err := o.Log(t.Context(), "x", &b); err != nil || b.String() != "level=INFO msg=queued id=x\n" {
		t.Errorf("Log = %q, %v", &b, err)
	}
	if err := o.Log(t.Context(), "torn", &b); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a log is %v", err)
	}
	wantCode(t, o.Log(t.Context(), "none", &b), CodeNotFound)
	wantCode(t, o.NewestLog(t.Context(), 0, &b), CodeFormat)
	wantCode(t, New(still(t), Parts{}).Log(t.Context(), "x", &b), CodeNotFound)
}

// Ages double from column to column.
func TestAgeColumns(t *testing.T) {
	for minutes, want := range map[int]int{-1: 0, 0: 0, 4: 0, 5: 1, 9: 1, 10: 2, 39: 3, 1279: 8, 1280: 9, 100000: 9} {
		if got := ageColumn(time.Duration(minutes) * time.Minute); got != want {
			t.Errorf("%d minutes stand in column %d, want %d", minutes, got, want)
		}
	}
}

// An action up to a message means nothing behind it, whenever that came in.
func TestUpTo(t *testing.T) {
	o := New(still(t), Parts{})
	var ids []queue.ID
	for _, id := range []queue.ID{"00000000000001a0", "00000000000002a0", "00000000000003a0"} {
		m := letter("Subject: s\n\n")
		m.ID = id
		if _, err := o.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	res, err := o.Act(t.Context(), Action{Verb: Remove, UpTo: ids[1]})
	if err != nil || res.Done != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	if list, err := o.List(t.Context(), queue.Selection{}, "", 0); err != nil || len(list.Messages) != 1 || list.Messages[0].ID != ids[2] {
		t.Errorf("left are %+v, %v", list, err)
	}
}
