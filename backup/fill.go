package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"dinkymail/queue"
)

// Options say how a queue is made of a backup.
type Options struct {
	// Hold holds all waiting mail, so that nothing which was delivered after the backup goes out
	// again by itself.
	Hold bool
	// Left takes in a mail of the maildrop; nil: nothing does.
	Left func(ctx context.Context, l Left, mail io.Reader) error
	// Dir is where mail is kept while it is read; empty: where temporary files are.
	Dir string
}

// Why mail is held that was restored: by Options.Hold, and where there is no mail to send.
const (
	heldWhy    = "restored from a backup"
	heldBare   = "its text could not be read when the backup was made"
	heldBounce = "; bounce it to tell the sender"
)

// Restore puts every message of a backup into s, which must be empty. On an error s is to be thrown
// away.
func Restore(ctx context.Context, r io.Reader, s queue.Store, o Options) (Summary, error) {
	spool, err := os.CreateTemp(o.Dir, "dinkymail-restore-")
	if err != nil {
		return Summary{}, fmt.Errorf("make room for a mail: %w", err)
	}
	fill := filler{store: s, options: o, places: make(chan struct{}, parallel), failed: make(chan error, 1)}
	sum, err := read(r, spool, sink{
		message: func(m member, mail *os.File, size int64) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return fill.take(m, mail, size)
		},
		left: func(l Left, mail io.Reader) error {
			if o.Left == nil {
				return ctx.Err()
			}
			return o.Left(ctx, l, mail)
		},
	})
	return sum, errors.Join(err, fill.wait(), spool.Close(), os.Remove(spool.Name()))
}

const (
	parallel = 64      // messages that are put at a time, so that the store gathers them into one write
	small    = 1 << 20 // a mail up to this size is copied to memory to be one of them; bytes
)

// filler puts messages into an empty store.
type filler struct {
	store   queue.Store
	options Options
	places  chan struct{}
	failed  chan error // the first error
	running sync.WaitGroup
}

// take puts one message: at the side when it is small.
func (f *filler) take(m member, mail *os.File, size int64) error {
	select {
	case err := <-f.failed:
		return err
	default:
	}
	if size > small {
		return f.put(m, mail)
	}
	var text []byte
	if mail != nil {
		text = make([]byte, size)
		if _, err := io.ReadFull(mail, text); err != nil {
			return fmt.Errorf("read a mail again: %w", err)
		}
	}
	f.places <- struct{}{}
	f.running.Go(func() {
		defer func() { <-f.places }()
		if err := f.put(m, bytes.NewReader(text)); err != nil {
			select {
			case f.failed <- err:
			default:
			}
		}
	})
	return nil
}

// wait returns the first error of those that went at the side.
func (f *filler) wait() error {
	f.running.Wait()
	select {
	case err := <-f.failed:
		return err
	default:
		return nil
	}
}

func (f *filler) put(m member, mail io.Reader) error {
	record := m.Message.Message
	if record.Finished.IsZero() && !record.Captured {
		switch {
		case m.Damaged != "":
			record.Held = heldBare + " (" + m.Damaged + ")" + heldBounce
		case f.options.Hold && record.Held == "":
			record.Held = heldWhy
		}
	}
	whole := m.Mail != ""
	_, err := f.store.Put(mail, func(size int64) (queue.Message, error) {
		if whole {
			record.Size = size
			return record, nil
		}
		bare := record // it loses its mail with an Update that follows, which is when it becomes what it was
		bare.Finished, bare.Legs, bare.Captured, bare.Removed = time.Time{}, nil, false, time.Time{}
		return bare, nil
	})
	if err == nil && m.Damaged != "" { // nothing but the end of a message takes its mail away
		_, err = f.store.Update(record.ID, func(to *queue.Message) { to.Finished = time.Now() })
	}
	if err == nil && !whole {
		_, err = f.store.Update(record.ID, func(to *queue.Message) { *to = record })
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", record.ID, err)
	}
	return nil
}
