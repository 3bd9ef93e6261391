// Package backup writes a copy of the whole queue while it runs, and makes a queue of such a copy again.
//
// A backup is a tar archive that needs no Dinkymail to be read: for each message its record, messages/ID.json, behind its mail as
// it is sent, messages/ID.eml, where there is one. The first member says what made it, the last what must be in it.
//
// # What it promises
//
// Every message that was accepted before Write began is in it, as it was at some moment while Write ran, unless it was removed
// for good meanwhile. Verify and Restore read nothing but whole backups: each mail is compared with its checksum, and the last
// member with what was read. Restore fills an empty queue or gives an error, and in that case whoever called it throws the new
// queue away.
//
// Mail that was delivered after the backup is waiting in it. A restored queue would send it once more; Options.Hold holds all of it
// until an operator says what to release.
//
// # Limits
//
// A record of at most 16 MiB, a mail as large as the queue took. Memory does not depend on the size of the queue.
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
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// format is the version of the archive's layout. A reader refuses what is newer.
const format = 1

// Names of the members.
const (
	headName   = "dinkymail-backup.json"
	tailName   = "end.json"
	recordPath = "messages/%s.json"
	mailPath   = "messages/%s.eml"
)

// head is the first member.
type head struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version,omitempty"` // of Dinkymail
}

// member is a message's record.
type member struct {
	Message queue.Message `json:"message"`
	// Recipients are Message.Envelope.To in full, since a recipient by itself is written as its address alone.
	Recipients []recipient `json:"recipients"`
	Mail       string      `json:"mail,omitempty"` // SHA-256 of the .eml; empty without one
}

type recipient struct {
	Address  message.Address `json:"address"`
	Notify   message.Notify  `json:"notify,omitempty"`
	Original string          `json:"original,omitempty"`
}

// tail is the last member.
type tail struct {
	Messages int    `json:"messages"`
	Sum      string `json:"sha256"` // of all records, one behind the other
}

// Source is what a backup is made of.
type Source interface {
	List(ctx context.Context, filter queue.Filter, after queue.ID, limit int) ([]queue.Message, error)
	Get(id queue.ID) (queue.Message, error)
	Body(id queue.ID) (io.ReadSeekCloser, error)
}

// Origin says what made a backup.
type Origin struct{ Host, Version string }

// page is how many records are read at a time.
const page = 500

// Write writes a backup of everything in s to w: what waits, what is held, captured, removed and finished.
func Write(ctx context.Context, s Source, from Origin, w io.Writer) error {
	b := writer{tar: tar.NewWriter(w), source: s, sum: sha256.New(), now: time.Now()}
	last, err := newest(ctx, s)
	if err != nil {
		return err
	}
	if err := b.json(headName, head{Format: format, Made: b.now, Host: from.Host, Version: from.Version}); err != nil {
		return err
	}
	after := queue.ID("")
	for {
		messages, err := s.List(ctx, queue.Filter{}, after, page)
		if err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
		for i := range messages {
			if messages[i].ID > last {
				return b.end()
			}
			if err := b.message(messages[i]); err != nil {
				return err
			}
		}
		if len(messages) < page {
			return b.end()
		}
		after = messages[len(messages)-1].ID
	}
}

// newest is the greatest ID that belongs into a backup which begins now: what is accepted later belongs into the next one. A clock
// that was ahead may have made IDs that are greater than a new one.
func newest(ctx context.Context, s Source) (queue.ID, error) {
	last := queue.NewID()
	list, err := s.List(ctx, queue.Filter{Newest: true}, "", 1)
	if err != nil {
		return "", fmt.Errorf("read the queue: %w", err)
	}
	if len(list) > 0 {
		last = max(last, list[0].ID)
	}
	return last, nil
}

// writer writes the members of one backup.
type writer struct {
	tar    *tar.Writer
	source Source
	sum    hash.Hash
	now    time.Time
	n      int
}

// message writes a message. One that was finished or removed while its turn came is written as it is now, or not at all.
func (b *writer) message(m queue.Message) error {
	body, err := b.source.Body(m.ID)
	if errors.Is(err, queue.ErrNotFound) {
		if m, err = b.source.Get(m.ID); errors.Is(err, queue.ErrNotFound) {
			return nil
		}
		if err == nil {
			return b.record(member{Message: m})
		}
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", m.ID, err)
	}
	defer body.Close()
	sum := sha256.New()
	if err := b.header(fmt.Sprintf(mailPath, m.ID), m.Size, m.Accepted); err != nil {
		return err
	}
	if _, err := io.Copy(io.MultiWriter(b.tar, sum), body); err != nil {
		return fmt.Errorf("back up %s: %w", m.ID, err)
	}
	return b.record(member{Message: m, Mail: hex.EncodeToString(sum.Sum(nil))})
}

func (b *writer) record(m member) error {
	b.n++
	for _, r := range m.Message.Envelope.To {
		m.Recipients = append(m.Recipients, recipient{r.Address, r.Notify, r.Original})
	}
	m.Message.Envelope.To = nil
	return b.json(fmt.Sprintf(recordPath, m.Message.ID), m)
}

func (b *writer) json(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	b.sum.Write(text)
	if err := b.header(name, int64(len(text)), b.now); err != nil {
		return err
	}
	_, err = b.tar.Write(text)
	return err
}

func (b *writer) header(name string, size int64, at time.Time) error {
	return b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at, Format: tar.FormatPAX})
}

func (b *writer) end() error {
	if err := b.json(tailName, tail{Messages: b.n, Sum: hex.EncodeToString(b.sum.Sum(nil))}); err != nil {
		return err
	}
	return b.tar.Close()
}
