package journal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// powerDisk remembers what of each file was synced, and what was written since.
type powerDisk struct {
	OS
	mu      sync.Mutex
	files   map[string]*image
	acked   map[string]bool
	rng     *rand.Rand
	outages []outage
}

// image is a file on a disk that forgets what was not synced.
type image struct {
	durable, now []byte
	since        []write
	named        bool // its directory was synced since it was made
}

type write struct {
	off  int64
	data []byte // nil: cut off at off
}

// outage is what is left after the power went at one moment, and what had been acknowledged before.
type outage struct {
	files map[string][]byte
	acked map[string]bool
}

func (d *powerDisk) Open(path string, flag int) (File, error) {
	f, err := d.OS.Open(path, flag)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[path] == nil || flag&os.O_TRUNC != 0 {
		d.files[path] = &image{}
	}
	return &powerFile{f, d, d.files[path]}, nil
}

func (d *powerDisk) SyncDir(dir string) error {
	names, err := os.ReadDir(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range names {
		if im := d.files[filepath.Join(dir, e.Name())]; im != nil {
			im.named = true
		}
	}
	return err
}

// ack notes that a record was acknowledged.
func (d *powerDisk) ack(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acked[id] = true
}

// maybe lets the power go now and then; mu is held.
func (d *powerDisk) maybe() {
	if d.rng.IntN(20) != 0 {
		return
	}
	o := outage{files: map[string][]byte{}, acked: maps.Clone(d.acked)}
	for path, im := range d.files {
		if im.named || d.rng.IntN(2) == 0 {
			o.files[path] = im.after(d.rng)
		}
	}
	d.outages = append(d.outages, o)
}

// after is the file after an outage: of what was written since the last sync any sectors may be
// there or not.
func (im *image) after(rng *rand.Rand) []byte {
	b, keep := slices.Clone(im.durable), rng.Float64()
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
				b = into(b, w.data[i:end], w.off+int64(i))
			}
			i = end
		}
	}
	return b
}

func into(b, data []byte, off int64) []byte {
	if need := int(off) + len(data); len(b) < need {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], data)
	return b
}

type powerFile struct {
	File
	d  *powerDisk
	im *image
}

func (f *powerFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.im.now = into(f.im.now, b, off)
	f.im.since = append(f.im.since, write{off, slices.Clone(b)})
	f.d.maybe()
	return f.File.WriteAt(b, off)
}

func (f *powerFile) Truncate(n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.im.now = f.im.now[:min(len(f.im.now), int(n))]
	f.im.since = append(f.im.since, write{off: n})
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

// When the power goes at any moment, and of what was not yet synced any part is lost, every record
// that was acknowledged is read back, nothing is taken for damaged, and the journal goes on.
func TestPowerLoss(t *testing.T) {
	dir := t.TempDir()
	d := &powerDisk{files: map[string]*image{}, acked: map[string]bool{}, rng: rand.New(rand.NewPCG(1, 1))}
	o := begin(t, dir, d, limits{segment: 12 << 10})
	var all sync.WaitGroup
	for g := range uint64(5) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(7, g))
			for i := range 60 {
				id := fmt.Sprintf("id%d-%d", g, i)
				if err := o.Append(body(id, strings.Repeat("text ", rng.IntN(500)))); err != nil {
					t.Error(err)
				}
				d.ack(id)
			}
		})
	}
	all.Wait()
	o.stop(t)
	if len(d.outages) < 10 {
		t.Fatalf("%d outages", len(d.outages))
	}
	for n, out := range d.outages {
		to := t.TempDir()
		if err := os.MkdirAll(filepath.Join(to, "segments"), 0o700); err != nil {
			t.Fatal(err)
		}
		for path, b := range out.files {
			if err := os.WriteFile(filepath.Join(to, strings.TrimPrefix(path, dir)), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := begin(t, to, OS{}, limits{segment: 12 << 10})
		for id := range out.acked {
			if !slices.Contains(o.read, id) {
				t.Errorf("outage %d: %s was acknowledged", n, id)
			}
		}
		o.append(t, body("id-new", "new"))
		o.stop(t)
		if o.damaged != 0 {
			t.Errorf("outage %d: %d damaged", n, o.damaged)
		}
		o = begin(t, to, OS{}, limits{})
		if !slices.Contains(o.read, "id-new") {
			t.Errorf("outage %d: what came after it is lost", n)
		}
		o.stop(t)
	}
}
