package boltstore

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

func TestMain(m *testing.M) {
	child()                            // ends the process if this is one
	_ = flag.Set("test.parallel", "8") // the tests that run side by side wait for disks and timers
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.DiscardHandler)

// The store keeps every promise of queue.Store, with the limits that are set by default and with
// ones so small that every boundary is met.
func TestSuite(t *testing.T) {
	for name, cfg := range map[string]Config{"default": {}, "small": smallConfig} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queuetest.Suite(t, func(t *testing.T, dir string) (queue.Store, func()) {
				s := open(t, dir, cfg)
				return s, func() { shut(t, s) }
			})
		})
	}
}

// smallConfig has limits that every test meets.
var smallConfig = Config{SegmentBytes: 20 << 10, LargeBytes: 4 << 10, FlushRecords: 3, batchBytes: 10 << 10, ReserveBytes: 4096}

// Whatever is asked of the store in whatever order, it answers as a few maps would.
func FuzzModel(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}, 200))
	f.Fuzz(func(t *testing.T, input []byte) {
		queuetest.Fuzz(t, func(t *testing.T, dir string) (queue.Store, func()) {
			s := open(t, dir, smallConfig)
			return s, func() { shut(t, s) }
		}, harm, input)
	})
}

// Whatever becomes of the index while the store is closed, cleanly or not, the store answers as a
// few maps would: nothing is lost, and nothing that was settled comes back.
func TestModelHarmed(t *testing.T) {
	t.Parallel()
	queuetest.Model(t, func(t *testing.T, dir string) (queue.Store, func()) {
		s := open(t, dir, harmedConfig)
		return s, func() { shut(t, s) }
	}, harm)
}

// harmedConfig has limits at which a few messages fill a segment, so that segments are compacted
// and deleted all the time.
var harmedConfig = Config{SegmentBytes: 4 << 10, LargeBytes: 8 << 10, FlushRecords: 3, FlushDelay: time.Millisecond, ReserveBytes: 4096}

// harm deletes or damages the index.
func harm(t *testing.T, dir string, pick func(n int) int) {
	t.Helper()
	path, b := filepath.Join(dir, "queue.db"), usedOf(t, dir)
	if pick(2) == 0 {
		_ = os.Remove(filepath.Join(dir, "sum")) // as after a crash
	}
	var err error
	switch pick(5) {
	case 0:
		err = os.Remove(path)
	case 1:
		err = os.Truncate(path, int64(pick(len(b))))
	case 2:
		b[pick(len(b))] ^= byte(1 + pick(255))
		err = os.WriteFile(path, b, 0o600)
	default:
		page, with := 4096*pick(len(b)/4096), pick(2)
		for i := range 4096 {
			b[page+i] = byte(with * i)
		}
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever stands before a record in the index, it is a place that is written as it was read, or an
// error.
func FuzzPlace(f *testing.F) {
	p := place{kept: waiting, key: 17, accepted: 4711, body: location{where: inSegment, seg: 3, off: 64, n: 12, crc: 99}}
	f.Add(p.append(nil))
	f.Add(append(p.append(nil), "record"...))
	f.Add(p.value([]byte("record")))
	p.more = []int64{0, 18}
	f.Add(p.value([]byte("record")))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, v []byte) {
		p, record, err := parsePlace(waiting, v)
		if err != nil {
			return
		}
		again := append(p.append(nil), record...)
		if v[0] != unsummed {
			again = p.value(record)
		}
		if !bytes.Equal(again, v) {
			t.Fatalf("read %x, written %x", v, again)
		}
	})
}

func open(t testing.TB, dir string, cfg Config) *Store {
	t.Helper()
	s, err := Open(dir, cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// Check writes, but not more than once a second; between it says what became of the last write. It
// notices a disk that is full or sick, and that it is well again.
func TestCheckWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &sickDisk{}
		s := open(t, t.TempDir(), Config{disk: d})
		defer shut(t, s)
		syncs := 0
		d.sicken(func(op, _ string) error {
			if op == "sync" {
				syncs++
			}
			return nil
		})
		for range 10 {
			for range 20 {
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Second)
		}
		if syncs != 10 {
			t.Errorf("%d syncs in 10 seconds", syncs)
		}
		d.sicken(on(syscall.ENOSPC, "/segments/", "write"))
		if err := s.Check(); !errors.Is(err, queue.ErrNoSpace) {
			t.Errorf("on a full disk: %v", err)
		}
		d.heal()
		pass(time.Second)
		if err := s.Check(); err != nil {
			t.Errorf("when there is space again: %v", err)
		}
		d.sicken(on(syscall.EIO, "/segments/", "sync"))
		pass(time.Second)
		if err := s.Check(); !errors.Is(err, queue.ErrBroken) {
			t.Errorf("on a sick disk: %v", err)
		}
	})
}

// pass lets the bubble's clock go on.
func pass(d time.Duration) { <-time.After(d) }
