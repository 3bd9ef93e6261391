package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// noFlush keeps everything in the journal, so that a store let go without Close must be played
// back.
var noFlush = Config{FlushDelay: time.Hour}

// crash ends a store as a killed process would: nothing more is written.
func crash(t *testing.T, s *Store) {
	t.Helper()
	_ = s.journal.Fault.Set(errors.New("crash"))
	shut(t, s)
}

// logged opens a store and gives what it logs.
func logged(t *testing.T, dir string) (*Store, string) {
	t.Helper()
	s, b := spoken(t, dir)
	return s, b.String()
}

// spoken is logged for what the store says later; it is read after Close.
func spoken(t *testing.T, dir string) (*Store, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	s, err := Open(dir, Config{}, slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s, &b
}

// journalOf is the only segment with anything in it, without the zeros behind its end.
func journalOf(t *testing.T, dir string) (string, []byte) {
	t.Helper()
	path := filepath.Join(dir, "segments", "00000001.seg")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b
}

// A tail that is torn or garbled in any way is cut off with one warning, and everything before it
// is there. New mail is accepted after it.
func TestTornTail(t *testing.T) {
	for name, tear := range map[string]func(b []byte, last int) []byte{
		"cut in the body":    func(b []byte, last int) []byte { return b[:last+400] },
		"cut in the head":    func(b []byte, last int) []byte { return b[:last+10] },
		"head garbled":       func(b []byte, last int) []byte { b[last+20] ^= 1; return b },
		"body garbled":       func(b []byte, last int) []byte { b[last+500] ^= 1; return b },
		"half never written": func(b []byte, last int) []byte { clear(b[last+256:]); return b },
		"rubbish behind":     func(b []byte, last int) []byte { return append(b[:last], "rubbish rubbish"...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, noFlush)
			first := mustKeep(t, s, "first")
			last := s.pos.Offset
			mustKeep(t, s, strings.Repeat("torn", 1000))
			crash(t, s)
			path, b := journalOf(t, dir)
			if err := os.WriteFile(path, tear(b, int(last)), 0o600); err != nil {
				t.Fatal(err)
			}
			s, log := logged(t, dir)
			if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=WARN") || !strings.Contains(log, path) {
				t.Fatalf("log: %s", log)
			}
			after := mustKeep(t, s, "after")
			crash(t, s)
			s, log = logged(t, dir)
			defer shut(t, s)
			mustRead(t, s, first, "first")
			mustRead(t, s, after, "after")
			if st := s.Stats(); st.Waiting != 2 || st.Damaged != 0 || log != "" {
				t.Fatalf("stats %+v, log %s", st, log)
			}
		})
	}
}

// A record damaged in the middle of the journal is copied aside, counted and reported once; all
// others are there. A mail whose text looks like a record is not taken for one.
func TestGarbledMiddle(t *testing.T) {
	for name, at := range map[string]int{"head": 30, "record": 80, "body": 700} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, noFlush)
			first := mustKeep(t, s, "first")
			from := s.pos.Offset
			forged := format.AppendRecord(nil, 1, 4711, 0, &journal.Entry{Kind: kindRemove, ID: string(first)})
			lost := mustKeep(t, s, strings.Repeat(string(forged), 20))
			third := mustKeep(t, s, "third")
			fourth := mustKeep(t, s, "fourth")
			crash(t, s)
			path, b := journalOf(t, dir)
			b[int(from)+at] ^= 0x40
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, log := logged(t, dir)
			if !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "remedy=") || !strings.Contains(log, path) {
				t.Fatalf("log: %s", log)
			}
			for range 2 {
				mustRead(t, s, first, "first")
				mustRead(t, s, third, "third")
				mustRead(t, s, fourth, "fourth")
				if _, err := s.Get(lost); !errors.Is(err, queue.ErrNotFound) {
					t.Fatalf("Get of the damaged one: %v", err)
				}
				if st := s.Stats(); st.Waiting != 3 || st.Damaged != 1 {
					t.Fatalf("stats %+v", st)
				}
				if names, err := os.ReadDir(filepath.Join(dir, "damaged")); err != nil || len(names) != 1 {
					t.Fatalf("set aside: %v %v", names, err)
				}
				shut(t, s)
				s, _ = logged(t, dir)
			}
			shut(t, s)
		})
	}
}

// A body damaged, cut off or missing gives ErrDamaged with the name of the file, small or large,
// and is counted and reported once; others are read as ever.
func TestDamagedBody(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	small, good := mustKeep(t, s, strings.Repeat("small", 100)), mustKeep(t, s, "good")
	large := mustKeep(t, s, strings.Repeat("large", 100000))
	st, err := s.find(small)
	if err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	path, b := journalOf(t, dir)
	b[st.now.body.off+7] ^= 1
	lb, err := os.ReadFile(filepath.Join(dir, "large", string(large)))
	if err != nil {
		t.Fatal(err)
	}
	lb[300000] ^= 1
	err = errors.Join(os.WriteFile(path, b, 0o600), os.WriteFile(filepath.Join(dir, "large", string(large)), lb, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	s, said := spoken(t, dir)
	for _, id := range []queue.ID{small, large, small, large} {
		r, err := s.Body(id)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("Body: %v", err)
		}
	}
	mustRead(t, s, good, "good")
	if st := s.Stats(); st.Damaged != 2 {
		t.Fatalf("stats %+v", st)
	}
	shut(t, s)
	for _, id := range []queue.ID{small, large} {
		if log := said.String(); strings.Count(log, "id="+string(id)) != 1 || !strings.Contains(log, "level=ERROR") {
			t.Fatalf("log: %s", log)
		}
	}
	if err := errors.Join(os.Remove(path), os.Remove(filepath.Join(dir, "large", string(large)))); err != nil {
		t.Fatal(err)
	}
	s, log := logged(t, dir)
	defer shut(t, s)
	if !strings.Contains(log, "segment is missing") || !strings.Contains(log, path) {
		t.Fatalf("log: %s", log)
	}
	for _, id := range []queue.ID{small, good, large} {
		if _, err := s.Body(id); !errors.Is(err, ErrDamaged) {
			t.Fatalf("Body: %v", err)
		}
		if _, err := s.Get(id); err != nil {
			t.Fatalf("Get: %v", err)
		}
	}
	mustRead(t, s, mustKeep(t, s, "new"), "new")
}

// A record of the index that cannot be read is set aside with its body when somebody comes across
// it, and neither Claim nor List nor Expire is stopped by it. The next start reads it back from the
// journal.
func TestDamagedRecord(t *testing.T) {
	for name, spoil := range map[string]func(v []byte) []byte{
		"record": func(v []byte) []byte { return append(v[:placeSize:placeSize], 0xff, 0xff) },
		"place":  func([]byte) []byte { return []byte("rubbish") },
	} {
		for how, meet := range map[string]func(t *testing.T, s *Store, id queue.ID){
			"claim": func(t *testing.T, s *Store, bad queue.ID) {
				claims, err := s.Claim(firstLane, 10)
				if err != nil || len(claims) != 3 {
					t.Fatalf("Claim: %d messages, %v", len(claims), err)
				}
				for _, c := range claims {
					if _, err := s.Begin(c); errors.Is(err, queue.ErrNotFound) != (c.ID == bad) {
						t.Errorf("Begin: %v", err)
					}
				}
				s.Release(claims...)
				if claims, err = s.Claim(firstLane, 10); err != nil || len(claims) != 2 {
					t.Errorf("Claim again: %d messages, %v", len(claims), err)
				}
			},
			"list": func(t *testing.T, s *Store, _ queue.ID) {
				if ms, err := s.List(queue.Filter{Waiting: true}, "", 2); err != nil || len(ms) != 2 {
					t.Fatalf("List: %d messages, %v", len(ms), err)
				}
			},
			"get": func(t *testing.T, s *Store, id queue.ID) {
				if _, err := s.Get(id); !errors.Is(err, ErrDamaged) {
					t.Fatalf("Get: %v", err)
				}
			},
			"remove": func(t *testing.T, s *Store, id queue.ID) {
				_, err := s.Update(id, done)
				if err := s.Remove(id); !errors.Is(err, queue.ErrNotFound) {
					t.Fatalf("Remove: %v", err)
				}
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("Update: %v", err)
				}
			},
		} {
			t.Run(name+"-"+how, func(t *testing.T) { damagedRecord(t, spoil, meet) })
		}
	}
}

func damagedRecord(t *testing.T, spoil func([]byte) []byte, meet func(*testing.T, *Store, queue.ID)) {
	dir := t.TempDir()
	s := open(t, dir, noFlush)
	first, bad, last := mustKeep(t, s, "first"), mustKeep(t, s, "bad"), mustKeep(t, s, "last")
	shut(t, s)
	s = open(t, dir, noFlush)
	err := s.index.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketOf[waiting])
		return b.Put([]byte(bad), spoil(bytes.Clone(b.Get([]byte(bad)))))
	})
	if err != nil {
		t.Fatal(err)
	}
	meet(t, s, bad)
	mustRead(t, s, first, "first")
	mustRead(t, s, last, "last")
	if _, err := s.Get(bad); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("Get: %v", err)
	}
	if st := s.Stats(); st.Waiting != 2 || st.Damaged != 1 {
		t.Fatalf("stats %+v", st)
	}
	if _, err := os.Stat(filepath.Join(dir, "damaged", string(bad)+".record")); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	for range 2 {
		s = open(t, dir, Config{})
		for id, text := range map[queue.ID]string{first: "first", bad: "bad", last: "last"} {
			mustRead(t, s, id, text)
		}
		if st := s.Stats(); st.Waiting != 3 || st.Damaged != 1 {
			t.Fatalf("stats %+v", st)
		}
		shut(t, s)
	}
}

// A second store on the same directory is refused with the process that has it, and does the first
// no harm.
func TestSecondInstance(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	defer shut(t, s)
	_, err := Open(dir, Config{}, quiet)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "another dinkymail is using "+dir+" (pid ") {
		t.Fatalf("got %v", err)
	}
	mustRead(t, s, mustKeep(t, s, "x"), "x")
}

// A closed store lets its directory go at once, also while a process that is being started
// elsewhere in this one still has the file.
func TestClosedStoreIsUnlocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	child, err := syscall.Dup(int(s.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(child)
	shut(t, s)
	shut(t, open(t, dir, Config{}))
}

// A directory that cannot be made or written says so, with its path and what to do.
func TestUnwritableDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "below"), "/proc/self/dinkymail"} {
		_, err := Open(d, Config{}, quiet)
		if err == nil || !strings.Contains(err.Error(), "cannot write the queue in "+d) || !strings.Contains(err.Error(), "DATA_DIR") {
			t.Fatalf("%s: %v", d, err)
		}
	}
}

// An index of a newer version is refused, also when it is not what was written otherwise, and so is
// a journal of one without its index.
func TestNewerStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	mustKeep(t, s, "kept")
	shut(t, s)
	inIndex(t, dir, func(tx *bolt.Tx) error { return putProgress(tx, progress{Schema: schema + 1}) })
	refused := func() {
		t.Helper()
		if _, err := Open(dir, Config{}, quiet); err == nil || !strings.Contains(err.Error(), "newer dinkymail") {
			t.Fatalf("newer: %v", err)
		}
	}
	refused()
	path, b := journalOf(t, dir)
	b[8]++
	binary.LittleEndian.PutUint32(b[24:], checksum(b[:24]))
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.Remove(filepath.Join(dir, "queue.db"))); err != nil {
		t.Fatal(err)
	}
	refused()
	refused()
}

// When the segment being written is deleted or cut off by hand, what is accepted afterwards
// survives a crash nevertheless.
func TestActiveSegmentLost(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"deleted": os.Remove,
		"cut off": func(path string) error { return os.Truncate(path, 100) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, noFlush)
			lost := mustKeep(t, s, strings.Repeat("lost", 1000))
			shut(t, s)
			path, _ := journalOf(t, dir)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				var b bytes.Buffer
				s, err := Open(dir, noFlush, slog.New(slog.NewTextHandler(&b, nil)))
				if err != nil {
					t.Fatal(err)
				}
				if round == 0 && (!strings.Contains(b.String(), path) || !strings.Contains(b.String(), "remedy=")) {
					t.Errorf("log: %s", b.String())
				}
				id := mustKeep(t, s, "new")
				crash(t, s)
				s = open(t, dir, noFlush)
				mustRead(t, s, id, "new")
				if _, err := s.Body(lost); !errors.Is(err, ErrDamaged) {
					t.Fatalf("Body: %v", err)
				}
				crash(t, s)
			}
		})
	}
}
