package maildrop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dinkymail/internal/disk"
	"dinkymail/message"
	"dinkymail/queue"
)

// Put leaves a mail in dir to be picked up under id. Its lines end in CRLF. Once it returns nil the
// mail is on the disk. The error is fs.ErrExist where a mail of this ID is there already,
// fs.ErrNotExist where dir is no place to leave mail in, fs.ErrPermission where this user may not,
// and ErrFull where there is too much already.
func Put(dir string, id queue.ID, e message.Envelope, body io.Reader) error {
	if !id.Valid() {
		return fmt.Errorf("leave mail in %s: %q is no ID", dir, string(id))
	}
	drop := filepath.Join(dir, dropDir)
	place, err := os.Stat(drop)
	if err != nil {
		return fmt.Errorf("leave mail in %s: %w", dir, err)
	}
	if err := room(dir); err != nil {
		return fmt.Errorf("leave mail in %s: %w", dir, err)
	}
	head, err := message.MarshalEnvelope(e)
	if err != nil {
		return fmt.Errorf("leave mail in %s: %w", dir, err)
	}
	if _, err := message.UnmarshalEnvelope(head); err != nil {
		return fmt.Errorf("leave mail in %s: it would not be picked up: %w", dir, err)
	}
	if len(head) > maxEnvelope {
		return fmt.Errorf("leave mail in %s: %w: the envelope has %d bytes, and %d are the most", dir, queue.ErrTooLarge, len(head), maxEnvelope)
	}
	f, err := os.OpenFile(filepath.Join(drop, "."+rand.Text()), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("leave mail in %s: %w", dir, err)
	}
	defer f.Close()
	if err = write(f, place, append(head, '\n'), body); err == nil {
		err = publish(f, drop, id)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is renamed already, or the next round of the appliance finds it
		return fmt.Errorf("leave mail in %s: %w", dir, err)
	}
	return nil
}

// room says why no more mail is to be put down in dir, or nil. A place that says nothing of itself
// has room.
func room(dir string) error {
	if about, err := ReadAbout(dir); err == nil && about.Full != "" {
		return fmt.Errorf("%w: %s", ErrFull, about.Full)
	}
	if space, err := disk.Look(dir); err == nil && space.Free < minFree {
		return fmt.Errorf("%w: its disk has %d MiB left, and %d are kept free", ErrFull, space.Free>>20, int64(minFree>>20))
	}
	return nil
}

// write fills the file and gives it to the group of its directory, so that the appliance can read
// it.
func write(f *os.File, place fs.FileInfo, head []byte, body io.Reader) error {
	if err := giveToGroup(f, place); err != nil {
		return err
	}
	if _, err := f.Write(head); err != nil {
		return err
	}
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o640), f.Sync())
}

// publish gives the file the name under which it is picked up.
func publish(f *os.File, drop string, id queue.ID) error {
	name := filepath.Join(drop, string(id))
	if _, err := os.Lstat(name); err == nil {
		return fs.ErrExist
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	if d, err := os.Open(drop); err == nil { // those who may not list it cannot open it
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}
