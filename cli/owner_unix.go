//go:build linux || darwin || freebsd || netbsd || openbsd

package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// becomeOwner makes root the user whom dir belongs to, for the rest of this process: files that root made there the appliance
// could not open later. Everybody else must be that user.
func becomeOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() == int(owner.Uid) {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("the appliance does not run, and its queue in %s belongs to %s; run this with sudo", dir, ownerOf(dir))
	}
	if err := syscall.Setegid(int(owner.Gid)); err != nil {
		return fmt.Errorf("become the group of %s: %w", dir, err)
	}
	if err := syscall.Seteuid(int(owner.Uid)); err != nil {
		return fmt.Errorf("become the owner of %s: %w", dir, err)
	}
	return nil
}

// ownerOf is the name of the user whom a file belongs to, or the nearest thing known to it.
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "its owner"
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "its owner"
	}
	uid := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "user " + uid
}
