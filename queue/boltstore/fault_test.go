package boltstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
	"dinkymail/queue/queuetest"
)

// sickDisk is a disk that fails when told to. A write that fails writes half of what it should.
type sickDisk struct {
	osDisk
	fail atomic.Pointer[func(op, path string) error]
}

func (d *sickDisk) sicken(f func(op, path string) error) { d.fail.Store(&f) }

func (d *sickDisk) heal() { d.fail.Store(nil) }

func (d *sickDisk) check(op, path string) error {
	if f := d.fail.Load(); f != nil {
		return (*f)(op, path)
	}
	return nil
}

func (d *sickDisk) Open(path string, flag int) (journal.File, error) {
	if err := d.check("open", path); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f, err := d.osDisk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return sickFile{f, d, path}, nil
}

func (d *sickDisk) Rename(from, to string) error {
	if err := d.check("rename", to); err != nil {
		return err
	}
	return d.osDisk.Rename(from, to)
}

func (d *sickDisk) commit(tx *bolt.Tx) error {
	if err := d.check("commit", "queue.db"); err != nil {
		return err
	}
	return tx.Commit()
}

type sickFile struct {
	journal.File
	d    *sickDisk
	path string
}

func (f sickFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.check("write", f.path); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, &os.PathError{Op: "write", Path: f.path, Err: err}
	}
	return f.File.WriteAt(b, off)
}

func (f sickFile) Sync() error {
	if err := f.d.check("sync", f.path); err != nil {
		return &os.PathError{Op: "sync", Path: f.path, Err: err}
	}
	return f.File.Sync()
}

func (f sickFile) Truncate(n int64) error {
	if err := f.d.check("truncate", f.path); err != nil {
		return &os.PathError{Op: "truncate", Path: f.path, Err: err}
	}
	return f.File.Truncate(n)
}

// on fails the named operations on paths that contain part.
func on(err error, part string, ops ...string) func(op, path string) error {
	return func(op, path string) error {
		for _, o := range ops {
			if o == op && strings.Contains(path, part) {
				return err
			}
		}
		return nil
	}
}

// keep accepts a message with a body and gives the error.
func keep(s *Store, text string) (queue.ID, error) {
	m := queuetest.Message("bob")
	_, err := s.Put(strings.NewReader(text), func(int64) (queue.Message, error) { return m, nil })
	return m.ID, err
}

func mustKeep(t testing.TB, s *Store, text string) queue.ID {
	t.Helper()
	id, err := keep(s, text)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	return id
}

func mustRead(t testing.TB, s *Store, id queue.ID, want string) {
	t.Helper()
	r, err := s.Body(id)
	if err != nil {
		t.Fatalf("Body: %v", err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil || b.String() != want {
		t.Fatalf("body of %s: %d bytes, want %d, %v", id, b.Len(), len(want), err)
	}
}

func done(m *queue.Message) {
	m.Results[0] = queue.Result{Outcome: queue.Delivered}
	m.Legs[0].Next, m.Finished = time.Time{}, time.Now()
}

// With the disk full at any write, Put says so and keeps nothing; results can still be recorded
// from the reserve; once there is space mail is taken again by itself, and everything acknowledged
// is there after a restart.
func TestDiskFull(t *testing.T) {
	large := strings.Repeat("large ", 100<<10)
	for _, c := range []struct{ part, op, text string }{
		{"/segments/", "write", "small"}, {"/segments/", "sync", "small"}, {"/large/", "write", large}, {"/large/", "sync", large},
		{"/large/", "rename", large},
	} {
		t.Run(filepath.Base(c.part)+"-"+c.op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, d := t.TempDir(), &sickDisk{}
				s := open(t, dir, Config{disk: d})
				before := mustKeep(t, s, "before")
				other := mustKeep(t, s, "other")
				reserve := filepath.Join(dir, "reserve")
				d.sicken(func(op, path string) error {
					_, err := os.Stat(reserve)
					if err == nil || c.part == "/large/" { // the reserve leaves room for little once it is given up
						return on(syscall.ENOSPC, c.part, c.op)(op, path)
					}
					return nil
				})
				id, err := keep(s, c.text)
				if !errors.Is(err, queue.ErrNoSpace) {
					t.Fatalf("Put: got %v, want ErrNoSpace", err)
				}
				if _, err := s.Get(id); !errors.Is(err, queue.ErrNotFound) {
					t.Fatalf("Get of what was refused: %v", err)
				}
				if _, err := s.Update(before, done); err != nil {
					t.Fatalf("a result is not recorded: %v", err)
				}
				d.heal()
				pass(time.Second)
				after := mustKeep(t, s, "after")
				if err := s.Check(); err != nil {
					t.Fatalf("Check: %v", err)
				}
				shut(t, s)
				s = open(t, dir, Config{})
				defer shut(t, s)
				mustRead(t, s, other, "other")
				mustRead(t, s, after, "after")
				if m, err := s.Get(before); err != nil || m.Finished.IsZero() {
					t.Fatalf("recorded result: %+v, %v", m, err)
				}
				if names, _ := os.ReadDir(filepath.Join(dir, "large")); len(names) != 0 {
					t.Fatalf("left in large: %v", names)
				}
				if st := s.Stats(); st.Waiting != 2 || st.Finished != 1 || st.Damaged != 0 {
					t.Fatalf("stats %+v", st)
				}
			})
		})
	}
}

// A disk so full that even the reserve does not help refuses everything, and goes on once it is
// not.
func TestDiskFullerThanTheReserve(t *testing.T) {
	dir, d := t.TempDir(), &sickDisk{}
	s := open(t, dir, Config{disk: d})
	id := mustKeep(t, s, "body")
	d.sicken(on(syscall.ENOSPC, "/segments/", "write"))
	if _, err := s.Update(id, done); !errors.Is(err, queue.ErrNoSpace) {
		t.Fatalf("Update: %v", err)
	}
	if _, err := keep(s, "x"); !errors.Is(err, queue.ErrNoSpace) {
		t.Fatalf("Put: %v", err)
	}
	d.heal()
	if _, err := s.Update(id, done); err != nil {
		t.Fatalf("Update when there is space: %v", err)
	}
	shut(t, s)
}

// While the index cannot grow, mail is still accepted into the journal up to the bound on what it
// may lag behind, then refused; when it can grow again nothing is missing.
func TestIndexFull(t *testing.T) { synctest.Test(t, indexFull) }

func indexFull(t *testing.T) {
	dir, d := t.TempDir(), &sickDisk{}
	s := open(t, dir, Config{FlushRecords: 4, FlushDelay: time.Millisecond, disk: d})
	d.sicken(on(syscall.ENOSPC, "queue.db", "commit"))
	var kept []queue.ID
	for {
		id, err := keep(s, "x")
		if errors.Is(err, queue.ErrNoSpace) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if kept = append(kept, id); len(kept) > 100 {
			t.Fatal("the index may lag behind without bound")
		}
	}
	d.heal()
	for deadline := time.Now().Add(5 * time.Second); ; {
		pass(time.Second)
		id, err := keep(s, "x")
		if err == nil {
			kept = append(kept, id)
			break
		}
		if !errors.Is(err, queue.ErrNoSpace) || time.Now().After(deadline) {
			t.Fatalf("Put after the disk has space: %v", err)
		}
	}
	shut(t, s)
	s = open(t, dir, Config{})
	defer shut(t, s)
	for _, id := range kept {
		mustRead(t, s, id, "x")
	}
}

// A write or sync that fails for any other reason, such as a disk that the kernel has made
// read-only, breaks the store until it is opened anew: every later change says so, what was
// acknowledged is there, and what was not is not. Reading goes on.
func TestSickDiskBreaksTheStore(t *testing.T) {
	for _, c := range []struct {
		op  string
		err syscall.Errno
	}{{"write", syscall.EIO}, {"sync", syscall.EIO}, {"write", syscall.EROFS}, {"sync", syscall.EROFS}} {
		t.Run(c.op+" "+c.err.Error(), func(t *testing.T) {
			dir, d := t.TempDir(), &sickDisk{}
			s := open(t, dir, Config{disk: d})
			before := mustKeep(t, s, "before")
			d.sicken(on(c.err, "/segments/", c.op))
			if _, err := keep(s, "lost"); !errors.Is(err, queue.ErrBroken) || !errors.Is(err, c.err) {
				t.Fatalf("Put: %v", err)
			}
			d.heal()
			if _, err := keep(s, "refused"); !errors.Is(err, queue.ErrBroken) {
				t.Fatalf("Put later: %v", err)
			}
			if _, err := s.Update(before, done); !errors.Is(err, queue.ErrBroken) {
				t.Fatalf("Update: %v", err)
			}
			if !errors.Is(s.Check(), queue.ErrBroken) || !errors.Is(s.Broken(), queue.ErrBroken) {
				t.Fatalf("Check: %v, Broken: %v", s.Check(), s.Broken())
			}
			mustRead(t, s, before, "before")
			shut(t, s)
			s = open(t, dir, Config{})
			defer shut(t, s)
			mustRead(t, s, before, "before")
			if _, err := s.Update(before, done); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("commit", func(t *testing.T) {
		dir, d := t.TempDir(), &sickDisk{}
		s := open(t, dir, Config{FlushRecords: 1, disk: d})
		d.sicken(on(syscall.EIO, "queue.db", "commit"))
		id := mustKeep(t, s, "in the journal")
		for range 1000 {
			if _, err := keep(s, "x"); errors.Is(err, queue.ErrBroken) {
				break
			}
		}
		if s.Broken() == nil {
			t.Fatal("an index that cannot be written must stop the store")
		}
		shut(t, s)
		s = open(t, dir, Config{})
		defer shut(t, s)
		mustRead(t, s, id, "in the journal")
	})
}

// Without file descriptors a Put that needs one fails alone, and a segment that cannot be begun is
// no reason to refuse mail.
func TestNoFileDescriptors(t *testing.T) {
	d := &sickDisk{}
	s := open(t, t.TempDir(), Config{SegmentBytes: 8 << 10, disk: d})
	defer shut(t, s)
	d.sicken(on(syscall.EMFILE, "", "open"))
	if _, err := keep(s, strings.Repeat("x", 300<<10)); !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("large Put: %v", err)
	}
	var kept []queue.ID
	for range 50 {
		kept = append(kept, mustKeep(t, s, strings.Repeat("x", 1000)))
	}
	d.heal()
	for _, id := range kept {
		mustRead(t, s, id, strings.Repeat("x", 1000))
	}
}

// Many at once with a disk that is full now and then: whoever was told that a message is kept finds
// it after a restart.
func TestDiskFullNowAndThen(t *testing.T) { synctest.Test(t, diskFullNowAndThen) }

func diskFullNowAndThen(t *testing.T) {
	dir, d := t.TempDir(), &sickDisk{}
	cfg := Config{SegmentBytes: 30 << 10, LargeBytes: 8 << 10, FlushRecords: 20, FlushDelay: 5 * time.Millisecond, disk: d}
	s := open(t, dir, cfg)
	var n atomic.Int64
	d.sicken(func(op, _ string) error {
		if op != "open" && op != "truncate" && n.Add(1)%7 == 0 {
			return syscall.ENOSPC
		}
		return nil
	})
	var mu sync.Mutex
	kept := map[queue.ID]string{}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 60 {
				text := strings.Repeat("x", (g*60+i)*30)
				id, err := keep(s, text)
				if err == nil {
					mu.Lock()
					kept[id] = text
					mu.Unlock()
				} else if !errors.Is(err, queue.ErrNoSpace) {
					t.Errorf("Put: %v", err)
				} else {
					pass(time.Second)
				}
			}
		})
	}
	all.Wait()
	d.heal()
	shut(t, s)
	cfg.disk = nil
	s = open(t, dir, cfg)
	defer shut(t, s)
	for id, text := range kept {
		mustRead(t, s, id, text)
	}
	if st := s.Stats(); st.Waiting != len(kept) || st.Damaged != 0 || len(kept) == 0 {
		t.Fatalf("%d kept, stats %+v", len(kept), st)
	}
}

// Who reads while the index is opened anew, as after a full disk, waits for it and is not told that
// the store is shut.
func TestReadersWaitForReopen(t *testing.T) {
	s := open(t, t.TempDir(), Config{FlushDelay: time.Millisecond})
	defer shut(t, s)
	id := mustKeep(t, s, "text")
	if err := s.lastFlush(); err != nil { // or it would be read from memory
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			if err := s.index.open(); err != nil {
				t.Error(err)
			}
		}
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		if _, err := s.Get(id); err != nil {
			t.Fatal(err)
		}
	}
}
