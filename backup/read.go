package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// ErrIncomplete is what every error about a backup that is not whole is.
var ErrIncomplete = errors.New("the backup is not whole")

// Summary is what a backup holds.
type Summary struct {
	Made     time.Time
	Host     string
	Version  string // of the Dinkymail that made it
	Messages int
	Waiting  int // not finished, captured or removed
	Left     int // mails of the maildrop
	Bytes    int64
	Missing  []Missing // what could not be read when the backup was made: the mail of a message, or all of it
}

// Verify reads a backup to its end and compares everything with its checksums. A backup that is cut
// off, changed or not one gives an error that is ErrIncomplete.
func Verify(r io.Reader) (Summary, error) {
	return read(r, nil, sink{})
}

// sink takes what is read. It may keep the content of the mail only while it runs.
type sink struct {
	message func(m member, mail *os.File, size int64) error
	left    func(l Left, mail io.Reader) error
}

// read gives everything to a sink, or with a nil spool only looks at it.
func read(r io.Reader, spool *os.File, to sink) (Summary, error) {
	b := reader{tar: tar.NewReader(r), sum: sha256.New(), spool: spool, to: to}
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
	spool *os.File // has the mail that was read last; nil: nobody wants it
	to    sink

	mail     string // the checksum of the mail that was read last, until its record comes
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
	if v.Format < 1 || v.Format > format {
		return fmt.Errorf("the backup has format %d and was made by Dinkymail %s; this program reads up to format %d", v.Format, v.Version, format)
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
	case matches(h.Name, mailPath, &id), matches(h.Name, leftPath, &id):
		return false, b.readMail(h)
	case matches(h.Name, recordPath, &id):
		return false, b.record(h, id)
	case matches(h.Name, whosePath, &id):
		return false, b.left(h, id)
	default:
		return false, fmt.Errorf("%w: %q does not belong into it", ErrIncomplete, h.Name)
	}
}

// matches reports whether a name is of a pattern, and the ID in it.
func matches(name, pattern string, id *queue.ID) bool {
	begin := strings.IndexByte(pattern, '%')
	if len(name) < begin+16 {
		return false
	}
	*id = queue.ID(name[begin : begin+16])
	return id.Valid() && name == fmt.Sprintf(pattern, *id)
}

func (b *reader) readMail(h *tar.Header) error {
	sum := sha256.New()
	to := io.Writer(sum)
	if b.spool != nil {
		if err := b.spool.Truncate(0); err != nil {
			return err
		}
		if _, err := b.spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		to = io.MultiWriter(b.spool, sum)
	}
	n, err := io.Copy(to, b.tar)
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
	m.addressed()
	belongs := b.mailName == fmt.Sprintf(mailPath, id)
	if m.Message.ID != id || len(m.Message.Results) != len(m.Message.Envelope.To) || (m.Mail != "") != belongs || m.Mail != b.mail {
		return fmt.Errorf("%w: %s or its mail is not what was written", ErrIncomplete, h.Name)
	}
	b.Messages++
	if m.Message.Finished.IsZero() && !m.Message.Captured && m.Message.Removed.IsZero() {
		b.Waiting++
	}
	if m.Damaged != "" {
		b.Missing = append(b.Missing, Missing{id, m.Damaged})
	}
	return b.give(func(mail *os.File) error {
		if !belongs {
			mail = nil
		}
		return b.to.message(m, mail, b.size)
	})
}

// addressed gives the message's envelope its addresses, and a message of an earlier format its leg.
func (m *member) addressed() {
	if r := &m.Message; r.Legs == nil && !r.Captured {
		r.Legs = []queue.Leg{{Lane: queue.Upstream, Next: r.NextAttempt, Tries: r.Tries}}
	}
	e := &m.Message.Envelope
	if m.From != (address{}) {
		e.From = message.Address{Local: m.From.Local, Domain: m.From.Domain}
	}
	for _, r := range m.Recipients {
		to := message.Address{Local: r.Local, Domain: r.Domain}
		if r.address == (address{}) {
			to = r.Old
		}
		e.To = append(e.To, message.Recipient{Address: to, Notify: r.Notify, Original: r.Original})
	}
}

// left reads whose a mail of the maildrop is.
func (b *reader) left(h *tar.Header, id queue.ID) error {
	var w whose
	if err := b.json(h, &w); err != nil {
		return err
	}
	if b.mailName != fmt.Sprintf(leftPath, id) || w.Mail != b.mail {
		return fmt.Errorf("%w: %s or its mail is not what was written", ErrIncomplete, h.Name)
	}
	b.Left++
	return b.give(func(mail *os.File) error { return b.to.left(Left{ID: id, UID: w.UID, User: w.User}, mail) })
}

// give hands over the mail that was read last, if somebody wants it.
func (b *reader) give(take func(mail *os.File) error) error {
	b.Bytes += b.size
	var err error
	if b.spool != nil {
		if _, err = b.spool.Seek(0, io.SeekStart); err == nil {
			err = take(b.spool)
		}
	}
	b.mail, b.mailName, b.size = "", "", 0
	return err
}

func (b *reader) tail(h *tar.Header) error {
	sum := hex.EncodeToString(b.sum.Sum(nil))
	var v tail
	if err := b.json(h, &v); err != nil {
		return err
	}
	if v.Messages != b.Messages || v.Left != b.Left || v.Sum != sum {
		return fmt.Errorf("%w: it should have %d messages and has %d, or one was changed", ErrIncomplete, v.Messages, b.Messages)
	}
	b.Missing = append(b.Missing, v.Missing...)
	return nil
}

func (b *reader) json(h *tar.Header, v any) error {
	if h.Size > queue.MaxRecord {
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
