package journal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// File is what the journal needs of a file. Tests put one in the way that breaks.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the data written so far survive power loss.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// Disk opens files and makes their names last. The real one is OS.
type Disk interface {
	Open(path string, flag int) (File, error)
	// Rename gives a file another name, which survives power loss.
	Rename(from, to string) error
	// SyncDir makes the names in a directory survive power loss.
	SyncDir(dir string) error
}

// OS is the disk of this machine.
type OS struct{}

// Open implements Disk.
func (OS) Open(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements Disk.
func (d OS) Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(to))
}

// SyncDir implements Disk.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// NoSpace reports whether err means that the disk, the quota or the permitted file size is used up.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
