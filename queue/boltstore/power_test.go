package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// powerDisk remembers what of each file was synced, and what was written since.
type powerDisk struct {
	osDisk
	mu      sync.Mutex
	dir     string
	files   map[string]*image
	names   map[string]bool // directories whose entry was synced
	index   []byte          // queue.db as of its last commit
	acked   func() map[queue.ID]string
	rng     *rand.Rand
	every   int
	outages []outage
}

// image is a file on a disk that forgets what was not synced.
type image struct {
	durable []byte
	now     []byte
	since   []written
	named   bool // its directory was synced since it was made
}

type written struct {
	off  int64
	data []byte // nil: cut off at off
}

// outage is what is left after the power went at one moment, and what had been acknowledged before.
type outage struct {
	files map[string][]byte
	index []byte
	acked map[queue.ID]string
}

func (d *powerDisk) Open(path string, flag int) (journal.File, error) {
	f, err := d.osDisk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[path] == nil || flag&os.O_TRUNC != 0 {
		d.files[path] = &image{}
	}
	return &powerFile{File: f, d: d, im: d.files[path]}, nil
}

func (d *powerDisk) Rename(from, to string) error {
	if err := d.osDisk.Rename(from, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[to] = d.files[from]
	d.files[to].named = true // osDisk.Rename syncs the directory
	delete(d.files, from)
	return nil
}

func (d *powerDisk) SyncDir(dir string) error {
	if err := d.osDisk.SyncDir(dir); err != nil {
		return err
	}
	names, err := os.ReadDir(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range names {
		path := filepath.Join(dir, e.Name())
		d.names[path] = true
		if im := d.files[path]; im != nil {
			im.named = true
		}
	}
	return err
}

func (d *powerDisk) commit(tx *bolt.Tx) error {
	if err := tx.Commit(); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(d.dir, "queue.db"))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index = b
	return err
}

// maybe lets the power go now and then; mu is held.
func (d *powerDisk) maybe() {
	if d.rng.IntN(d.every) != 0 || d.index == nil {
		return
	}
	o := outage{files: map[string][]byte{}, index: d.index, acked: d.acked()}
	for path, im := range d.files {
		if d.names[filepath.Dir(path)] && d.names[d.dir] && d.names[filepath.Dir(d.dir)] && (im.named || d.rng.IntN(2) == 0) {
			o.files[path] = im.after(d.rng)
		}
	}
	d.outages = append(d.outages, o)
}

// after is the file after an outage: of what was written since the last sync any sectors may be
// there or not.
func (im *image) after(rng *rand.Rand) []byte {
	b := slices.Clone(im.durable)
	keep := rng.Float64()
	for _, w := range im.since {
		if w.data == nil {
			if rng.Float64() < keep {
				b = b[:min(len(b), int(w.off))]
			}
			continue
		}
		for i := 0; i < len(w.data); {
			end := min(i+512-(int(w.off)+i)%512, len(w.data))
			if rng.Float64() < keep {
				b = writeInto(b, w.data[i:end], w.off+int64(i))
			}
			i = end
		}
	}
	return b
}

func writeInto(b, data []byte, off int64) []byte {
	if need := int(off) + len(data); len(b) < need {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], data)
	return b
}

type powerFile struct {
	journal.File
	d  *powerDisk
	im *image
}

func (f *powerFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.im.now = writeInto(f.im.now, b, off)
	f.im.since = append(f.im.since, written{off, slices.Clone(b)})
	f.d.maybe()
	return f.File.WriteAt(b, off)
}

func (f *powerFile) Truncate(n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.im.now = f.im.now[:min(len(f.im.now), int(n))]
	f.im.since = append(f.im.since, written{off: n})
	return f.File.Truncate(n)
}

func (f *powerFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.maybe()
	f.im.durable, f.im.since = slices.Clone(f.im.now), nil
	f.d.maybe()
	return nil
}

// When the power goes at any moment, and of what was not yet synced any part is lost, the store
// opens and everything that was acknowledged is there: bodies byte for byte, what was recorded as
// finished or removed is that, and notes. After every third outage the index is gone, too.
// POWER_SEEDS sets how many stores are tried, each with some dozens of outages; 1 without.
func TestPowerLoss(t *testing.T) {
	seeds := numberFrom(t, "POWER_SEEDS", 1)
	var outages atomic.Int64
	if os.Getenv("POWER_SEEDS") != "" {
		t.Cleanup(func() { fmt.Printf("%d stores, %d outages\n", seeds, outages.Load()) })
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			outages.Add(powerLoss(t, seed))
		})
	}
}

// numberFrom is a number from the environment.
func numberFrom(t *testing.T, name string, without uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return without
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const intoTrash = "removed "

// powerConfig has limits so small that a few hundred messages meet all of them.
var powerConfig = Config{SegmentBytes: 24 << 10, LargeBytes: 6 << 10, FlushRecords: 16, ReserveBytes: 4096}

// powerLoss returns how many outages there were.
func powerLoss(t *testing.T, seed uint64) int64 {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new", "data")
	var mu sync.Mutex
	acked := map[queue.ID]string{} // to the body, behind intoTrash if it was removed, or "finished"
	d := &powerDisk{dir: dir, files: map[string]*image{}, names: map[string]bool{}, rng: rand.New(rand.NewPCG(seed, 1)), every: 40}
	d.acked = func() map[queue.ID]string {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(acked)
	}
	cfg := powerConfig
	cfg.FlushDelay, cfg.disk = 2*time.Millisecond, d
	s := open(t, dir, cfg)
	var all sync.WaitGroup
	for g := range uint64(5) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, g))
			for range 40 {
				text := strings.Repeat(fmt.Sprint(rng.Uint64()), rng.IntN(400))
				id, err := keep(s, text)
				if err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				mu.Lock()
				acked[id] = text
				mu.Unlock()
				if g == 0 && rng.IntN(8) == 0 {
					at := time.Now().UTC().Format("2006-01-02T15:04:05.000000000")
					if err := s.SetNote("at", at); err != nil {
						t.Errorf("SetNote: %v", err)
					}
					mu.Lock()
					acked["note"] = at
					mu.Unlock()
				}
				if rng.IntN(4) == 0 {
					if _, err := s.Update(id, func(m *queue.Message) { m.Removed = time.Now() }); err != nil {
						t.Errorf("Update: %v", err)
					}
					mu.Lock()
					acked[id] = intoTrash + text
					mu.Unlock()
					continue
				}
				if rng.IntN(8) == 0 {
					continue
				}
				mu.Lock()
				acked[id] = "either" // it is being finished
				mu.Unlock()
				if _, err := s.Update(id, done); err != nil {
					t.Errorf("Update: %v", err)
				}
				mu.Lock()
				acked[id] = "finished"
				mu.Unlock()
			}
		})
	}
	all.Wait()
	shut(t, s)
	for i, o := range d.outages {
		o.restore(t, dir, t.TempDir(), i)
	}
	return int64(len(d.outages))
}

// restore opens what an outage left, and compares.
func (o outage) restore(t *testing.T, from, dir string, n int) {
	t.Helper()
	for path, b := range o.files {
		path = filepath.Join(dir, strings.TrimPrefix(path, from))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	index := filepath.Join(dir, "queue.db")
	written := bytes.TrimRight(o.index, "\x00") // most of it is a hole
	if err := errors.Join(os.WriteFile(index, written, 0o600), os.Truncate(index, int64(len(o.index)))); err != nil {
		t.Fatal(err)
	}
	if n%3 == 0 {
		if err := errors.Join(os.Remove(index), os.MkdirAll(filepath.Join(dir, "segments"), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, powerConfig, quiet)
	if err != nil {
		t.Fatalf("outage %d: %v", n, err)
	}
	defer shut(t, s)
	for id, want := range o.acked {
		if id == "note" {
			if got := s.Notes()["at"]; got < want {
				t.Fatalf("outage %d: the note is %q, want %q or later", n, got, want)
			}
			continue
		}
		m, err := s.Get(id)
		if err != nil {
			t.Fatalf("outage %d: %s was acknowledged: %v", n, id, err)
		}
		want, trash := strings.CutPrefix(want, intoTrash)
		switch {
		case trash && m.Removed.IsZero():
			t.Fatalf("outage %d: %s was recorded as removed, and is not", n, id)
		case want == "finished" && m.Finished.IsZero():
			t.Fatalf("outage %d: %s was recorded as finished, and is not", n, id)
		case want != "finished" && want != "either":
			mustRead(t, s, id, want)
		}
	}
	if st := s.Stats(); st.Damaged != 0 {
		t.Fatalf("outage %d: %d damaged", n, st.Damaged)
	}
}
