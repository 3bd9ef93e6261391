package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// disk opens the store's own files and commits its transactions. The real one is osDisk.
type disk interface {
	journal.Disk
	commit(tx *bolt.Tx) error
}

type osDisk struct{ journal.OS }

func (osDisk) commit(tx *bolt.Tx) error { return tx.Commit() }

// directory is where the store is.
type directory struct {
	dir  string
	disk disk
	log  *slog.Logger
	lock *os.File // held while a process uses it
}

func (d *directory) path(name string) string { return filepath.Join(d.dir, name) }

// makeDirs makes the directories that are missing. Their names survive power loss before anything
// is written to them, also when a process before this one made them and was cut off.
func (d *directory) makeDirs() error {
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return err
	}
	made := missingDirs(dir)
	for _, sub := range []string{"segments", "large", "damaged", ""} {
		path := filepath.Join(dir, sub)
		if err = os.MkdirAll(path, 0o700); err == nil {
			err = d.disk.SyncDir(path)
		}
		if err != nil {
			return err
		}
	}
	if len(made) == 0 { // whoever made it may not let us read the directory it is in
		_ = d.disk.SyncDir(filepath.Dir(dir))
	}
	for _, sub := range made {
		if err := d.disk.SyncDir(filepath.Dir(sub)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// missingDirs are those of dir and the directories it is in that are not there.
func missingDirs(dir string) (missing []string) {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		missing = append(missing, dir)
	}
}

func (d *directory) cannotWrite(err error) error {
	switch {
	case journal.NoSpace(err), errors.Is(err, queue.ErrNoSpace):
		return fmt.Errorf("no space left for the queue in %s: %w; free space on this disk", d.dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("cannot write the queue in %s: %w; the kernel's log (dmesg) tells why, check that disk and mount it for writing again",
			d.dir, err)
	}
	return fmt.Errorf("cannot write the queue in %s: %w; set DATA_DIR to a directory that the user we run as (uid %d) may write",
		d.dir, err, os.Getuid())
}

// lockFile is the name of the file in a store's directory that is there first, and that who has the
// store open holds.
const lockFile = "lock"

// Parts are what a store has in its directory, the index last.
var Parts = []string{"segments", "large", "damaged", "reserve", lockFile, "queue.db"}

// Kept is nil when a queue was ever kept in dir; else the error says why not, or that this cannot
// be seen.
func Kept(dir string) error {
	_, err := os.Stat(filepath.Join(dir, lockFile))
	return err
}

// takeLock keeps a second process out.
func (d *directory) takeLock() error {
	path := d.path(lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return d.cannotWrite(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path) // only for the sentence
		return errors.Join(d.inUse(strings.TrimSpace(string(owner))), f.Close())
	}
	d.lock = f
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := f.Truncate(0); err != nil {
		return d.cannotWrite(err)
	}
	if _, err := f.WriteAt(pid, 0); err != nil && !journal.NoSpace(err) {
		return d.cannotWrite(err)
	}
	return nil
}

func (d *directory) inUse(pid string) error {
	if pid == "" {
		pid = "unknown"
	}
	return fmt.Errorf("%w: another dinkymail is using %s (pid %s); stop it, or set DATA_DIR to a directory of this one's own",
		ErrInUse, d.dir, pid)
}
