package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// damage flips a byte of every body of the store in dir, which nobody has open, that has text in
// it.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".seg") && filepath.Base(filepath.Dir(path)) != "large" {
			return err
		}
		b, err := os.ReadFile(path)
		if at := bytes.LastIndex(b, []byte(text)); at >= 0 {
			b[at] ^= 1
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Damaged mail, small or large, keeps nothing else out of a backup. The archive is whole, names it,
// and restores: its record is there, held with the reason and without a text, whatever was to be
// held, and what was in the trash is there still.
func TestDamagedMailIsNamed(t *testing.T) {
	dir := t.TempDir()
	s, err := boltstore.Open(dir, boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	good := put(t, s, "good\r\n", nil)
	small := put(t, s, "small BAD\r\n", nil)
	large := put(t, s, strings.Repeat("large\r\n", 100_000)+"BAD\r\n", func(m *queue.Message) { m.Removed = time.Now() })
	after := put(t, s, "after\r\n", nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, dir, "BAD")
	if s, err = boltstore.Open(dir, boltstore.Config{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text := backedUp(t, s)
	sum, err := Verify(bytes.NewReader(text))
	if err != nil || sum.Messages != 4 || len(sum.Missing) != 2 || sum.Missing[0].ID != small || sum.Missing[1].ID != large ||
		!strings.Contains(sum.Missing[0].Why, "damaged") || s.Stats().Damaged != 2 {
		t.Fatalf("%+v, %v, %d damaged", sum, err, s.Stats().Damaged)
	}
	to := open(t)
	if _, err := Restore(t.Context(), bytes.NewReader(text), to, Options{}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[queue.ID]string{good: "good\r\n", small: "none", large: "none", after: "after\r\n"} {
		m, err := to.Get(id)
		if got := mail(t, to, id); err != nil || got != want || (want == "none") != strings.Contains(m.Held, "could not be read") {
			t.Errorf("%s: %q, held: %q, %v", id, got, m.Held, err)
		}
	}
	if m, err := to.Get(large); err != nil || m.Removed.IsZero() {
		t.Errorf("%+v, %v", m, err)
	}
	again, err := Verify(bytes.NewReader(backedUp(t, to)))
	if err != nil || len(again.Missing) != 2 {
		t.Errorf("a backup of the restored queue: %+v, %v", again, err)
	}
}

// What stands in the maildrop is in the backup once: as it stands there, or as what the queue made
// of it meanwhile.
func TestMaildropIsInTheBackup(t *testing.T) {
	s := open(t)
	waits, taken, during, gone := queue.NewID(), put(t, s, "taken\r\n", nil), queue.NewID(), queue.NewID()
	kept := func(id queue.ID) Left {
		return Left{ID: id, UID: 33, User: "www-data", Open: func() (io.ReadSeekCloser, error) {
			if id == during {
				_, err := s.Put(strings.NewReader("during\r\n"), func(int64) (queue.Message, error) { return queue.Message{ID: id}, nil })
				return nil, errors.Join(err, fs.ErrNotExist)
			}
			if id == gone {
				return nil, fs.ErrNotExist
			}
			return file{bytes.NewReader([]byte("{}\n" + string(id)))}, nil
		}}
	}
	var b bytes.Buffer
	origin := Origin{Left: func() ([]Left, error) { return []Left{kept(waits), kept(taken), kept(during), kept(gone)}, nil }}
	if err := Write(t.Context(), source{s}, origin, &b); err != nil {
		t.Fatal(err)
	}
	if sum, err := Verify(bytes.NewReader(b.Bytes())); err != nil || sum.Messages != 2 || sum.Left != 1 || len(sum.Missing) > 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	var got []string
	to := open(t)
	_, err := Restore(t.Context(), &b, to, Options{Left: func(_ context.Context, l Left, mail io.Reader) error {
		text, err := io.ReadAll(mail)
		got = append(got, fmt.Sprintf("%s %d %s %s", l.ID, l.UID, l.User, text))
		return err
	}})
	if want := fmt.Sprintf("%s 33 www-data {}\n%s", waits, waits); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %q, %v", got, err)
	}
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// Whatever a queue has, be it as large and as odd as it likes, what Write writes without an error
// is verified and restored.
func TestWrittenIsVerified(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := oddSource{bodies: map[queue.ID]string{}}
		for i := range rapid.IntRange(0, 3).Draw(rt, "messages") {
			m := oddMessage(rt, i)
			s.list = append(s.list, m)
			if m.Finished.IsZero() {
				s.bodies[m.ID] = strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 5000, 300 << 10}).Draw(rt, "body"))
			}
		}
		var b bytes.Buffer
		if err := Write(t.Context(), s, Origin{Host: "\xff"}, &b); err != nil {
			rt.Fatal(err)
		}
		text := b.Bytes()
		sum, err := Verify(bytes.NewReader(text))
		if err != nil || sum.Messages != len(s.list) || len(sum.Missing) > 0 {
			rt.Fatalf("%+v, %v", sum, err)
		}
		to, err := boltstore.Open(t.TempDir(), boltstore.Config{}, slog.New(slog.DiscardHandler))
		if err != nil {
			rt.Fatal(err)
		}
		_, err = Restore(t.Context(), bytes.NewReader(text), to, Options{})
		if n := len(s.list); err != nil || to.Stats().Waiting+to.Stats().Finished != n {
			rt.Fatalf("%d restored, %v", n, err)
		}
		if err := to.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// oddMessage is a message as no door would take it, or as an earlier version left it.
func oddMessage(rt *rapid.T, i int) queue.Message {
	junk := rapid.SampledFrom([]string{"busy", "\xff\xfe\x00\x1b", "Grüße ", "\\\"<&\u2028", strings.Repeat("y", 2000)})
	m := queue.Message{ID: queue.ID(fmt.Sprintf("0%015d", i)), Accepted: time.Now(), Held: junk.Draw(rt, "held")}
	m.Facts.Subject = strings.Repeat(junk.Draw(rt, "subject"), 50)
	m.Envelope.From = message.Address{Local: junk.Draw(rt, "local"), Domain: "example.org"}
	n := rapid.SampledFrom([]int{0, 1, 3, 300}).Draw(rt, "recipients")
	text := strings.Repeat(junk.Draw(rt, "text"), 10)
	for i := range n {
		m.Envelope.To = append(m.Envelope.To, message.Recipient{Address: message.Address{Local: fmt.Sprint(i), Domain: "example.net"}})
		m.Results = append(m.Results, queue.Result{Code: i, Text: fmt.Sprint(i) + text})
	}
	if rapid.Bool().Draw(rt, "finished") {
		m.Finished = time.Now()
	}
	if rapid.Bool().Draw(rt, "without results") {
		m.Results = nil
	}
	for range rapid.SampledFrom([]int{0, 1, 110}).Draw(rt, "attempts") {
		a := queue.Attempt{At: time.Now(), Dialogue: strings.Repeat("S: no\n", 1000)}
		for j, r := range m.Results {
			a.Answers = append(a.Answers, queue.Answer{Result: r, To: []int{j}})
		}
		m.History = append(m.History, a)
	}
	return m
}

// oddSource is a queue of messages that no store would have.
type oddSource struct {
	list   []queue.Message
	bodies map[queue.ID]string
}

func (s oddSource) List(_ context.Context, f queue.Filter, after queue.ID, _ int) ([]queue.Message, error) {
	if after != "" || f.Newest {
		return nil, nil
	}
	return s.list, nil
}

func (s oddSource) Get(id queue.ID) (queue.Message, error) {
	for _, m := range s.list {
		if m.ID == id {
			return m, nil
		}
	}
	return queue.Message{}, queue.ErrNotFound
}

func (s oddSource) Body(id queue.ID) (io.ReadSeekCloser, error) {
	text, ok := s.bodies[id]
	if !ok {
		return nil, queue.ErrNotFound
	}
	return file{bytes.NewReader([]byte(text))}, nil
}

// A record that no reader would take is named, and the rest is there.
func TestRecordThatIsTooLarge(t *testing.T) {
	s := oddSource{bodies: map[queue.ID]string{}}
	for i := range 2 {
		m := queue.Message{ID: queue.ID(fmt.Sprintf("0%015d", i)), Accepted: time.Now(), Finished: time.Now()}
		m.Envelope.ID = strings.Repeat("x", i*(queue.MaxRecord+1))
		s.list = append(s.list, m)
	}
	var b bytes.Buffer
	if err := Write(t.Context(), s, Origin{}, &b); err != nil {
		t.Fatal(err)
	}
	if sum, err := Verify(&b); err != nil || sum.Messages != 1 || len(sum.Missing) != 1 || sum.Missing[0].ID != s.list[1].ID {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A backup of the first format, which an earlier version wrote, is read and restored.
func TestFirstFormatIsRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "format-1.tar"))
	if err != nil {
		t.Fatal(err)
	}
	to := open(t)
	sum, err := Restore(t.Context(), bytes.NewReader(text), to, Options{})
	if err != nil || sum.Messages != 3 || sum.Waiting != 2 || len(sum.Missing) > 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	list, err := to.List(queue.Filter{Waiting: true}, "", 10)
	if err != nil || len(list) != 2 || list[0].Envelope.From.String() != "ada@example.org" || list[0].Envelope.To[0].String() != "bob@example.net" {
		t.Errorf("%+v, %v", list, err)
	}
}
