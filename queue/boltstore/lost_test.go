package boltstore

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// When the journal itself lost something, nothing that is left is deleted: what nobody knows is set
// aside and counted, and one line says how much is missing and what to do.
func TestJournalNotWhole(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, dir string){
		"no checkpoint": func(t *testing.T, dir string) { remove(t, dir, "queue.db", "segments/*"+journal.CheckpointExt) },
		"no segments":   func(t *testing.T, dir string) { remove(t, dir, "queue.db", "segments/*") },
		"nothing but large bodies": func(t *testing.T, dir string) {
			remove(t, dir, "queue.db", "segments/*", "lock", "sum", "reserve")
		},
		"checkpoint cut off": func(t *testing.T, dir string) {
			remove(t, dir, "queue.db")
			names, _ := filepath.Glob(filepath.Join(dir, "segments", "*"+journal.CheckpointExt))
			if err := os.Truncate(names[0], 3000); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			aged(t, dir)
			before := largeBodies(t, dir)
			lose(t, dir)
			s, log := loggedWith(t, dir, smallFlush)
			if strings.Count(log, "not whole") != 1 || !strings.Contains(log, "remedy=") || s.Stats().Damaged == 0 {
				t.Errorf("%d damaged, log: %s", s.Stats().Damaged, log)
			}
			if after := largeBodies(t, dir); !maps.Equal(before, after) {
				t.Errorf("large bodies %v, before %v", after, before)
			}
			count := s.Stats().Damaged
			mustRead(t, s, mustKeep(t, s, "new"), "new")
			shut(t, s)
			s, log = loggedWith(t, dir, smallFlush)
			if log != "" || s.Stats().Damaged > count {
				t.Errorf("log of the next start: %s", log)
			}
			shut(t, s)
		})
	}
}

func remove(t *testing.T, dir string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if err := os.Remove(n); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// largeBodies are the sizes of all large bodies, wherever they are kept.
func largeBodies(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, sub := range []string{"large", "damaged"} {
		names, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range names {
			if st, err := e.Info(); err == nil && st.Size() == 6000 {
				out[strings.TrimSuffix(e.Name(), ".eml")] = st.Size()
			}
		}
	}
	return out
}

// A checkpoint with one damaged record gives back all others.
func TestDamagedCheckpoint(t *testing.T) {
	dir := t.TempDir()
	aged(t, dir)
	s := open(t, dir, tidyConfig)
	want := s.Stats()
	shut(t, s)
	remove(t, dir, "queue.db")
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"+journal.CheckpointExt))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, log := loggedWith(t, dir, smallFlush)
	defer shut(t, s)
	got := s.Stats()
	sum := func(st queue.Stats) int { return st.Waiting + st.Finished + st.Captured + st.Removed }
	if sum(got) != sum(want)-1 || got.Damaged == 0 || !strings.Contains(log, "records_damaged=1") {
		t.Errorf("%+v, want one less than %+v, log %s", got, want, log)
	}
}

// Where the heads of segments are damaged, the records in them say whose they are.
func TestDamagedHeads(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	id := mustKeep(t, s, "kept")
	shut(t, s)
	path, b := journalOf(t, dir)
	clear(b[:journal.SegmentHead])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	remove(t, dir, "queue.db")
	s = open(t, dir, Config{})
	defer shut(t, s)
	mustRead(t, s, id, "kept")
}
