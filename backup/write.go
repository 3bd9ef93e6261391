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
	"io/fs"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// writer writes the members of one backup.
type writer struct {
	tar     *tar.Writer
	source  Source
	sum     hash.Hash
	now     time.Time
	n       int
	nLeft   int
	left    map[queue.ID]bool // what is in the maildrop and not written yet
	missing []Missing
}

// messages writes everything up to last.
func (b *writer) messages(ctx context.Context, last queue.ID) error {
	n := firstPage
	for after := queue.ID(""); ; {
		list, err := b.source.List(ctx, queue.Filter{}, after, n)
		if err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
		recipients := 0
		for i := range list {
			recipients += len(list[i].Envelope.To) + 1
			if list[i].ID > last {
				return nil
			}
			if err := b.message(ctx, list[i]); err != nil {
				return fmt.Errorf("back up %s: %w", list[i].ID, err)
			}
		}
		if len(list) < n {
			return nil
		}
		after = list[len(list)-1].ID
		n = min(max(n*pageRecipients/recipients, 1), page)
	}
}

// message writes a message. One that was finished or removed while its turn came is written as it
// is now, or not at all; of one whose mail cannot be read, the record.
func (b *writer) message(ctx context.Context, m queue.Message) error {
	body, err := b.source.Body(m.ID)
	if errors.Is(err, queue.ErrNotFound) {
		return b.bare(ctx, m)
	}
	if err == nil {
		defer body.Close()
	}
	sum, size := sha256.New(), int64(0)
	if err == nil {
		size, err = io.Copy(sum, body)
	}
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	switch {
	case err == nil:
		return b.record(member{Message: record{Message: m}, Mail: hex.EncodeToString(sum.Sum(nil))}, body, size)
	case over(ctx, err):
		return err
	}
	return b.record(member{Message: record{Message: m}, Damaged: err.Error()}, nil, 0)
}

// bare writes a message whose mail is not in the queue: it was finished meanwhile, or is gone, or
// has lost it.
func (b *writer) bare(ctx context.Context, m queue.Message) error {
	now, err := b.source.Get(m.ID)
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return nil
	case err != nil && over(ctx, err):
		return err
	case err != nil:
		b.missing = append(b.missing, Missing{m.ID, err.Error()})
		return nil
	}
	why := ""
	if now.Finished.IsZero() || now.Captured {
		why = "it is not in the queue"
	}
	return b.record(member{Message: record{Message: now}, Damaged: why}, nil, 0)
}

// over reports whether nothing more can be read after this error.
func over(ctx context.Context, err error) bool {
	return errors.Is(err, queue.ErrClosed) || ctx.Err() != nil
}

// record writes a message's mail, if it has one, and its record.
func (b *writer) record(m member, mail io.Reader, size int64) error {
	delete(b.left, m.Message.ID)
	text, err := encode(m)
	if err != nil {
		return err
	}
	if len(text) > queue.MaxRecord {
		b.missing = append(b.missing, Missing{m.Message.ID, fmt.Sprintf("its record has %d bytes, and %d are the most", len(text), queue.MaxRecord)})
		return nil
	}
	if mail != nil {
		if err := b.mail(fmt.Sprintf(mailPath, m.Message.ID), mail, size, m.Mail, m.Message.Accepted); err != nil {
			return err
		}
	}
	b.n++
	return b.write(fmt.Sprintf(recordPath, m.Message.ID), text)
}

// encode is a record as it is written, within queue.MaxRecord if that can be.
func encode(m member) ([]byte, error) {
	m.Message.Bound()
	e := &m.Message.Envelope
	m.From = address{e.From.Local, e.From.Domain}
	for _, r := range e.To {
		m.Recipients = append(m.Recipients, recipient{address: address{r.Local, r.Domain}, Notify: r.Notify, Original: r.Original})
	}
	e.From, e.To = message.Address{}, nil
	m.Message.Results = append(m.Message.Results, make([]queue.Result, max(0, len(m.Recipients)-len(m.Message.Results)))...)
	text, err := json.Marshal(m)
	if err == nil && len(text) > queue.MaxRecord {
		m.Message.Strip()
		text, err = json.Marshal(m)
	}
	return text, err
}

// leftOver writes a mail of the maildrop, unless the queue has taken it in and it is written
// already.
func (b *writer) leftOver(ctx context.Context, l Left) error {
	if !b.left[l.ID] {
		return nil
	}
	f, err := l.Open()
	if err != nil {
		m, gone := b.source.Get(l.ID)
		if gone == nil { // it was taken in meanwhile
			return b.message(ctx, m)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			b.missing = append(b.missing, Missing{l.ID, err.Error()})
		}
		return nil
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		b.missing = append(b.missing, Missing{l.ID, err.Error()})
		return nil
	}
	mail := hex.EncodeToString(sum.Sum(nil))
	text, err := json.Marshal(whose{UID: l.UID, User: l.User, Mail: mail})
	if err != nil {
		return err
	}
	if err := b.mail(fmt.Sprintf(leftPath, l.ID), f, size, mail, b.now); err != nil {
		return fmt.Errorf("back up %s of the maildrop: %w", l.ID, err)
	}
	b.nLeft++
	return b.write(fmt.Sprintf(whosePath, l.ID), text)
}

// mail writes a mail of which checksum and size are known.
func (b *writer) mail(name string, mail io.Reader, size int64, want string, at time.Time) error {
	if err := b.header(name, size, at); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(b.tar, sum), mail, size); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != want {
		return errors.New("it was read twice, and was not the same")
	}
	return nil
}

func (b *writer) json(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return b.write(name, text)
}

// write writes a member that is a record.
func (b *writer) write(name string, text []byte) error {
	if len(text) > queue.MaxRecord {
		return fmt.Errorf("write %s: it has %d bytes, and %d are the most", name, len(text), queue.MaxRecord)
	}
	b.sum.Write(text)
	if err := b.header(name, int64(len(text)), b.now); err != nil {
		return err
	}
	_, err := b.tar.Write(text)
	return err
}

func (b *writer) header(name string, size int64, at time.Time) error {
	return b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at, Format: tar.FormatPAX})
}

func (b *writer) end() error {
	end := tail{Messages: b.n, Left: b.nLeft, Missing: b.missing, Sum: hex.EncodeToString(b.sum.Sum(nil))}
	if err := b.json(tailName, end); err != nil {
		return err
	}
	return b.tar.Close()
}
