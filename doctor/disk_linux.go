package doctor

import "golang.org/x/sys/unix"

// File systems that do not outlive what they belong to, by their magic numbers.
const (
	tmpfs   = 0x01021994
	overlay = 0x794c7630
)

// diskSpace asks the file system of dir.
func diskSpace(dir string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return space{}, err
	}
	s := space{
		free:  int64(st.Bavail) * int64(st.Bsize), //nolint:unconvert // other machines have other types
		nodes: st.Ffree, countsNodes: st.Files > 0, readOnly: st.Flags&unix.ST_RDONLY != 0,
	}
	switch uint32(st.Type) {
	case tmpfs:
		s.passing = "in memory (tmpfs), and gone after a restart of the machine"
	case overlay:
		s.passing = "in the container itself, and gone with it"
	}
	return s, nil
}
