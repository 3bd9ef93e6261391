package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dinkymail/cli/world"
)

type linksCommand struct {
	Dir    string `arg:"" help:"Where, such as /usr/local/sbin."`
	Force  bool   `help:"Move files of other programs aside, to NAME.before-dinkymail."`
	JSON   bool   `name:"json" help:"Print JSON."`
	Remove bool   `help:"Remove our links, and put back what was moved aside."`
}

// Help is shown by dinkymail install-links --help.
func (linksCommand) Help() string {
	return `Makes links to this program in a directory: sendmail, mailq, newaliases, postqueue, postcat, postsuper, postconf, postmap, postfix, exim
and exiqgrep. Under each name it does what that program does. What belongs to somebody else is left alone.

Examples:

    dinkymail install-links /usr/local/sbin
    dinkymail install-links /usr/sbin --force
    dinkymail install-links /usr/sbin --remove`
}

// aside is what is added to the name of a file that had to make room.
const aside = ".before-dinkymail"

// Run makes or removes links and says what became of each.
func (c linksCommand) Run(p *program) error {
	binary, err := world.Binary()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	var failed []error
	results := linksResult{Program: binary, Links: []linkResult{}}
	for _, name := range Guises {
		if name == "exim4" { // it is Debian's name for exim and would only be in the way of its package
			continue
		}
		l := link{path: filepath.Join(c.Dir, name), binary: binary}
		var did string
		if c.Remove {
			did, err = l.remove()
		} else {
			did, err = l.make(c.Force)
		}
		one := linkResult{Path: l.path, Did: did}
		if err != nil {
			failed = append(failed, err)
			one.Error = err.Error()
		}
		results.Links = append(results.Links, one)
		if did != "" && !p.json {
			p.printf("%s\n", did)
		}
	}
	if p.json {
		p.result = results
	}
	if err := errors.Join(failed...); err != nil {
		return &Exit{Code: world.ExitCantCreate, Err: err}
	}
	return nil
}

// linksResult is what install-links prints with --json.
type linksResult struct {
	Program string       `json:"program"` // what the links lead to
	Links   []linkResult `json:"links"`
}

// linkResult is what became of one name; without both words nothing was there to remove.
type linkResult struct {
	Path  string `json:"path"`
	Did   string `json:"did,omitempty"`
	Error string `json:"error,omitempty"`
}

// link is one name under which the program is to be found.
type link struct{ path, binary string }

// ours reports whether a link to this program, or to one of its name elsewhere, stands there; there
// whether anything does.
func (l link) ours() (ours, there bool, err error) {
	info, err := os.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, true, err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return false, true, nil
	}
	target, err := os.Readlink(l.path)
	if err != nil {
		return false, true, err
	}
	resolved, err := filepath.EvalSymlinks(l.path)
	same := err == nil && resolved == l.binary
	return same || filepath.Base(target) == filepath.Base(l.binary), true, nil
}

// make makes the link. What is not ours is moved aside if it may be.
func (l link) make(force bool) (string, error) {
	ours, there, err := l.ours()
	if err != nil {
		return "", err
	}
	did := l.path + " is " + l.binary
	if there && !ours {
		if !force {
			return "", fmt.Errorf("%s belongs to another program and stays; --force moves it to %s", l.path, filepath.Base(l.path)+aside)
		}
		if _, err := os.Lstat(l.path + aside); err == nil {
			return "", fmt.Errorf("%s exists already, so %s stays; look at both, and remove one", l.path+aside, l.path)
		}
	}
	fresh := l.path + ".new"
	if err := os.Symlink(l.binary, fresh); err != nil {
		return "", err
	}
	if there && !ours { // not before the link is made, without which the other program would be missed
		if err := os.Rename(l.path, l.path+aside); err != nil {
			return "", errors.Join(err, os.Remove(fresh))
		}
		did += "; what was there is " + l.path + aside
	}
	if err := os.Rename(fresh, l.path); err != nil {
		return "", errors.Join(err, os.Remove(fresh))
	}
	return did, nil
}

// remove removes the link if it is ours, and puts back what had to make room for it.
func (l link) remove() (string, error) {
	ours, there, err := l.ours()
	if err != nil {
		return "", err
	}
	switch {
	case !there:
		return "", nil
	case !ours:
		return l.path + " belongs to another program and stays", nil
	}
	if err := os.Remove(l.path); err != nil {
		return "", err
	}
	switch err := os.Rename(l.path+aside, l.path); {
	case errors.Is(err, fs.ErrNotExist):
		return l.path + " is removed", nil
	case err != nil:
		return "", err
	}
	return l.path + " is what it was before", nil
}
