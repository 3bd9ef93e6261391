//go:build unix

package sendmail

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// groupOf is the name of the group that a file belongs to; its number where it has none.
func groupOf(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	number := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}
