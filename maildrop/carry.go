package maildrop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dinkymail/queue"
)

// Mail is a mail that waits in a maildrop.
type Mail struct {
	ID   queue.ID
	UID  uint32 // of the user who left it
	User string // the name of that user; the number of one without
	path string
}

// List is the mail that waits in the maildrop of dir; nothing where there is no maildrop.
func List(dir string) ([]Mail, error) {
	names, err := os.ReadDir(filepath.Join(dir, dropDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for mail: %w", err)
	}
	d := Drop{users: map[uint32]string{}}
	var all []Mail
	for _, e := range names {
		id := queue.ID(e.Name())
		if !id.Valid() || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // taken in meanwhile
		}
		uid := owner(info)
		all = append(all, Mail{ID: id, UID: uid, User: d.user(uid), path: filepath.Join(dir, dropDir, e.Name())})
	}
	return all, nil
}

// Open opens a mail as it stands in the maildrop: the envelope on the first line, and the mail
// behind it.
func (m Mail) Open() (io.ReadSeekCloser, error) {
	f, err := openPlain(m.path)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || links(info) != 1 {
		return nil, errors.Join(fmt.Errorf("%w: it is no plain file of its own", errNoMail), err, f.Close())
	}
	return f, nil
}

// TakeIn hands in a mail that stood in a maildrop, as if it was picked up there. One that the queue
// has already is no error.
func (d *Drop) TakeIn(ctx context.Context, m Mail, file io.Reader) error {
	err := d.hand(ctx, bufio.NewReaderSize(file, 64<<10), m.ID, m.UID, m.User)
	if errors.Is(err, queue.ErrExists) {
		return nil
	}
	return err
}

// Never reports whether a mail with this error will never be accepted.
func Never(err error) bool { return final(err) }

// Move brings the mail that waits in the maildrop of from, but for what is known, into the one of
// to, which is on the same disk and is made if it is not there. It returns how much of it there
// was. Whose each is stays as it was.
func Move(from, to string, known map[queue.ID]bool) (int, error) {
	all, err := List(from)
	all = slices.DeleteFunc(all, func(m Mail) bool { return known[m.ID] })
	if err != nil || len(all) == 0 {
		return 0, err
	}
	place := filepath.Join(to, dropDir)
	if err := os.MkdirAll(place, 0o700); err != nil {
		return 0, fmt.Errorf("make a maildrop: %w", err)
	}
	for i, m := range all {
		next := filepath.Join(place, string(m.ID))
		if _, err := os.Lstat(next); err == nil {
			return i, fmt.Errorf("bring %s along: %w", m.path, fs.ErrExist)
		}
		if err := os.Rename(m.path, next); err != nil {
			return i, fmt.Errorf("bring %s along: %w", m.path, err)
		}
	}
	dir, err := os.Open(place)
	if err != nil {
		return len(all), fmt.Errorf("keep what was brought along: %w", err)
	}
	return len(all), errors.Join(dir.Sync(), dir.Close())
}
