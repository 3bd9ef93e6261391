package backup

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"dinkymail/queue"
)

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
	record := m.Message
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
		bare.Finished, bare.NextAttempt, bare.Captured, bare.Removed = time.Time{}, time.Time{}, false, time.Time{}
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
