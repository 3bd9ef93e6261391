package disk

import "golang.org/x/sys/unix"

// File systems that do not outlive what they belong to, by their magic numbers.
const (
	tmpfs   = 0x01021994
	overlay = 0x794c7630
)

// Look asks the file system of dir.
func Look(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, err
	}
	block := int64(st.Bsize) //nolint:unconvert // other machines have other types
	s := Space{
		Free: int64(st.Bavail) * block, Size: int64(st.Blocks) * block,
		Files: st.Ffree, CountsFiles: st.Files > 0, ReadOnly: st.Flags&unix.ST_RDONLY != 0,
	}
	switch uint32(st.Type) {
	case tmpfs:
		s.Passing = "in memory (tmpfs), and gone after a restart of the machine"
	case overlay:
		s.Passing = "in the container itself, and gone with it"
	}
	return s, nil
}
