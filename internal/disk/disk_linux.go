// Package disk asks a file system how much room it has.
package disk

import "golang.org/x/sys/unix"

// Room is how many bytes the file system of dir has free for us, and in all; zeros when it does not tell.
func Room(dir string) (free, size int64) {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0, 0
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize
}
