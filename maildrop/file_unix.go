//go:build unix

package maildrop

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openPlain opens a file that is neither a link nor waits for a writer.
func openPlain(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// owner is the user a file belongs to.
func owner(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

// links is how many names a file has.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink) //nolint:unconvert // not everywhere of this size
	}
	return 1
}

// belongs reports whether a file is in a group already. A change that is none may be forbidden,
// too.
func belongs(info fs.FileInfo, gid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Gid) == gid
}

// giveToGroup gives a new file to the group of its directory. The directory's owner, who picks it
// up, can read it in any case.
func giveToGroup(f *os.File, place fs.FileInfo) error {
	st, ok := place.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err == nil && belongs(info, int(st.Gid)) {
		return nil
	}
	err = f.Chown(-1, int(st.Gid))
	if errors.Is(err, fs.ErrPermission) && info != nil && owner(info) == st.Uid {
		return nil
	}
	return err
}
