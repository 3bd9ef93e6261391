package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// ErrIncomplete is what every error about a backup that is not whole is.
var ErrIncomplete = errors.New("the backup is not whole")

// maxRecord bounds a record, in bytes.
const maxRecord = 16 << 20

// Summary is what a backup holds.
type Summary struct {
	Made     time.Time
	Host     string
	Version  string // of the Dinkymail that made it
	Messages int
	Waiting  int // not finished, captured or removed
	Bytes    int64
}

// Verify reads a backup to its end and compares everything with its checksums. A backup that is cut off, changed or not one gives
// an error that is ErrIncomplete.
func Verify(r io.Reader) (Summary, error) {
	return read(r, func(member, *os.File, int64) error { return nil })
}

// Options say how a queue is made of a backup.
type Options struct {
	// Hold holds all waiting mail, so that nothing which was delivered after the backup goes out again by itself.
	Hold bool
}

// heldWhy is the reason of mail held by Options.Hold.
const heldWhy = "restored from a backup"

// Restore puts every message of a backup into s, which must be empty. On an error s is to be thrown away.
func Restore(ctx context.Context, r io.Reader, s queue.Store, o Options) (Summary, error) {
	fill := filler{store: s, options: o, places: make(chan struct{}, parallel), failed: make(chan error, 1)}
	sum, err := read(r, func(m member, mail *os.File, size int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fill.take(m, mail, size)
	})
	return sum, errors.Join(err, fill.wait())
}

// read calls each with every message and the file that has its mail, which each may keep the content of only while it runs.
func read(r io.Reader, each func(m member, mail *os.File, size int64) error) (sum Summary, err error) {
	spool, err := os.CreateTemp("", "dinkymail-restore-")
	if err != nil {
		return sum, fmt.Errorf("make room for a mail: %w", err)
	}
	defer func() {
		err = errors.Join(err, spool.Close(), os.Remove(spool.Name()))
	}()
	b := reader{tar: tar.NewReader(r), sum: sha256.New(), spool: spool, each: each}
	if err := b.head(); err != nil {
		return b.Summary, err
	}
	for {
		done, err := b.next()
		if done || err != nil {
			return b.Summary, err
		}
	}
}

// reader reads the members of one backup.
type reader struct {
	Summary
	tar   *tar.Reader
	sum   hash.Hash
	spool *os.File
	each  func(m member, mail *os.File, size int64) error

	mail     string // the checksum of the .eml that was read last, until its record comes
	mailName string
	size     int64
}

func (b *reader) head() error {
	h, err := b.tar.Next()
	if err != nil || h.Name != headName {
		return fmt.Errorf("%w: it does not begin like a backup of Dinkymail", ErrIncomplete)
	}
	var v head
	if err := b.json(h, &v); err != nil {
		return err
	}
	if v.Format != format {
		return fmt.Errorf("the backup has format %d and was made by Dinkymail %s; this program reads format %d", v.Format, v.Version, format)
	}
	b.Made, b.Host, b.Version = v.Made, v.Host, v.Version
	return nil
}

// next reads a member; done when it was the last.
func (b *reader) next() (done bool, err error) {
	h, err := b.tar.Next()
	if err != nil {
		return false, fmt.Errorf("%w: it ends after %d messages (%w)", ErrIncomplete, b.Messages, err)
	}
	var id queue.ID
	switch {
	case h.Name == tailName:
		return true, b.tail(h)
	case matches(h.Name, mailPath, &id):
		return false, b.readMail(h)
	case matches(h.Name, recordPath, &id):
		return false, b.record(h, id)
	default:
		return false, fmt.Errorf("%w: %q does not belong into it", ErrIncomplete, h.Name)
	}
}

// matches reports whether a name is of a pattern, and the ID in it.
func matches(name, pattern string, id *queue.ID) bool {
	const begin = len("messages/")
	if len(name) < begin+16 {
		return false
	}
	*id = queue.ID(name[begin : begin+16])
	return id.Valid() && name == fmt.Sprintf(pattern, *id)
}

func (b *reader) readMail(h *tar.Header) error {
	if err := b.spool.Truncate(0); err != nil {
		return err
	}
	if _, err := b.spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(b.spool, sum), b.tar)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrIncomplete, h.Name, err)
	}
	b.mail, b.mailName, b.size = hex.EncodeToString(sum.Sum(nil)), h.Name, n
	return nil
}

func (b *reader) record(h *tar.Header, id queue.ID) error {
	var m member
	if err := b.json(h, &m); err != nil {
		return err
	}
	for _, r := range m.Recipients {
		m.Message.Envelope.To = append(m.Message.Envelope.To, message.Recipient{Address: r.Address, Notify: r.Notify, Original: r.Original})
	}
	belongs := b.mailName == fmt.Sprintf(mailPath, id)
	if m.Message.ID != id || len(m.Message.Results) != len(m.Message.Envelope.To) || (m.Mail != "") != belongs || m.Mail != b.mail {
		return fmt.Errorf("%w: %s or its mail is not what was written", ErrIncomplete, h.Name)
	}
	b.Messages++
	if m.Message.Finished.IsZero() && !m.Message.Captured && m.Message.Removed.IsZero() {
		b.Waiting++
	}
	b.Bytes += b.size
	var mail *os.File
	if belongs {
		if _, err := b.spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		mail = b.spool
	}
	err := b.each(m, mail, b.size)
	b.mail, b.mailName, b.size = "", "", 0
	return err
}

func (b *reader) tail(h *tar.Header) error {
	sum := hex.EncodeToString(b.sum.Sum(nil))
	var v tail
	if err := b.json(h, &v); err != nil {
		return err
	}
	if v.Messages != b.Messages || v.Sum != sum {
		return fmt.Errorf("%w: it should have %d messages and has %d, or one was changed", ErrIncomplete, v.Messages, b.Messages)
	}
	return nil
}

func (b *reader) json(h *tar.Header, v any) error {
	if h.Size > maxRecord {
		return fmt.Errorf("%w: %s is too large", ErrIncomplete, h.Name)
	}
	text, err := io.ReadAll(b.tar)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrIncomplete, h.Name, err)
	}
	b.sum.Write(text)
	return nil
}
