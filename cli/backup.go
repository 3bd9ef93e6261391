package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"dinkymail/backup"
	"dinkymail/queue/boltstore"
)

type backupCommand struct {
	File  string `arg:"" help:"Where to write it; - for standard output."`
	Force bool   `help:"Replace a file that is there."`
	JSON  bool   `name:"json" help:"Print JSON; with a file only."`
}

// Help is shown by dinkymail backup --help.
func (backupCommand) Help() string {
	return `Writes the whole queue to a tar archive, while the appliance runs or while it does not: what waits, is held,
removed or captured, and the record of what is finished. It has mail and addresses in it: keep it as safe as the queue.
Settings are not part of it.

Examples:

    dinkymail backup /var/backups/dinkymail.tar
    dinkymail backup - | zstd | ssh host 'cat > dinkymail.tar.zst'`
}

// Run writes a backup. The file appears under its name once it is whole and on the disk.
func (c backupCommand) Run(ctx context.Context, p *program) error {
	if c.File == "-" && c.JSON {
		return usage("the backup goes to standard output, where --json has no place; name a file")
	}
	client, done, err := p.operator(ctx)
	if err != nil {
		return err
	}
	defer done()
	if c.File == "-" {
		return refused(client.Backup(ctx, p.Out))
	}
	if _, err := os.Lstat(c.File); err == nil && !c.Force {
		return &Exit{ExitCantCreate, fmt.Errorf("%s is there already; choose another name, or replace it with --force", c.File)}
	}
	if err := writeWhole(c.File, func(w io.Writer) error { return client.Backup(ctx, w) }); err != nil {
		var file *os.PathError
		if errors.As(err, &file) {
			return &Exit{ExitCantCreate, err}
		}
		return refused(err)
	}
	sum, err := verifyFile(c.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(summary(c.File, sum))
	}
	_, err = fmt.Fprintf(p.Out, "%s: %s; verified\n", c.File, contents(sum))
	return err
}

// writeWhole makes a file that is either whole and on the disk, or not there.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// backupResult is what backup, verify and restore print with --json.
type backupResult struct {
	File     string    `json:"file"`
	Made     time.Time `json:"made"`
	Host     string    `json:"host"`
	Version  string    `json:"version"` // of the Dinkymail that made it
	Messages int       `json:"messages"`
	Waiting  int       `json:"waiting"`
	Bytes    int64     `json:"bytes"`
	DataDir  string    `json:"dataDir,omitempty"` // where it was restored to
	Held     bool      `json:"held,omitempty"`    // all that waits there is
}

func summary(file string, s backup.Summary) backupResult {
	return backupResult{File: file, Made: s.Made, Host: s.Host, Version: s.Version,
		Messages: s.Messages, Waiting: s.Waiting, Bytes: s.Bytes}
}

// contents is a backup's summary in words.
func contents(s backup.Summary) string {
	return fmt.Sprintf("%s, %d of them waiting, %s of mail, made %s by Dinkymail %s", count(s.Messages, "message"), s.Waiting,
		size(s.Bytes), s.Made.Local().Format(time.DateTime), s.Version)
}

func verifyFile(name string) (backup.Summary, error) {
	f, err := os.Open(name)
	if err != nil {
		return backup.Summary{}, &Exit{ExitNoInput, err}
	}
	defer f.Close()
	s, err := backup.Verify(f)
	if err != nil {
		return s, &Exit{exitData, fmt.Errorf("%s: %w", name, err)}
	}
	return s, nil
}

// exitData is EX_DATAERR: the input is wrong.
const exitData = 65

type verifyCommand struct {
	File string `arg:"" help:"The backup; - for standard input."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail verify --help.
func (verifyCommand) Help() string {
	return `Reads a backup to its end and compares every record and every mail with its checksum. Exits 0 when it is whole
and 65 when it is not.

Example:

    dinkymail verify /var/backups/dinkymail.tar`
}

// Run verifies a backup.
func (c verifyCommand) Run(p *program) error {
	var s backup.Summary
	var err error
	if c.File == "-" {
		if s, err = backup.Verify(p.In); err != nil {
			err = &Exit{exitData, fmt.Errorf("standard input: %w", err)}
		}
	} else {
		s, err = verifyFile(c.File)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(summary(c.File, s))
	}
	_, err = fmt.Fprintf(p.Out, "%s: whole: %s\n", c.File, contents(s))
	return err
}

type restoreCommand struct {
	File string `arg:"" help:"The backup; - for standard input."`
	Hold bool   `negatable:"" default:"true" help:"Hold all that waits until it is released; on unless --no-hold is given."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail restore --help.
func (restoreCommand) Help() string {
	return `Makes a queue of a backup, in DATA_DIR of the settings. The appliance must not run, and DATA_DIR must have no
queue: move an old one away first. All waiting mail is held afterwards; dinkymail queue shows it, dinkymail release lets it
go. With --no-hold what was delivered after the backup goes out once more.

Examples:

    systemctl stop dinkymail
    mv /var/lib/dinkymail /var/lib/dinkymail.old
    dinkymail restore /var/backups/dinkymail.tar
    systemctl start dinkymail
    dinkymail release --everything`
}

// Run fills an empty DATA_DIR. It appears there once it is whole.
func (c restoreCommand) Run(ctx context.Context, p *program) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	dir := p.dataDirs(s, p.dotenv)[0]
	if _, err := os.Stat(filepath.Join(dir, "queue.db")); err == nil {
		return &Exit{ExitCantCreate, fmt.Errorf("DATA_DIR=%s has a queue; stop the appliance and move that directory away first",
			dir)}
	}
	in := p.In
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &Exit{ExitNoInput, err}
		}
		defer f.Close()
		in = f
	}
	sum, err := c.fill(ctx, in, dir)
	if err != nil {
		return notRestored(err)
	}
	if c.JSON {
		r := summary(c.File, sum)
		r.DataDir, r.Held = dir, c.Hold
		return p.printJSON(r)
	}
	fmt.Fprintf(p.Out, "restored to %s: %s\n", dir, contents(sum))
	if c.Hold && sum.Waiting > 0 {
		fmt.Fprintf(p.Out, "all that waits is held: start the appliance, look with dinkymail queue, "+
			"let go with dinkymail release --everything\n")
	}
	return nil
}

// notRestored gives an error of fill the exit status that fits it.
func notRestored(err error) error {
	code := ExitCantCreate
	if exit, ok := errors.AsType[*Exit](err); ok {
		code = exit.Code
	}
	if errors.Is(err, backup.ErrIncomplete) {
		code = exitData
	}
	return &Exit{code, fmt.Errorf("nothing was restored: %w", err)}
}

// fill makes the queue in a directory of its own inside dir, as the user dir belongs to, and moves it to its place when
// it is whole.
func (c restoreCommand) fill(ctx context.Context, in io.Reader, dir string) (sum backup.Summary, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sum, err
	}
	if err := becomeOwner(dir); err != nil {
		return sum, &Exit{ExitNoPermission, err}
	}
	inside := filepath.Join(dir, "restoring")
	if err := os.RemoveAll(inside); err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(inside)) }()
	store, err := boltstore.Open(inside, boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return sum, err
	}
	sum, err = backup.Restore(ctx, in, store, backup.Options{Hold: c.Hold})
	if err = errors.Join(err, store.Close()); err != nil {
		return sum, err
	}
	return sum, settle(inside, dir)
}

// settle moves a queue's files, the index last: without it there is no queue yet.
func settle(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	const index = "queue.db"
	for _, f := range files {
		if f.Name() != index {
			if err := os.Rename(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
				return err
			}
		}
	}
	return os.Rename(filepath.Join(from, index), filepath.Join(to, index))
}
