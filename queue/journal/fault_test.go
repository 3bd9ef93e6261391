package journal

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// sickDisk is a disk that fails when told to. A write that fails writes half of what it should.
type sickDisk struct {
	OS
	fail atomic.Pointer[func(op, path string) error]
}

func (d *sickDisk) sicken(f func(op, path string) error) { d.fail.Store(&f) }

func (d *sickDisk) heal() { d.fail.Store(nil) }

func (d *sickDisk) check(op, path string) error {
	if f := d.fail.Load(); f != nil {
		if err := (*f)(op, path); err != nil {
			return &os.PathError{Op: op, Path: path, Err: err}
		}
	}
	return nil
}

func (d *sickDisk) Open(path string, flag int) (File, error) {
	if err := d.check("open", path); err != nil {
		return nil, err
	}
	f, err := d.OS.Open(path, flag)
	return sickFile{f, d, path}, err
}

func (d *sickDisk) Rename(from, to string) error {
	if err := d.check("rename", to); err != nil {
		return err
	}
	return d.OS.Rename(from, to)
}

type sickFile struct {
	File
	d    *sickDisk
	path string
}

func (f sickFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.check("write", f.path); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func (f sickFile) Sync() error {
	if err := f.d.check("sync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f sickFile) Truncate(n int64) error {
	if err := f.d.check("truncate", f.path); err != nil {
		return err
	}
	return f.File.Truncate(n)
}

// on fails the named operations on paths that contain part.
func on(err error, part string, ops ...string) func(op, path string) error {
	return func(op, path string) error {
		if strings.Contains(path, part) && slices.Contains(ops, op) {
			return err
		}
		return nil
	}
}

// On a full disk what is not essential is refused and nothing of it kept; what is essential goes
// into the reserve. Once there is space, Restore has the reserve back.
func TestFullDisk(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fullDisk(t, op) })
		})
	}
}

func fullDisk(t *testing.T, op string) {
	dir, d := t.TempDir(), &sickDisk{}
	o := begin(t, dir, d, limits{})
	o.append(t, body("id1", "before"))
	d.sicken(func(is, path string) error {
		if _, err := os.Stat(o.Reserve.path); err == nil { // the reserve leaves room once it is given up
			return on(syscall.ENOSPC, ".seg", op)(is, path)
		}
		return nil
	})
	if err := o.Append(body("id2", "refused")); !errors.Is(err, errNoSpace) {
		t.Errorf("what is new: %v", err)
	}
	if err := o.Append(lazy("id1")); err != nil {
		t.Errorf("what is essential: %v", err)
	}
	if err := o.Reserve.Restore(); !errors.Is(err, errNoSpace) || !o.Reserve.Tight() {
		t.Errorf("at once: %v", err)
	}
	d.heal()
	<-time.After(time.Second)
	if err := o.Reserve.Restore(); err != nil || o.Reserve.Tight() || !slices.Equal(o.full, []bool{true, false}) {
		t.Errorf("later: %v, told %v", err, o.full)
	}
	o.append(t, body("id3", "after"))
	o.stop(t)
	o = begin(t, dir, OS{}, limits{})
	defer o.stop(t)
	if !slices.Equal(o.read, []string{"id1", "id1", "id3"}) || o.damaged != 0 {
		t.Errorf("read %v, %d damaged", o.read, o.damaged)
	}
}

// What is essential finds the reserve also if it is the first to find the disk full.
func TestReserveIsForWhatIsEssential(t *testing.T) {
	d := &sickDisk{}
	o := begin(t, t.TempDir(), d, limits{})
	defer o.stop(t)
	d.sicken(func(is, path string) error {
		if _, err := os.Stat(o.Reserve.path); err == nil {
			return on(syscall.ENOSPC, ".seg", "write")(is, path)
		}
		return nil
	})
	o.append(t, lazy("id1"))
}

// What is read back counts as acknowledged from then on, so the journal does not start before it is
// synced.
func TestStartSyncs(t *testing.T) {
	d := &sickDisk{}
	o := begin(t, t.TempDir(), d, limits{})
	o.append(t, body("id1", "text"))
	o.stop(t)
	for _, at := range []Position{o.end, {Segment: o.end.Segment + 1}} {
		d.sicken(on(syscall.EIO, ".seg", "sync"))
		j := New(o.Segments, o.Reserve, o.Fault, Config[*entry]{})
		if _, err := j.Start(at); !errors.Is(err, syscall.EIO) {
			t.Errorf("at %v: %v", at, err)
		}
	}
	if n, err := o.Numbers(); err != nil || len(n) != 1 {
		t.Errorf("segments %v, %v", n, err)
	}
}

// A disk so full that even the reserve does not help refuses everything, and goes on once it is
// not.
func TestFullerThanTheReserve(t *testing.T) {
	d := &sickDisk{}
	o := begin(t, t.TempDir(), d, limits{})
	defer o.stop(t)
	d.sicken(on(syscall.ENOSPC, ".seg", "write"))
	if err := o.Append(lazy("id1")); !errors.Is(err, errNoSpace) {
		t.Error(err)
	}
	d.heal()
	o.append(t, lazy("id1"))
}

// After a write or a sync that fails otherwise, or a cut that fails, nothing is taken until the
// journal is opened anew. What was acknowledged is there then, and what was not is not.
func TestFault(t *testing.T) {
	for op, err := range map[string]syscall.Errno{"write": syscall.EIO, "sync": syscall.EROFS, "truncate": syscall.EIO} {
		t.Run(op, func(t *testing.T) {
			dir, d := t.TempDir(), &sickDisk{}
			o := begin(t, dir, d, limits{})
			o.append(t, body("id1", "before"))
			d.sicken(func(is, path string) error {
				if op == "truncate" && is == "write" {
					return syscall.ENOSPC
				}
				return on(err, ".seg", op)(is, path)
			})
			for range 2 {
				if got := o.Append(lazy("id2")); !errors.Is(got, errBroken) || !errors.Is(got, err) {
					t.Error(got)
				}
				d.heal()
			}
			if len(o.faults) != 1 {
				t.Errorf("told %d times", len(o.faults))
			}
			o.stop(t)
			o = begin(t, dir, OS{}, limits{})
			defer o.stop(t)
			if !slices.Equal(o.read, []string{"id1"}) {
				t.Errorf("read %v", o.read)
			}
		})
	}
}

// A segment that cannot be begun is no reason to refuse records: the last one grows on.
func TestSegmentNotBegun(t *testing.T) {
	d := &sickDisk{}
	dir := t.TempDir()
	o := begin(t, dir, d, limits{segment: 1000})
	d.sicken(on(syscall.EMFILE, "", "open"))
	for range 30 {
		o.append(t, body("id1", strings.Repeat("x", 200)))
	}
	d.heal()
	for range 10 {
		o.append(t, body("id2", strings.Repeat("x", 200)))
	}
	if o.end.Segment < 2 || !strings.Contains(o.log.String(), "segment not begun") {
		t.Errorf("at %v, log %s", o.end, o.log.String())
	}
	o.stop(t)
	o = begin(t, dir, OS{}, limits{})
	defer o.stop(t)
	if len(o.read) != 40 {
		t.Errorf("read %d", len(o.read))
	}
}
