package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"dinkymail/queue"
)

// makeDirs makes the directories that are missing. Their names survive power loss before anything is written to them, also when a
// process before this one made them and was cut off.
func (s *Store) makeDirs() error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	made := missingDirs(dir)
	for _, d := range []string{"", "segments", "large", "damaged"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	for _, d := range []string{"segments", "large", "damaged", ""} {
		if err := s.cfg.disk.syncDir(filepath.Join(dir, d)); err != nil {
			return err
		}
	}
	if len(made) == 0 { // whoever made it may not let us read the directory it is in
		_ = s.cfg.disk.syncDir(filepath.Dir(dir))
	}
	for _, d := range made {
		if err := s.cfg.disk.syncDir(filepath.Dir(d)); err != nil && !errors.Is(err, fs.ErrPermission) {
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

func (s *Store) cannotWrite(err error) error {
	switch {
	case noSpace(err), errors.Is(err, queue.ErrNoSpace):
		return fmt.Errorf("no space left for the queue in %s: %w; free space on this disk", s.dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("cannot write the queue in %s: %w; the kernel's log (dmesg) tells why, check that disk and mount it for writing again",
			s.dir, err)
	}
	return fmt.Errorf("cannot write the queue in %s: %w; set DATA_DIR to a directory that the user we run as (uid %d) may write",
		s.dir, err, os.Getuid())
}

// lockFile is the name of the file in a store's directory that is there first, and that who has the store open holds.
const lockFile = "lock"

// Parts are what a store has in its directory, the index last.
var Parts = []string{"segments", "large", "damaged", "reserve", lockFile, "queue.db"}

// Kept is nil when a queue was ever kept in dir; else the error says why not, or that this cannot be seen.
func Kept(dir string) error {
	_, err := os.Stat(filepath.Join(dir, lockFile))
	return err
}

// takeLock keeps a second process out.
func (s *Store) takeLock() error {
	path := filepath.Join(s.dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return s.cannotWrite(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path) // only for the sentence
		return errors.Join(s.inUse(strings.TrimSpace(string(owner))), f.Close())
	}
	s.lock = f
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := f.Truncate(0); err != nil {
		return s.cannotWrite(err)
	}
	if _, err := f.WriteAt(pid, 0); err != nil && !noSpace(err) {
		return s.cannotWrite(err)
	}
	return nil
}

func (s *Store) inUse(pid string) error {
	if pid == "" {
		pid = "unknown"
	}
	return fmt.Errorf("%w: another dinkymail is using %s (pid %s); stop it, or set DATA_DIR to a directory of this one's own",
		ErrInUse, s.dir, pid)
}
