// Package maildrop keeps the mail that programs on this machine hand in while the appliance is not
// there, and takes it in once it is. sendmail puts it there; the appliance picks it up.
//
// A place has a directory, SUBMIT_DIR:
//
//	about.json   what sendmail needs to know: the domain, and the limits of a mail
//	submit.sock  the appliance while it runs; not of this package
//	maildrop/    mail to be picked up, one file each
//	rejected/    files that were no mail, for somebody to look at
//
// A mail's file has its envelope on the first line, as message.MarshalEnvelope writes it, and the
// mail behind it. It is written under a name that begins with a dot, brought to the disk, and
// renamed to the ID that the mail will have.
//
// # What it promises
//
// When Put returns without an error the mail is on the disk, whole; a program that is killed on the
// way leaves nothing that would be taken for mail. Each mail is accepted once, also when the
// appliance is killed between accepting it and removing its file: the name is its ID, and the queue
// knows that already. One that cannot be accepted for now stays. One that never can be is set aside
// and named in the log; it keeps none of the others from being picked up.
//
// With a group, its members can put mail into maildrop/ and cannot list it; the directory is
// sticky, so that they cannot touch what others have put there. Whose mail it is, is read off the
// file. Links, directories and whatever else is no plain file are never opened.
//
// # Limits
//
// Mail is picked up every two seconds. Once more than Config.MaxMessages or MaxBytes lie there
// after that, about.json says so and Put takes no more; while no appliance runs nobody counts, for
// who puts mail there may not list it, and Put leaves minFree of the disk. What does not fit into
// the queue waits, and so does what is larger; smaller mail goes on. A member of the group who
// guesses a name of 80 bits can read another's mail before it is picked up. Put cannot bring the
// directory itself to the disk for who may not list it; it syncs the file again under its new name,
// which on the file systems of Linux does the same. What is refused for good once it is picked up
// is not returned to its sender: sendmail checks beforehand what can be checked. rejected/ keeps
// 100 files, then the oldest make room.
//
// # Who runs where
//
// Run is the appliance's and belongs to one goroutine. Put may be called by any number of programs
// at a time.
package maildrop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"dinkymail/queue"
)

// Config says where mail is put down, and by whom.
type Config struct {
	Dir   string // SUBMIT_DIR
	Group string // SUBMIT_GROUP, by name or number; empty: the appliance's own user and root alone
	// Machine is this machine's name: a sender without a domain is there. Recipients without one
	// are at About.Domain.
	Machine string
	About   About
	// How much may lie in maildrop/ before Put is told to take no more; zero: no limit.
	MaxMessages int
	MaxBytes    int64
}

// About is what the appliance tells the programs that hand mail in.
type About struct {
	Domain          string `json:"domain"`
	MaxMessageBytes int64  `json:"maxMessageBytes"`
	MaxRecipients   int    `json:"maxRecipients"`
	Full            string `json:"full,omitempty"` // why Put takes no more for now
}

// ErrFull says that no more mail is put down for now.
var ErrFull = errors.New("the maildrop is full")

// minFree is what Put leaves of the disk, in bytes.
const minFree = 64 << 20

// The names in Config.Dir.
const (
	aboutFile   = "about.json"
	dropDir     = "maildrop"
	rejectedDir = "rejected"
	socketFile  = "submit.sock"
)

// Socket is the path of the submit socket in dir.
func Socket(dir string) string { return filepath.Join(dir, socketFile) }

// ReadAbout reads what the appliance that uses dir said of itself when it started last.
func ReadAbout(dir string) (a About, err error) {
	b, err := os.ReadFile(filepath.Join(dir, aboutFile))
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		return About{}, fmt.Errorf("read about the appliance: %w", err)
	}
	return a, nil
}

// Waiting counts the mails in the maildrop of dir that nobody has taken in yet; 0 where that cannot
// be seen.
func Waiting(dir string) int {
	files, err := os.ReadDir(filepath.Join(dir, dropDir))
	if err != nil {
		return 0
	}
	n := 0
	for _, f := range files {
		if queue.ID(f.Name()).Valid() {
			n++
		}
	}
	return n
}

// Submitter is where mail goes: the queue. A nil error means that the mail is on the disk.
type Submitter interface {
	Submit(ctx context.Context, s queue.Submission) (queue.ID, error)
}

// Drop picks mail up.
type Drop struct {
	next  Submitter
	cfg   Config
	fresh atomic.Pointer[Config] // set by Use, taken by the next round
	log   *slog.Logger

	users  map[uint32]string // names by uid, as far as they were asked for
	said   map[string]bool   // files whose trouble was logged
	stopAt string            // the log has this reason already
	full   string            // about.json says this
	pass                     // of this round
}

// pass is one round through the directory.
type pass struct {
	seen   map[string]bool // files whose trouble was known or was logged
	reason error           // why mail waits, the first time it was met
	closed bool            // no mail at all is accepted
	beyond int64           // nor is any of this size or more
	left   int             // what stays
	bytes  int64
}

// New makes a Drop of a directory that Prepare has made. It starts nothing.
func New(next Submitter, cfg Config, log *slog.Logger) *Drop {
	return &Drop{next: next, cfg: cfg, log: log, users: map[uint32]string{}, said: map[string]bool{}}
}

// Use replaces the settings, but for Dir and Group. It is heeded within two seconds.
func (d *Drop) Use(cfg Config) { d.fresh.Store(&cfg) }

// every is how often the directory is looked at.
const every = 2 * time.Second

// Run picks mail up until ctx ends, and returns nil then.
func (d *Drop) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		d.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
