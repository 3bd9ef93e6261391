package boltstore

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/queue/journal"
)

// While no checkpoint can be written, dead segments stay and nothing else suffers; once there is
// space they go.
func TestCheckpointNeedsSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := t.TempDir(), &sickDisk{}
		cfg := Config{SegmentBytes: 16 << 10, FlushDelay: time.Second, disk: d}
		s := open(t, dir, cfg)
		d.sicken(on(syscall.ENOSPC, journal.CheckpointExt, "write"))
		settleMany := func() {
			t.Helper()
			for range 60 {
				if _, err := s.Update(mustKeep(t, s, strings.Repeat("x", 1000)), done); err != nil {
					t.Fatal(err)
				}
			}
			pass(2 * time.Second)
			synctest.Wait()
		}
		settleMany()
		if n, _ := segmentsOf(t, dir); n < 5 {
			t.Errorf("%d segments, though their records are nowhere else", n)
		}
		d.heal()
		pass(checkpointPause)
		settleMany()
		if n, _ := segmentsOf(t, dir); n > 3 {
			t.Errorf("%d segments once there is space", n)
		}
		want := holds(t, s)
		shut(t, s)
		remove(t, dir, "queue.db")
		s = open(t, dir, Config{})
		if got := holds(t, s); got != want {
			t.Error(firstDifference(got, want))
		}
		shut(t, s)
	})
}

// On a full disk a checkpoint leaves out finished mail, of which nothing comes back then, and any
// dead segment goes.
func TestCheckpointOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, Config{SegmentBytes: 16 << 10, FlushDelay: time.Second})
		waits := mustKeep(t, s, "waits")
		for range 40 {
			if _, err := s.Update(mustKeep(t, s, strings.Repeat("x", 1000)), done); err != nil {
				t.Fatal(err)
			}
		}
		s.journal.Reserve.Release()
		pass(2 * time.Second)
		synctest.Wait()
		for range 2 { // compacted, then deleted
			if err := s.SetNote("still", "here"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Update(waits, done); err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Second)
			synctest.Wait()
		}
		if n, _ := segmentsOf(t, dir); n > 2 {
			t.Errorf("%d segments on a full disk", n)
		}
		shut(t, s)
		remove(t, dir, "queue.db")
		s = open(t, dir, Config{})
		st := s.Stats()
		if st.Waiting != 0 || st.Damaged != 0 || st.Finished == 0 || s.Notes()["still"] != "here" {
			t.Errorf("%+v, notes %v", st, s.Notes())
		}
		shut(t, s)
	})
}

// An older store opens also while there is no space for its first checkpoint.
func TestOlderStoreOnFullDisk(t *testing.T) {
	dir, d := t.TempDir(), &sickDisk{}
	unpack(t, filepath.Join("testdata", "store-2-compacted.tar.gz"), dir)
	d.sicken(on(syscall.ENOSPC, journal.CheckpointExt, "write"))
	s := open(t, dir, Config{disk: d})
	want := holds(t, s)
	shut(t, s)
	s = open(t, dir, Config{})
	if got := holds(t, s); got != want {
		t.Error(firstDifference(got, want))
	}
	shut(t, s)
	remove(t, dir, "queue.db")
	s = open(t, dir, Config{})
	defer shut(t, s)
	if got := holds(t, s); got != want {
		t.Error(firstDifference(got, want))
	}
}
