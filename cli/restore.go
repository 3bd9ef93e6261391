package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"dinkymail/backup"
	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/maildrop"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

type restoreCommand struct {
	File  string `arg:"" help:"The backup; - for standard input."`
	Hold  bool   `negatable:"" default:"true" help:"Hold all that waits until it is released; on unless --no-hold is given."`
	Owner string `placeholder:"USER" help:"The user that the appliance runs as, to whom DATA_DIR belongs afterwards; for root alone."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help is shown by dinkymail restore --help.
func (restoreCommand) Help() string {
	return `Makes a queue of a backup, in DATA_DIR of the settings. The appliance must not run, and DATA_DIR must have no
queue: move an old one away first. All waiting mail is held afterwards, also what stood in the maildrop when the backup was
made; dinkymail queue shows it, dinkymail release lets it go. With --no-hold what was delivered after the backup goes out
once more. Mail that sendmail has left since in the maildrop of a DATA_DIR that was moved to a name such as dinkymail.old
beside the new one comes along, and is taken in at the start.

Run by root, the files belong to --owner, else to whom DATA_DIR belongs; where that is not there, to the owner of the one
that was moved away, of the directory above, or to the user dinkymail, the first of them that is not root. What was done is
said. .env and alias files are not part of a backup.

Examples:

    systemctl stop dinkymail
    mv /var/lib/dinkymail /var/lib/dinkymail.old
    dinkymail restore /var/backups/dinkymail.tar
    systemctl start dinkymail
    dinkymail release --everything`
}

// restored is what a restore did.
type restored struct {
	backup.Summary
	owner   string            // to whom the files belong, and why; empty where nothing was decided
	left    map[queue.ID]bool // mail of the maildrop in the backup
	refused []string          // what of it can never be accepted
	old     string            // the DATA_DIR that was moved away
	along   int               // mails of its maildrop
}

// Run fills an empty DATA_DIR. It appears there once it is whole.
func (c restoreCommand) Run(ctx context.Context, p *program) error {
	s, err := p.settings()
	if err != nil {
		return err
	}
	dir := p.dataDirs(s, p.dotenv)[0]
	s = movedTo(s, dir)
	if occupied(dir) {
		return world.Failf(world.ExitCantCreate, "DATA_DIR=%s has a queue; stop the appliance and move that directory away first",
			dir)
	}
	in, _, err := p.input(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	done, err := c.fill(ctx, in, s)
	if err != nil {
		return notRestored(err)
	}
	done.old = movedAway(dir)
	if done.old != "" {
		done.along, err = bringAlong(s, done.old, done.left)
	}
	r := summary(c.File, done.Summary)
	r.DataDir, r.Held = dir, c.Hold
	p.tell(r, "%s", c.report(dir, done))
	if err != nil {
		return world.Failf(world.ExitCantCreate, "the queue is restored, but mail that was left in the maildrop of %s is still there: %w", done.old, err)
	}
	return nil
}

// report tells what was done, a line each.
func (c restoreCommand) report(dir string, done restored) string {
	var b strings.Builder
	fmt.Fprintf(&b, "restored to %s: %s\n", dir, contents(done.Summary))
	if done.owner != "" {
		fmt.Fprintf(&b, "the files belong to %s, and nobody else may read them\n", done.owner)
	}
	if len(done.Missing) > 0 {
		b.WriteString(lacking(done.Summary))
		b.WriteString("what of these waits is held: dinkymail bounce ID tells the sender, dinkymail remove ID forgets it\n")
	}
	for _, line := range done.refused {
		fmt.Fprintf(&b, "not taken in, since it never can be: %s\n", plain(line))
	}
	if done.old != "" {
		fmt.Fprintf(&b, "the old queue is still in %s", done.old)
		if done.along > 0 {
			fmt.Fprintf(&b, "; %s left in its maildrop came along, to be taken in at the start", count(done.along, "mail"))
		}
		b.WriteString("\n")
	}
	if c.Hold && done.Waiting+done.Left > 0 {
		b.WriteString("all that waits is held: start the appliance, look with dinkymail queue, " +
			"let go with dinkymail release --everything\n")
	}
	return b.String()
}

// notRestored gives an error of fill the exit status that fits it.
func notRestored(err error) error {
	code := world.Status(err, world.ExitCantCreate)
	if errors.Is(err, backup.ErrIncomplete) {
		code = world.ExitData
	}
	return world.Failf(code, "nothing was restored: %w", err)
}

// occupied reports whether there is a queue in dir, or what is left of one.
func occupied(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "queue.db")); err == nil {
		return true
	}
	for _, part := range []string{"segments", "large", "damaged"} {
		if inside, err := os.ReadDir(filepath.Join(dir, part)); err == nil && len(inside) > 0 {
			return true
		}
	}
	return false
}

// fill makes the queue in a directory of its own inside DATA_DIR, as the user that is to have it,
// and moves it to its place when it is whole.
func (c restoreCommand) fill(ctx context.Context, in io.Reader, s *config.Settings) (done restored, err error) {
	dir := s.DataDir
	done.left = map[queue.ID]bool{}
	if done.owner, err = makeOwned(dir, c.Owner); err != nil {
		return done, err
	}
	inside := filepath.Join(dir, "restoring")
	if err := os.RemoveAll(inside); err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(inside)) }()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(inside, boltstore.Config{}, log)
	if err != nil {
		return done, err
	}
	take := c.taker(s, store, log)
	done.Summary, err = backup.Restore(ctx, in, store, backup.Options{Hold: c.Hold, Dir: inside,
		Left: func(ctx context.Context, l backup.Left, mail io.Reader) error {
			err := take(ctx, l, mail)
			done.left[l.ID] = true
			if maildrop.Never(err) {
				done.refused = append(done.refused, fmt.Sprintf("%s of %s: %v", l.ID, l.User, err))
				return nil
			}
			return err
		}})
	if err = errors.Join(err, store.Close()); err != nil {
		return done, err
	}
	return done, settle(inside, dir)
}

// settle moves a queue's files, the index last: without it there is no queue yet.
func settle(from, to string) error {
	for _, part := range boltstore.Parts {
		err := os.Rename(filepath.Join(from, part), filepath.Join(to, part))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.Join(syncDir(to), syncDir(filepath.Dir(to)))
}
