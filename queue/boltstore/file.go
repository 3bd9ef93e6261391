package boltstore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// file is what the store needs of a file. Tests put one in the way that breaks.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the data written so far survive power loss.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// disk opens the store's own files and commits its transactions. The real one is osDisk.
type disk interface {
	open(path string, flag int) (file, error)
	rename(from, to string) error
	// syncDir makes the names in a directory survive power loss.
	syncDir(dir string) error
	commit(tx *bolt.Tx) error
}

type osDisk struct{}

func (osDisk) open(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func (osDisk) syncDir(dir string) error { return syncDir(dir) }

func (osDisk) commit(tx *bolt.Tx) error { return tx.Commit() }

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// syncDir makes the names in a directory survive power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// noSpace reports whether err means that the disk, the quota or the permitted file size is used up.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
