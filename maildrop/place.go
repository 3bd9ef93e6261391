package maildrop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"dinkymail/internal/gate"
)

// Prepare makes the directories of a place, or corrects their rights, and writes about.json.
// Without a group they belong to the appliance's user alone; with one, its members may go in and
// put mail into maildrop/. dataDir, if the place is in it, is opened so far that they can pass
// through. An error says what to do.
func Prepare(cfg Config, dataDir string) error {
	gid, err := Group(cfg.Group)
	if err != nil {
		return err
	}
	rights := []struct {
		dir           string
		alone, shared fs.FileMode
	}{
		{cfg.Dir, 0o700, 0o750},
		{filepath.Join(cfg.Dir, dropDir), 0o700, 0o730 | fs.ModeSticky},
		{filepath.Join(cfg.Dir, rejectedDir), 0o700, 0o700},
	}
	for _, r := range rights {
		mode := r.alone
		if gid >= 0 {
			mode = r.shared
		}
		if err := makeDir(r.dir, mode, gid, cfg.Group); err != nil {
			return err
		}
	}
	if gid >= 0 {
		if err := open(cfg.Dir, dataDir); err != nil {
			return err
		}
	}
	return writeAbout(cfg)
}

// Group is the number of a group given by name or number, -1 for none.
func Group(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if g, err := user.LookupGroup(name); err == nil {
		return strconv.Atoi(g.Gid)
	}
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	return -1, fmt.Errorf("SUBMIT_GROUP=%s: there is no such group; make it with: groupadd --system %s", name, name)
}

// makeDir makes a directory that nobody else can enter, and opens it when it belongs to the group.
func makeDir(dir string, mode fs.FileMode, gid int, group string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make SUBMIT_DIR: %w", err)
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("make SUBMIT_DIR: %w", err)
	case !info.IsDir():
		return fmt.Errorf("make SUBMIT_DIR: %s is no directory", dir)
	}
	if gid >= 0 && mode&0o070 != 0 && !belongs(info, gid) {
		if err := os.Chown(dir, -1, gid); err != nil {
			return refused(err, dir, group)
		}
	}
	if err := os.Chmod(dir, mode); err != nil {
		return fmt.Errorf("make SUBMIT_DIR: %w", err)
	}
	return nil
}

// refused explains why a directory could not be given to the group.
func refused(err error, dir, group string) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("give %s to SUBMIT_GROUP: %w", dir, err)
	}
	who := gate.UserName(os.Geteuid())
	return fmt.Errorf("SUBMIT_GROUP=%s: the user %s that runs dinkymail is no member of this group, or does not own %s, and so cannot "+
		"give it to the group; add SupplementaryGroups=%s to the systemd unit, or run usermod -aG %s %s, and start dinkymail again",
		group, who, dir, group, group, who)
}

// open lets the group, and with it everybody, pass through dataDir on the way to dir. What is in
// there stays unreadable.
func open(dir, dataDir string) error {
	rel, err := filepath.Rel(dataDir, dir)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return nil //nolint:nilerr // then dir is somewhere else
	}
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err == nil && info.Mode()&0o011 != 0o011 {
			err = os.Chmod(p, info.Mode().Perm()|0o011)
		}
		if err != nil {
			return fmt.Errorf("open DATA_DIR for SUBMIT_GROUP: %w", err)
		}
		if r, err := filepath.Rel(dataDir, p); err != nil || r == "." {
			return nil //nolint:nilerr // at its top
		}
	}
}

// writeAbout replaces about.json.
func writeAbout(cfg Config) error {
	text, err := json.Marshal(cfg.About)
	if err != nil {
		return fmt.Errorf("write about.json: %w", err)
	}
	place, err := os.Stat(cfg.Dir)
	if err != nil {
		return fmt.Errorf("write about.json: %w", err)
	}
	path := filepath.Join(cfg.Dir, aboutFile)
	f, err := os.CreateTemp(cfg.Dir, ".about-*")
	if err != nil {
		return fmt.Errorf("write about.json: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, giveToGroup(f, place), f.Chmod(0o640), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write about.json: %w", err), os.Remove(f.Name()))
	}
	return nil
}
