package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dinkymail/config"
	"dinkymail/internal/disk"
)

// rights looks at who may read the passwords and the mail.
func (e *exam) rights(context.Context) []Finding {
	var all []Finding
	const whose = "it holds the password of the upstream, and whoever has that sends mail in your name"
	if f, wrong := e.openTo(e.EnvFile, whose, "chmod 600 "); wrong {
		all = append(all, f)
	}
	dir := e.Settings.DataDir
	if f, wrong := e.openTo(dir, "it holds all mail that waits, and its index", "chmod o-rw "); wrong {
		all = append(all, f)
	}
	for _, path := range []string{e.EnvFile, dir} {
		if _, err := os.Stat(path); path != "" && errors.Is(err, fs.ErrPermission) {
			all = append(all, Finding{Check: "rights", Level: Note, What: path + " is closed to the user who asks",
				Why: "the checks that need it are left out", Fix: "run it as the user that runs dinkymail, or with sudo"})
		}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && e.Operator == nil {
		all = append(all, Finding{Check: "rights", Level: Note, What: "DATA_DIR " + dir + " does not exist yet",
			Why: "the appliance makes it at its first start"})
	}
	if len(all) > 0 {
		return all
	}
	return []Finding{{Check: "rights", Level: OK, What: dir + " and the settings are closed to others"}}
}

// openTo reports whether everybody on this machine may read or change a path. To pass through
// DATA_DIR tells nobody anything: it is what lets SUBMIT_GROUP come to SUBMIT_DIR in it, and all
// else in there is closed by itself.
func (e *exam) openTo(path, why, cure string) (Finding, bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o006 == 0 {
		return Finding{}, false
	}
	if info.Mode().Perm()&0o002 != 0 {
		return Finding{Check: "rights", Level: Error, What: fmt.Sprintf("everybody on this machine may change %s (%v)", path, info.Mode().Perm()),
			Why: why, Fix: cure + path}, true
	}
	return Finding{Check: "rights", Level: Warning, What: fmt.Sprintf("everybody on this machine may look into %s (%v)", path, info.Mode().Perm()),
		Why: why, Fix: cure + path}, true
}

// little is how much room must be left at least: below, the store itself begins to refuse.
const little = 256 << 20

// space compares the disk with what the queue may grow to.
func (e *exam) space(context.Context) []Finding {
	dir := e.Settings.DataDir
	for { // of a directory that is not made yet, what it will be made in counts
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	d, err := e.disk(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return []Finding{{Check: "disk", Level: Note, What: "this system does not tell how much room DATA_DIR has"}}
	case err != nil:
		return []Finding{{Check: "disk", Level: Warning, What: "the disk of DATA_DIR cannot be looked at: " + err.Error()}}
	}
	var all []Finding
	if d.Passing != "" {
		all = append(all, Finding{Check: "disk", Level: Warning, What: "DATA_DIR " + e.Settings.DataDir + " is " + d.Passing,
			Why: "mail that was accepted would be lost with it", Fix: e.line("DATA_DIR", config.SystemDataDir) + ", or a volume mounted there"})
	}
	if d.ReadOnly {
		all = append(all, Finding{Check: "disk", Level: Error, What: "the file system of DATA_DIR is mounted read-only",
			Why: "no mail can be accepted", Fix: "look at dmesg, and mount it for writing"})
	}
	if f := e.room(d); f.Level != OK || len(all) == 0 {
		all = append(all, f)
	}
	return all
}

func (e *exam) room(d disk.Space) Finding {
	limit := e.Settings.Queue.MaxBytes
	f := Finding{Check: "disk", Level: OK, What: fmt.Sprintf("%s free, and the queue may grow to %s", bytes(d.Free), bytes(limit)),
		Why: "when the disk is full, new mail is refused for the time being and nothing of the old is lost"}
	switch {
	case d.Free < little:
		f.Level, f.Fix = Error, "make room on the disk of "+e.Settings.DataDir
	case d.CountsFiles && d.Files < 1000:
		f.Level, f.What = Warning, fmt.Sprintf("only %d more files can be made on the disk of DATA_DIR", d.Files)
		f.Fix = "remove small files there; df -i shows where they are counted"
	case d.Free < limit:
		f.Level, f.Fix = Note, e.line("QUEUE_MAX_BYTES", fmt.Sprintf("%dMiB", d.Free*8/10>>20))+", or a larger disk"
		if d.Free < limit/10 {
			f.Level = Warning
		}
	default:
		f.Why = ""
	}
	return f
}

// bytes is a size in words.
func bytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	default:
		return fmt.Sprintf("%d MiB", n>>20)
	}
}

// clockSlack is how far ahead of the clock a file may be, written over a network perhaps.
const clockSlack = 2 * time.Minute

// clock compares the time with that of the files which the appliance wrote: it has no other clock
// to ask.
func (e *exam) clock(context.Context) []Finding {
	now := e.Now()
	var newest time.Time
	var which string
	for _, pattern := range []string{"*", "segments/*", "large/*"} {
		paths, _ := filepath.Glob(filepath.Join(e.Settings.DataDir, pattern)) // the pattern is ours and good
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
				newest, which = info.ModTime(), path
			}
		}
	}
	switch {
	case which == "":
		return []Finding{{Check: "clock", Level: OK, What: "it is " + now.Format(time.RFC1123Z) + "; no other clock was asked"}}
	case newest.After(now.Add(clockSlack)):
		return []Finding{{Check: "clock", Level: Error,
			What: fmt.Sprintf("it is %s here, but %s was written at %s", now.Format(time.RFC1123Z), which, newest.Format(time.RFC1123Z)),
			Why:  "the clock went back: certificates seem not valid yet, and mail waits for times that are far away",
			Fix:  "timedatectl set-ntp true"}}
	default:
		return []Finding{{Check: "clock", Level: OK,
			What: "it is " + now.Format(time.RFC1123Z) + ", later than all that the appliance wrote; no other clock was asked"}}
	}
}
