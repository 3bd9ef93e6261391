package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// tidyConfig has limits so small that a few messages are compacted and begin checkpoints.
var tidyConfig = Config{SegmentBytes: 16 << 10, LargeBytes: 4 << 10, FlushDelay: time.Hour, ReserveBytes: 4096, SettleDelay: -1}

// smallFlush lets making an index anew take many transactions.
var smallFlush = Config{SegmentBytes: 16 << 10, LargeBytes: 4 << 10, FlushRecords: 8, FlushDelay: time.Hour, ReserveBytes: 4096}

// lived fills a store with mail of every kind, of which much has been settled, and waits until what
// is dead was deleted.
func lived(t *testing.T, s *Store) {
	t.Helper()
	for i := range 120 {
		size := 1000
		if i%20 == 0 {
			size = 6000 // in a file of its own
		}
		id := mustKeep(t, s, strings.Repeat(fmt.Sprintf("%04d", i), size/4))
		var err error
		switch i % 8 {
		case 0: // waits
		case 1:
			_, err = s.Update(id, func(m *queue.Message) { m.Legs[0].Tries, m.Legs[0].Next = 4, time.Now().Add(time.Hour) })
		case 2:
			_, err = s.Update(id, func(m *queue.Message) { m.Held = "operator" })
		case 3:
			_, err = s.Update(id, func(m *queue.Message) { m.Removed = time.Now() })
		case 4:
			err = s.Remove(id)
		default:
			_, err = s.Update(id, done)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%40 == 0 {
			if err := s.SetNote(fmt.Sprint("pause", i), fmt.Sprint("since ", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	settled(t, s)
}

// settled brings the index up to date and looks through all segments, as passing time does.
func settled(t *testing.T, s *Store) {
	t.Helper()
	for range 3 {
		if err := s.flushOnce(); err != nil {
			t.Fatal(err)
		}
		numbers, err := s.journal.Numbers()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range numbers[:len(numbers)-1] {
			if err := s.compact(n); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
}

// holds is everything that a store has.
func holds(t *testing.T, s *Store) string {
	t.Helper()
	return fmt.Sprint(describe(t, s), s.Notes())
}

// aged makes a store whose first segments are gone, and returns what it holds.
func aged(t *testing.T, dir string) string {
	t.Helper()
	want := ""
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir, tidyConfig)
		lived(t, s)
		synctest.Wait() // until all that is dead was deleted
		mustKeep(t, s, "late")
		want = holds(t, s)
		shut(t, s)
	})
	if err := os.Truncate(filepath.Join(dir, "queue.db"), int64(len(usedOf(t, dir)))); err != nil {
		t.Fatal(err) // most of it is a hole, which is slow to copy
	}
	if _, err := os.Stat(filepath.Join(dir, "segments", "00000001.seg")); !os.IsNotExist(err) {
		t.Fatalf("the first segment is still there: %v", err)
	}
	return want
}

// usedOf is the index up to where the file is used.
func usedOf(t testing.TB, dir string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _ := readMeta(f)
	b := make([]byte, max(int64(m.pages)*m.pageSize, 4*4096))
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

// duplicate copies a directory.
func duplicate(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whatever happens to the index, after segments were compacted and deleted, the journal alone gives
// back all mail, what was settled and what was noted, and says so in one line.
func TestJournalAloneRebuilds(t *testing.T) {
	aged1 := t.TempDir()
	want := aged(t, aged1)
	whole, err := os.ReadFile(filepath.Join(aged1, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(path string) error{
		"gone":      os.Remove,
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"cut off":   func(path string) error { return os.Truncate(path, int64(len(whole)/2)) },
		"one page":  func(path string) error { return os.Truncate(path, 4096) },
		"zeros":     func(path string) error { return os.WriteFile(path, make([]byte, len(whole)), 0o600) },
		"no bolt":   func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("text"), 9999), 0o600) },
		"foreign":   foreign,
		"swapped":   func(path string) error { return swapPages(path, whole) },
		"directory": func(path string) error { return os.Rename(path, path+".bak") },
	} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " clean=", clean), func(t *testing.T) {
				dir := duplicate(t, aged1)
				if !clean {
					os.Remove(filepath.Join(dir, "sum"))
				}
				if err := harm(filepath.Join(dir, "queue.db")); err != nil {
					t.Fatal(err)
				}
				s, log := loggedWith(t, dir, smallFlush)
				if got := holds(t, s); got != want {
					t.Error(firstDifference(got, want))
				}
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, "no mail is missing") {
					t.Errorf("log: %s", log)
				}
				mustRead(t, s, mustKeep(t, s, "new"), "new")
				shut(t, s)
				s, log = loggedWith(t, dir, smallFlush)
				if log != "" {
					t.Errorf("log of the next start: %s", log)
				}
				shut(t, s)
			})
		}
	}
}

func foreign(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("something else")); return err })
}

// swapPages exchanges the last two pages that have anything in them.
func swapPages(path string, whole []byte) error {
	b := bytes.Clone(whole)
	copy(b[3*4096:], whole[4*4096:5*4096])
	copy(b[4*4096:], whole[3*4096:4*4096])
	return os.WriteFile(path, b, 0o600)
}

func loggedWith(t *testing.T, dir string, cfg Config) (*Store, string) {
	t.Helper()
	var b bytes.Buffer
	s, err := Open(dir, cfg, slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, b.String()
}

// Whatever page or byte of the index is garbled, at rest or after a crash, the store opens with all
// that was in it. HARM sets how many single bytes are tried; 60 without.
func TestGarbledIndex(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	want := aged(t, from)
	whole, err := os.ReadFile(filepath.Join(from, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, b []byte, clean bool) {
		dir := duplicate(t, from)
		if !clean {
			os.Remove(filepath.Join(dir, "sum"))
		}
		if err := os.WriteFile(filepath.Join(dir, "queue.db"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, smallFlush, quiet)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if got := holds(t, s); got != want {
			t.Errorf("%s: %s", name, firstDifference(got, want))
		}
		mustKeep(t, s, "new")
		shut(t, s)
		os.RemoveAll(dir)
	}
	used := len(whole)
	for page := range used / 4096 {
		for i, with := range []byte{0x00, 0x5a, 0xff} {
			b := bytes.Clone(whole)
			for i := range 2048 {
				b[page*4096+i] = with
			}
			try(fmt.Sprintf("page %d with %x", page, with), b, (page+i)%4 == 0)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range numberFrom(t, "HARM", 60) {
		b := bytes.Clone(whole)
		at, bit := rng.IntN(used), rng.IntN(8)
		b[at] ^= 1 << bit
		try(fmt.Sprintf("bit %d of byte %d of page %d", bit, at%4096, at/4096), b, false)
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// An index that turns out to be damaged while the store runs ends neither the process nor anything
// but the store, which takes no changes any more; the next start makes it anew.
func TestIndexDamagedWhileRunning(t *testing.T) {
	for name, harm := range map[string]func(f *os.File, size int64) error{
		"zeros": func(f *os.File, size int64) error {
			_, err := f.WriteAt(make([]byte, size-2*4096), 2*4096)
			return err
		},
		"cut off": func(f *os.File, _ int64) error { return f.Truncate(2 * 4096) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, tidyConfig)
			lived(t, s)
			want := holds(t, s)
			f, err := os.OpenFile(filepath.Join(dir, "queue.db"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(harm(f, int64(len(usedOf(t, dir)))), f.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.List(queue.Filter{}, "", 1000); err == nil {
				t.Error("a list from an index that is not there")
			}
			if _, err := keep(s, "while it is damaged"); !errors.Is(err, queue.ErrBroken) {
				t.Errorf("Put: %v", err)
			}
			_ = s.Close()
			s, log := loggedWith(t, dir, smallFlush)
			defer shut(t, s)
			if !strings.Contains(log, "no mail is missing") {
				t.Errorf("log: %s", log)
			}
			if got := holds(t, s); got != want {
				t.Error(firstDifference(got, want))
			}
		})
	}
}
