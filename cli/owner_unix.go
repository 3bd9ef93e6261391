//go:build linux || darwin || freebsd || netbsd || openbsd

package cli

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"dinkymail/cli/world"
)

// becomeOwner makes root the user whom dir belongs to, for the rest of this process: files that
// root made there the appliance could not open later. Everybody else must be that user.
func becomeOwner(dir string) error {
	owner, err := statOf(dir)
	if err != nil {
		return err
	}
	if os.Geteuid() == int(owner.Uid) {
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

// serviceUser is the user that the shipped systemd unit runs the appliance as.
const serviceUser = "dinkymail"

// makeOwned makes a DATA_DIR that nobody but its owner may enter, and becomes that owner. Root
// gives a new one to the user named; without a name to the owner of the DATA_DIR that was moved
// away from there, to the owner of the directory above, or to serviceUser, the first of them that
// is not root. It returns to whom the directory belongs, and why.
func makeOwned(dir, named string) (said string, err error) {
	if named != "" && os.Geteuid() != 0 {
		return "", world.Failf(world.ExitNoPermission, "only root can give files to another user; run this with sudo, or without --owner")
	}
	if os.Geteuid() == 0 {
		uid, gid, why, err := heir(dir, named)
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", err
		}
		said = ownerOf(dir) + " (" + why + ")"
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := becomeOwner(dir); err != nil {
		return "", &Exit{Code: world.ExitNoPermission, Err: err}
	}
	return said, os.Chmod(dir, 0o700) //nolint:gosec // a directory
}

// heir is to whom a DATA_DIR is to belong that root makes, or has made, and why.
func heir(dir, named string) (uid, gid int, why string, err error) {
	if named != "" {
		uid, gid, err = idsOf(named)
		if err != nil {
			return 0, 0, "", world.Failf(world.ExitUsage, "--owner %s: there is no such user", named)
		}
		return uid, gid, "as --owner says", nil
	}
	for _, place := range []struct{ path, why string }{
		{dir, "to whom it belonged before"},
		{movedAway(dir), "as the one that was moved away"},
		{filepath.Dir(dir), "as the directory above"},
	} {
		if st, err := statOf(place.path); err == nil && st.Uid != 0 {
			return int(st.Uid), int(st.Gid), place.why, nil
		}
	}
	if uid, gid, err := idsOf(serviceUser); err == nil {
		return uid, gid, "the user of the systemd unit", nil
	}
	return 0, 0, "nobody else was found; if the appliance runs as another user, say so with --owner", nil
}

// idsOf is the number of a user, given by name or number, and of its group. One who has no account
// here, such as that of a container, is in the group of the same number.
func idsOf(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	if n, odd := strconv.ParseUint(name, 10, 31); err != nil && odd == nil {
		return int(n), int(n), nil
	}
	if err != nil {
		return 0, 0, err
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}

// ownerOf is the name of the user whom a file belongs to, or the nearest thing known to it.
func ownerOf(path string) string {
	st, err := statOf(path)
	if err != nil {
		return "its owner"
	}
	uid := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "user " + uid
}

// statOf is what the system knows of a file.
func statOf(path string) (st syscall.Stat_t, err error) {
	if err = syscall.Stat(path, &st); err != nil {
		err = &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st, err
}
