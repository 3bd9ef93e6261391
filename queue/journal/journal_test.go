package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kindBody Kind = 1 + iota // new, with a body
	kindLazy                 // may wait, and is written on a full disk
	kindMark                 // of a checkpoint
)

var format = Format{Schema: 7, MaxMeta: 1 << 20, ValidID: func(id string) bool { return strings.HasPrefix(id, "id") },
	Kinds: []Traits{kindBody: {Named: true, Inline: true}, kindLazy: {Named: true, Lazy: true, Essential: true}, kindMark: {}}}

var errClosed, errNoSpace, errBroken = errors.New("closed"), errors.New("full"), errors.New("broken")

// entry is what the owner of these tests writes.
type entry struct{ Entry }

func body(id, text string) *entry {
	return &entry{Entry{Kind: kindBody, ID: id, Meta: []byte("meta of " + id), Body: []byte(text), Sum: crc32.Checksum([]byte(text), castagnoli)}}
}

func lazy(id string) *entry {
	return &entry{Entry{Kind: kindLazy, ID: id, Meta: []byte("more of " + id)}}
}

// owner keeps what it is told.
type owner struct {
	*Journal[*entry]
	mu      sync.Mutex
	order   []string // IDs, in the order of the journal
	read    []string // of those, what was read back
	damaged int
	short   int
	syncs   int
	end     Position
	full    []bool
	faults  []error
	log     bytes.Buffer
	applied func() // is called at the end of Applied
	running sync.WaitGroup
}

type limits struct {
	segment int64
	settle  time.Duration
	from    Position
}

func begin(t *testing.T, dir string, disk Disk, l limits) *owner {
	t.Helper()
	o := &owner{}
	if l.segment == 0 {
		l.segment = 1 << 20
	}
	if l.from == (Position{}) {
		l.from = Position{1, SegmentHead}
	}
	x := NewSegments(filepath.Join(dir, "segments"), &format, disk, slog.New(slog.NewTextHandler(&o.log, nil)))
	reserve := NewReserve(filepath.Join(dir, "reserve"), 4096, errNoSpace, func(full bool) { o.full = append(o.full, full) }, func() {})
	o.Journal = New(x, reserve, NewFault(errBroken, func(err error) { o.faults = append(o.faults, err) }), Config[*entry]{
		Errors:       Errors{Closed: errClosed, NoSpace: errNoSpace, Broken: errBroken},
		SegmentBytes: l.segment, BatchBytes: 1 << 20, Settle: l.settle,
		Applied: func(batch []*entry, end Position) {
			o.mu.Lock()
			defer o.mu.Unlock()
			for _, e := range batch {
				o.order = append(o.order, e.ID)
			}
			if o.end = end; o.applied != nil {
				o.applied()
			}
		},
		Room: func() error { return nil }, Live: func(uint32) int64 { return 1 << 40 }, Synced: func(time.Duration) { o.syncs++ },
	})
	if err := errors.Join(os.MkdirAll(x.dir, 0o700), disk.SyncDir(dir), reserve.Make()); err != nil {
		t.Fatal(err)
	}
	numbers, err := x.Numbers()
	if err != nil {
		t.Fatal(err)
	}
	if schema, err := x.FindSalt(numbers, Checkpoint{}); err != nil || schema > format.Schema {
		t.Fatal(schema, err)
	}
	at, err := x.Replay(l.from, &Scan{
		Record: func(_ *Reader, _ int64, h Head, meta []byte) error {
			if want := map[Kind]string{kindBody: "meta of ", kindLazy: "more of "}[h.Kind] + h.ID; string(meta) != want {
				t.Errorf("meta data %q, want %q", meta, want)
			}
			o.read = append(o.read, h.ID)
			return nil
		},
		Damaged: func(*Reader, int64, int64) error { o.damaged++; return nil },
		Short:   func(*Reader) { o.short++ },
	})
	if err == nil {
		o.end, err = o.Start(at)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.order = slices.Clone(o.read)
	o.running.Go(o.Run)
	return o
}

// stop closes the journal.
func (o *owner) stop(t *testing.T) {
	t.Helper()
	o.Close()
	o.running.Wait()
	if err := o.Abandon(); err != nil {
		t.Error(err)
	}
}

func (o *owner) append(t *testing.T, entries ...*entry) {
	t.Helper()
	if err := o.Append(entries...); err != nil {
		t.Fatal(err)
	}
}

// Records of many who wait at once share syncs, and are read back in the order in which the owner
// saw them, bodies too.
func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	o := begin(t, dir, OS{}, limits{segment: 8 << 10})
	var all sync.WaitGroup
	var mu sync.Mutex
	bodies := map[Position]string{}
	for g := range 20 {
		all.Go(func() {
			for i := range 20 {
				e := body(fmt.Sprintf("id%d-%d", g, i), strings.Repeat("text ", g*i))
				if err := o.Append(e, lazy(e.ID)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				bodies[e.At] = string(e.Body)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if o.syncs >= 800 {
		t.Errorf("%d syncs for 800 records", o.syncs)
	}
	for at, text := range bodies {
		if b, err := o.Body(at, int64(len(text)), crc32.Checksum([]byte(text), castagnoli)); err != nil || string(b) != text {
			t.Fatalf("body at %v: %d bytes, %v", at, len(b), err)
		}
	}
	o.stop(t)
	if !errors.Is(o.Append(lazy("id")), errClosed) {
		t.Error("a closed journal takes records")
	}
	again := begin(t, dir, OS{}, limits{segment: 8 << 10})
	defer again.stop(t)
	if !slices.Equal(again.read, o.order) || again.damaged != 0 || again.end != o.end || again.log.Len() > 0 {
		t.Errorf("%d of %d records, %d damaged, log %s", len(again.read), len(o.order), again.damaged, again.log.String())
	}
	if n, err := again.Numbers(); err != nil || len(n) < 10 {
		t.Errorf("segments %v, %v", n, err)
	}
}

// A lazy record waits for Settle, or for the next urgent one, which takes it along.
func TestLazyRecordsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := begin(t, t.TempDir(), OS{}, limits{settle: time.Minute})
		defer o.stop(t)
		begun := time.Now()
		o.append(t, lazy("id1"))
		if waited := time.Since(begun); waited != time.Minute || o.syncs != 1 {
			t.Errorf("waited for %v, %d syncs", waited, o.syncs)
		}
		var both sync.WaitGroup
		begun = time.Now()
		both.Go(func() { o.append(t, lazy("id2")) })
		synctest.Wait()
		o.append(t, body("id3", "text"))
		both.Wait()
		if waited := time.Since(begun); waited != 0 || o.syncs != 2 {
			t.Errorf("waited for %v, %d syncs", waited, o.syncs)
		}
	})
}

// A lazy record that comes while others are written waits for its time, too.
func TestLazyRecordDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := begin(t, t.TempDir(), OS{}, limits{settle: time.Minute})
		defer o.stop(t)
		var late sync.WaitGroup
		o.applied = func() {
			o.applied = nil
			late.Go(func() { o.append(t, lazy("id2")) })
			<-time.After(time.Second)
		}
		begun := time.Now()
		o.append(t, body("id1", "text"))
		late.Wait()
		if waited := time.Since(begun); waited < time.Minute {
			t.Errorf("waited for %v", waited)
		}
	})
}

// Whatever becomes of the last write, it is cut off with one warning, and everything before it is
// there.
func TestTornEnd(t *testing.T) {
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
			o := begin(t, dir, OS{}, limits{})
			o.append(t, body("id1", "first"))
			last := o.end.Offset
			o.append(t, body("id2", strings.Repeat("torn", 1000)), body("id3", "of the same write"))
			o.stop(t)
			b, err := os.ReadFile(o.Path(1))
			if err := errors.Join(err, os.WriteFile(o.Path(1), tear(b, int(last)), 0o600)); err != nil {
				t.Fatal(err)
			}
			o = begin(t, dir, OS{}, limits{})
			if strings.Count(o.log.String(), "level=WARN") != 1 || o.damaged != 0 || o.read[0] != "id1" || slices.Contains(o.read, "id2") {
				t.Errorf("read %v, %d damaged, log %s", o.read, o.damaged, o.log.String())
			}
			if sizes, err := o.Sizes(); err != nil || sizes[1] != o.end.Offset {
				t.Errorf("%d bytes, the end is at %v: %v", sizes[1], o.end, err)
			}
			o.append(t, body("id4", "after"))
			o.stop(t)
			o = begin(t, dir, OS{}, limits{})
			defer o.stop(t)
			if !slices.Contains(o.read, "id1") || !slices.Contains(o.read, "id4") {
				t.Errorf("read %v", o.read)
			}
			if name != "head garbled" && name != "body garbled" && (len(o.read) != 2 || o.log.Len() > 0) {
				t.Errorf("what was cut off is still there: read %v, log %s", o.read, o.log.String())
			}
		})
	}
}

// What is damaged before the end is told to the owner, and all else is read. A body that looks like
// a record is not taken for one.
func TestDamagedMiddle(t *testing.T) {
	for name, at := range map[string]int{"head": 30, "meta data": 70, "body": 700} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := begin(t, dir, OS{}, limits{})
			o.append(t, body("id1", "first"))
			from := int(o.end.Offset)
			forged := format.AppendRecord(nil, 1, o.Salt^1, 0, &lazy("id-forged").Entry)
			o.append(t, body("id-other", strings.Repeat(string(forged), 20))) // which stand where a record may
			o.append(t, body("id3", "third"))
			o.append(t, body("id4", "fourth"))
			o.stop(t)
			b, err := os.ReadFile(o.Path(1))
			if err != nil {
				t.Fatal(err)
			}
			b[from+at] ^= 0x40
			if err := os.WriteFile(o.Path(1), b, 0o600); err != nil {
				t.Fatal(err)
			}
			o = begin(t, dir, OS{}, limits{})
			defer o.stop(t)
			if !slices.Equal(o.read, []string{"id1", "id3", "id4"}) || o.damaged != 1 {
				t.Errorf("read %v, %d damaged", o.read, o.damaged)
			}
		})
	}
}

// Where the last segment is missing or shorter than it was, the journal goes on in a segment with a
// new number.
func TestLastSegmentLost(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"deleted": os.Remove,
		"cut off": func(path string) error { return os.Truncate(path, 100) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := begin(t, dir, OS{}, limits{})
			o.append(t, body("id1", "lost"))
			reached := o.end
			o.stop(t)
			if err := spoil(o.Path(1)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				o = begin(t, dir, OS{}, limits{from: reached})
				if o.end.Segment != 2 || len(o.read) > 0 && o.read[0] != "id2" {
					t.Errorf("goes on at %v, read %v", o.end, o.read)
				}
				o.append(t, body("id2", "new"))
				o.stop(t)
			}
		})
	}
}

// Bodies that are not what was written, or not there, give ErrDamaged with the name of the file.
func TestDamagedBody(t *testing.T) {
	o := begin(t, t.TempDir(), OS{}, limits{segment: 100})
	defer o.stop(t)
	e := body("id1", "text")
	o.append(t, e)
	o.append(t, body("id2", "of another segment"))
	for name, f := range map[string]func() ([]byte, error){
		"sum":     func() ([]byte, error) { return o.Body(e.At, 4, e.Sum+1) },
		"cut off": func() ([]byte, error) { return o.Body(e.At, 4000, e.Sum) },
		"missing": func() ([]byte, error) { return o.Body(Position{9, 64}, 4, e.Sum) },
	} {
		if _, err := f(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), ".seg") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := o.Body(e.At, 4, e.Sum); err != nil || string(b) != "text" {
		t.Errorf("%q, %v", b, err)
	}
	if err := o.Remove(1); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Body(e.At, 4, e.Sum); !errors.Is(err, ErrDamaged) {
		t.Errorf("of a removed segment: %v", err)
	}
}

// A checkpoint appears whole or not at all, takes the place of the one before only when its owner
// says so, and what is not whole is told.
func TestCheckpoint(t *testing.T) {
	d := &sickDisk{}
	o := begin(t, t.TempDir(), d, limits{})
	defer o.stop(t)
	write := func(n uint32, texts ...string) (Checkpoint, error) {
		w, err := o.BeginCheckpoint(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			err = errors.Join(err, w.Add(&Entry{Kind: kindMark, Meta: []byte(text)}))
		}
		return w.End(err)
	}
	read := func(c Checkpoint) (texts []string, damaged int) {
		if err := o.ReadCheckpoint(c, &Scan{
			Record:  func(_ *Reader, _ int64, _ Head, meta []byte) error { texts = append(texts, string(meta)); return nil },
			Damaged: func(*Reader, int64, int64) error { damaged++; return nil },
		}); err != nil {
			t.Fatal(err)
		}
		return texts, damaged
	}
	first, err := write(3, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"write", "sync", "rename"} {
		d.sicken(on(syscall.EIO, CheckpointExt, op))
		if _, err := write(4, "c"); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", op, err)
		}
		if sizes, err := o.sizes(CheckpointExt + unfinished); err != nil || len(sizes) > 0 {
			t.Errorf("%s: left %v, %v", op, sizes, err)
		}
	}
	d.heal()
	if found, err := o.FindCheckpoint(); err != nil || found != first {
		t.Fatalf("found %v, %v, want %v", found, err, first)
	}
	second, err := write(5, "c", strings.Repeat("d", 1<<20), "e")
	if err := errors.Join(err, os.WriteFile(o.checkpointPath(7)+unfinished, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	found, err := o.FindCheckpoint()
	if err != nil || found != second {
		t.Fatalf("found %v, %v, want %v", found, err, second)
	}
	if texts, damaged := read(found); len(texts) != 3 || texts[2] != "e" || damaged != 0 {
		t.Errorf("read %.10v, %d damaged", texts, damaged)
	}
	names, err := os.ReadDir(o.dir)
	if err != nil || len(names) != 2 {
		t.Errorf("left: %v, %v", names, err)
	}
	if err := os.Truncate(o.checkpointPath(5), second.Size+8); err != nil {
		t.Fatal(err)
	}
	if texts, damaged := read(found); len(texts) != 3 || damaged != 1 {
		t.Errorf("zeros behind the end: read %.10v, %d damaged", texts, damaged)
	}
	if err := os.Truncate(o.checkpointPath(5), second.Size-8); err != nil {
		t.Fatal(err)
	}
	if texts, damaged := read(found); len(texts) != 2 || damaged != 1 {
		t.Errorf("read %.10v, %d damaged", texts, damaged)
	}
	if err := o.RemoveCheckpoint(found); err != nil {
		t.Error(err)
	}
	if found, err := o.FindCheckpoint(); err != nil || found != (Checkpoint{}) {
		t.Errorf("found %v, %v", found, err)
	}
}

// The salt comes from any head that is whole, or from the first record, and a file of another
// schema is told.
func TestFindSalt(t *testing.T) {
	o := begin(t, t.TempDir(), OS{}, limits{})
	o.append(t, body("id1", "text"))
	o.stop(t)
	b, err := os.ReadFile(o.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	find := func() (uint64, int) {
		t.Helper()
		x := NewSegments(o.dir, &format, OS{}, o.Segments.log)
		schema, err := x.FindSalt([]uint32{1}, Checkpoint{})
		if err != nil {
			t.Fatal(err)
		}
		return x.Salt, schema
	}
	if salt, schema := find(); salt != o.Salt || schema != format.Schema {
		t.Errorf("salt %x, schema %d", salt, schema)
	}
	clear(b[:SegmentHead])
	if err := os.WriteFile(o.Path(1), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if salt, schema := find(); salt != o.Salt || schema != 0 {
		t.Errorf("salt %x, schema %d", salt, schema)
	}
}
