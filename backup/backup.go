// Package backup writes a copy of the whole queue while it runs, and makes a queue of such a copy
// again.
//
// A backup is a tar archive that needs no Dinkymail to be read: for each message its record,
// messages/ID.json, behind its mail as it is sent, messages/ID.eml, where there is one. Mail that
// programs left in the maildrop is in maildrop/ID.mail, as it stood there, with whose it is in
// maildrop/ID.json behind it. The first member says what made it, the last what must be in it.
//
// # What it promises
//
// Every message that was accepted or left in the maildrop before Write began is in it once, as it
// was at some moment while Write ran, unless it was removed for good meanwhile. Of a message whose
// mail cannot be read the record is there, marked; what is not there at all is named in the last
// member. Both are in Summary.Missing. Verify and Restore read nothing but whole backups: each mail
// is compared with its checksum, and the last member with what was read. What Write wrote without
// an error they take. Restore fills an empty queue or gives an error, and in that case whoever
// called it throws the new queue away.
//
// Mail that was delivered after the backup is waiting in it. A restored queue would send it once
// more; Options.Hold holds all of it until an operator says what to release. A message without its
// mail is held in any case: there is nothing to send.
//
// # Limits
//
// A record of at most queue.MaxRecord bytes, a mail as large as the queue took. Mail is read twice,
// so that nothing of a damaged one is in the archive. Memory does not depend on the size of the
// queue, but for the IDs of what is in the maildrop.
package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// format is the version of the archive's layout. A reader refuses what is newer. The first had
// neither a maildrop nor messages without their mail, and is read as well.
const format = 3

// Names of the members.
const (
	headName   = "dinkymail-backup.json"
	tailName   = "end.json"
	recordPath = "messages/%s.json"
	mailPath   = "messages/%s.eml"
	leftPath   = "maildrop/%s.mail"
	whosePath  = "maildrop/%s.json"
)

// head is the first member.
type head struct {
	Format  int       `json:"format"`
	Made    time.Time `json:"made"`
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version,omitempty"` // of Dinkymail
}

// record is a message, with what the formats before the third had in place of its legs.
type record struct {
	queue.Message
	NextAttempt time.Time `json:",omitzero"`
	Tries       int       `json:",omitempty"`
}

// member is a message's record.
type member struct {
	Message record `json:"message"`
	// From and Recipients are the addresses of Message.Envelope, which has none itself. They are
	// written in parts: what was an address when it was accepted is read, whatever a later version
	// takes for one.
	From       address     `json:"from"`
	Recipients []recipient `json:"recipients"`
	Mail       string      `json:"mail,omitempty"` // SHA-256 of the .eml; empty without one
	// Damaged is why the mail of a message that should have one is not there.
	Damaged string `json:"damaged,omitempty"`
}

type address struct {
	Local  string `json:"local,omitempty"`
	Domain string `json:"domain,omitempty"`
}

type recipient struct {
	address
	Notify   message.Notify  `json:"notify,omitempty"`
	Original string          `json:"original,omitempty"`
	Old      message.Address `json:"address,omitzero"` // in the first format, in place of its parts
}

// whose is the record of a mail in the maildrop.
type whose struct {
	UID  uint32 `json:"uid"`
	User string `json:"user,omitempty"`
	Mail string `json:"mail"` // SHA-256 of the .mail
}

// tail is the last member.
type tail struct {
	Messages int       `json:"messages"`
	Left     int       `json:"maildrop,omitempty"` // mails of the maildrop
	Missing  []Missing `json:"missing,omitempty"`  // what is not in the archive at all
	Sum      string    `json:"sha256"`             // of all records, one behind the other
}

// Missing is a message that is not in a backup, or not with its mail.
type Missing struct {
	ID  queue.ID `json:"id"`
	Why string   `json:"why"`
}

// Source is what a backup is made of.
type Source interface {
	List(ctx context.Context, filter queue.Filter, after queue.ID, limit int) ([]queue.Message, error)
	Get(id queue.ID) (queue.Message, error)
	Body(id queue.ID) (io.ReadSeekCloser, error)
}

// Origin says what made a backup.
type Origin struct {
	Host, Version string
	// Left lists what programs have left for the queue to take in; nil: nothing.
	Left func() ([]Left, error)
}

// Left is a mail that stands outside the queue until it is taken in.
type Left struct {
	ID   queue.ID
	UID  uint32 // of the user who left it
	User string // the name of that user; may be empty
	Open func() (io.ReadSeekCloser, error)
}

// How many records are read at a time: as many as have pageRecipients together, more or less, since
// a record may be large.
const (
	page           = 500
	firstPage      = 50
	pageRecipients = 20_000
)

// Write writes a backup of everything in s to w: what waits, what is held, captured, removed and
// finished. A message that cannot be read is no error: see Summary.Missing.
func Write(ctx context.Context, s Source, from Origin, w io.Writer) error {
	b := writer{tar: tar.NewWriter(w), source: s, sum: sha256.New(), now: time.Now(), left: map[queue.ID]bool{}}
	var left []Left
	var err error
	if from.Left != nil { // before the queue is looked at: what is taken in meanwhile is there then
		if left, err = from.Left(); err != nil {
			return fmt.Errorf("read the maildrop: %w", err)
		}
	}
	for _, l := range left {
		b.left[l.ID] = true
	}
	last, err := newest(ctx, s)
	if err != nil {
		return err
	}
	if err := b.json(headName, head{Format: format, Made: b.now, Host: from.Host, Version: from.Version}); err != nil {
		return err
	}
	if err := b.messages(ctx, last); err != nil {
		return err
	}
	for _, l := range left {
		if err := b.leftOver(ctx, l); err != nil {
			return err
		}
	}
	return b.end()
}

// newest is the greatest ID that belongs into a backup which begins now: what is accepted later
// belongs into the next one. A clock that was ahead may have made IDs that are greater than a new
// one.
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
