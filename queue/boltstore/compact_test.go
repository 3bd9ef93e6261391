package boltstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue"
)

// segmentsOf counts the segments and their bytes.
func segmentsOf(t *testing.T, dir string) (n int, bytes int64) {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(dir, "segments"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if filepath.Ext(e.Name()) != ".seg" {
			continue
		}
		st, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, bytes = n+1, bytes+st.Size()
	}
	return n, bytes
}

// Messages that stay deferred do not keep the segments they came in: their bodies move on, survive
// a crash at any time, and the journal stays small however much mail goes through.
func TestDeferredMailDoesNotPinSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := Config{SegmentBytes: 64 << 10, FlushRecords: 50}
		s := open(t, dir, cfg)
		text := strings.Repeat("body ", 400)
		kept := map[queue.ID]string{}
		for i := range 600 {
			id := mustKeep(t, s, text)
			if i%60 == 0 {
				kept[id] = text
			} else if _, err := s.Update(id, done); err != nil {
				t.Fatal(err)
			}
			if i%200 == 100 {
				crash(t, s)
				s = open(t, dir, cfg)
			}
		}
		for range 30 { // flush, move, flush, delete
			mustKeep(t, s, "")
			pass(2 * time.Second)
			synctest.Wait()
		}
		// 600 × 3 KB of journal went through; 10 × 2 KB are needed, and 640 records in a
		// checkpoint, which may let as much again wait.
		if n, bytes := segmentsOf(t, dir); bytes > 3<<20 || bytes-(1<<20) > 400<<10 {
			t.Errorf("%d segments, %d bytes", n, bytes)
		}
		for range 2 {
			for id, text := range kept {
				mustRead(t, s, id, text)
			}
			if st := s.Stats(); st.Waiting != 40 || st.Finished != 590 || st.Bytes != int64(len(kept)*len(text)) {
				t.Errorf("stats %+v", st)
			}
			shut(t, s)
			s = open(t, dir, cfg)
		}
		shut(t, s)
	})
}

// A crash right after bodies were moved, before the index knows, loses neither them nor what
// happens to them afterwards.
func TestCrashAfterMove(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{SegmentBytes: 4 << 10, FlushDelay: time.Hour}
	s := open(t, dir, cfg)
	text := strings.Repeat("body ", 400)
	a, b, c := mustKeep(t, s, text), mustKeep(t, s, text), mustKeep(t, s, text)
	for range 4 {
		mustKeep(t, s, text)
	}
	shut(t, s)
	s = open(t, dir, cfg)
	claims, err := s.Claim(firstLane, 3)
	if err != nil || len(claims) != 3 || claims[0].ID != a || claims[1].ID != b {
		t.Fatal(claims, err)
	}
	if _, err := s.Begin(claims[0]); err != nil {
		t.Fatal(err)
	}
	for n := range uint32(3) {
		if err := s.compact(n + 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Settle(claims[0], done); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(claims[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settle(claims[1], func(m *queue.Message) { m.Legs[0].Tries = 9 }); err != nil {
		t.Fatal(err)
	}
	crash(t, s)
	s = open(t, dir, cfg)
	check := func() {
		t.Helper()
		mustRead(t, s, b, text)
		mustRead(t, s, c, text)
		if m, err := s.Get(b); err != nil || m.Tries() != 9 {
			t.Fatalf("%+v %v", m, err)
		}
		if st := s.Stats(); st.Waiting != 6 || st.Finished != 1 || st.Bytes != int64(6*len(text)) {
			t.Fatalf("stats %+v", st)
		}
	}
	check()
	shut(t, s)
	if err := os.Remove(filepath.Join(dir, "segments", "00000001.seg")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err) // nothing lives in it any more
	}
	s = open(t, dir, cfg)
	defer shut(t, s)
	check()
}
