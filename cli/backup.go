package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dinkymail/backup"
	"dinkymail/operate"
)

// Exit statuses of backups alone.
const (
	exitData  = 65 // EX_DATAERR: the input is wrong
	exitInput = 74 // EX_IOERR: some mail could not be read
)

type backupCommand struct {
	File  string `arg:"" help:"Where to write it; - for standard output."`
	Force bool   `help:"Replace a file that is there."`
	JSON  bool   `name:"json" help:"Print JSON; with a file only."`
}

// Help is shown by dinkymail backup --help.
func (backupCommand) Help() string {
	return `Writes the whole queue to a tar archive, while the appliance runs or while it does not: what waits, is held,
removed or captured, the record of what is finished, and what sendmail left in the maildrop. It has mail and addresses in
it: keep it as safe as the queue. Settings and alias files are not part of it.

Exits 74 when the archive is complete but for mail that cannot be read on this disk, which it names. Any other status than
0 means that there is no backup.

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
		sum, err := writeVerified(ctx, client, p.Out)
		return butFor(sum, err)
	}
	if _, err := os.Lstat(c.File); err == nil && !c.Force {
		return &Exit{ExitCantCreate, fmt.Errorf("%s is there already; choose another name, or replace it with --force", c.File)}
	}
	var sum backup.Summary
	err = writeWhole(c.File, func(f *os.File) error {
		if err := client.Backup(ctx, f); err != nil {
			return refused(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		sum, err = backup.Verify(f)
		return notWhole(c.File, err)
	})
	if file, ok := errors.AsType[*os.PathError](err); ok {
		return &Exit{ExitCantCreate, file}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		p.result = summary(c.File, sum)
	} else {
		_, err = fmt.Fprintf(p.Out, "%s: %s; verified\n", c.File, contents(sum))
	}
	return butFor(sum, err)
}

// writeVerified writes a backup to w, and reads it while it goes there.
func writeVerified(ctx context.Context, client operate.Operator, w io.Writer) (sum backup.Summary, err error) {
	out, in := io.Pipe()
	var wrong error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sum, wrong = backup.Verify(out)
		_, _ = io.Copy(io.Discard, out) // what stands behind the end, or cannot be understood
	}()
	err = client.Backup(ctx, io.MultiWriter(w, in))
	_ = in.CloseWithError(err)
	<-ended
	if err != nil {
		return sum, refused(err)
	}
	return sum, notWhole("standard output", wrong)
}

// notWhole gives an error of backup.Verify its exit status.
func notWhole(name string, err error) error {
	if err == nil {
		return nil
	}
	return &Exit{exitData, fmt.Errorf("%s: %w", name, err)}
}

// butFor is err, or the error that says which mail a backup has not, when it is whole otherwise.
func butFor(sum backup.Summary, err error) error {
	if err != nil || len(sum.Missing) == 0 {
		return err
	}
	return &Exit{exitInput, fmt.Errorf("the backup is complete and verified but for %s, which could not be read:%s; "+
		"look at the disk", count(len(sum.Missing), "mail"), missing(sum))}
}

// missingShown is how many messages are named that are not in a backup with their mail.
const missingShown = 20

// missing names them, a line each.
func missing(sum backup.Summary) string {
	var b strings.Builder
	for i, m := range sum.Missing {
		if i == missingShown {
			fmt.Fprintf(&b, "\n  and %d more", len(sum.Missing)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s", m.ID, plain(m.Why))
	}
	return b.String()
}

// writeWhole makes a file that is either whole and on the disk, or not there.
func writeWhole(name string, write func(*os.File) error) (err error) {
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
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir brings the names in a directory to the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
	Maildrop int       `json:"maildrop,omitempty"` // mails that sendmail had left
	// Missing are messages that could not be read when the backup was made, or not with their mail.
	Missing []backup.Missing `json:"missing,omitempty"`
	DataDir string           `json:"dataDir,omitempty"` // where it was restored to
	Held    bool             `json:"held,omitempty"`    // all that waits there is
}

func summary(file string, s backup.Summary) backupResult {
	return backupResult{File: file, Made: s.Made, Host: s.Host, Version: s.Version,
		Messages: s.Messages, Waiting: s.Waiting, Bytes: s.Bytes, Maildrop: s.Left, Missing: s.Missing}
}

// contents is a backup's summary in words.
func contents(s backup.Summary) string {
	left := ""
	if s.Left > 0 {
		left = fmt.Sprintf(", and %d from the maildrop", s.Left)
	}
	return fmt.Sprintf("%s, %d of them waiting%s, %s of mail, made %s by Dinkymail %s", count(s.Messages, "message"), s.Waiting, left,
		size(s.Bytes), s.Made.Local().Format(time.DateTime), s.Version)
}
