// Package logfile keeps the newest log lines in a directory, so that a message's life can be read
// later without knowing where standard error went.
//
// # What it promises
//
// Writing never fails and hardly ever waits for the disk: lines are gathered and written once a
// second, when 32 KiB came together, and before anybody searches. What cannot be written, on a full
// disk, is lost here, and the log proper is not touched. kill -9 loses the last second.
//
// # Limits
//
// Two files, each of half of what Open is given: when the newer one is full it takes the older
// one's place.
//
// # Who runs where
//
// Write and Search may be called from any goroutine. Run is the one that writes what nobody else
// caused to be written.
package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// gather is how many bytes of lines come together before they are written.
const gather = 32 << 10

// File is the kept log. It is made by Open and is an io.Writer of whole lines.
type File struct {
	current, older string
	max            int64

	mu      sync.Mutex // guards what follows
	pending []byte
	size    int64
	file    *os.File // nil after a failure and after Close
}

// Open keeps at most max bytes of log in the directory dir, which it makes. What is there from
// before stays, and is counted.
func Open(dir string, max int64) (*File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the log: %w", err)
	}
	f := &File{current: filepath.Join(dir, "dinkymail.log"), older: filepath.Join(dir, "dinkymail.log.1"), max: max / 2}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("keep the log: %w", err)
	}
	return f, nil
}

func (f *File) open() error {
	file, err := os.OpenFile(f.current, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size = file, info.Size()
	return nil
}

// Write takes in whole lines. It never returns an error.
func (f *File) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, lines...)
	if len(f.pending) >= gather {
		f.flush()
	}
	return len(lines), nil
}

// flush is called with mu held. What cannot be written is dropped, and the next flush begins with a
// fresh file handle.
func (f *File) flush() {
	if len(f.pending) == 0 {
		return
	}
	if f.file != nil && f.size+int64(len(f.pending)) > f.max {
		_ = f.file.Close()
		f.file = nil
		_ = os.Rename(f.current, f.older)
	}
	if f.file == nil && f.open() != nil {
		f.pending = f.pending[:0]
		return
	}
	n, err := f.file.Write(f.pending)
	f.size += int64(n)
	f.pending = f.pending[:0]
	if err != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// Run writes what was gathered every second until ctx ends. What is logged afterwards is written by
// Close. Of a nil File, which keeps nothing, it only waits.
func (f *File) Run(ctx context.Context) error {
	if f == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.mu.Lock()
			f.flush()
			f.mu.Unlock()
		}
	}
}

// Close writes what was gathered and closes the file. Lines written later open it again. A nil File
// has nothing to close.
func (f *File) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flush()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Search writes every kept line that has text in it to w, oldest first, until ctx ends.
func (f *File) Search(ctx context.Context, text string, w io.Writer) error {
	f.mu.Lock()
	f.flush()
	f.mu.Unlock()
	for _, name := range []string{f.older, f.current} {
		if err := search(ctx, name, []byte(text), w); err != nil {
			return err
		}
	}
	return nil
}

func search(ctx context.Context, name string, text []byte, w io.Writer) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the kept log: %w", err)
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 64<<10)
	for ctx.Err() == nil {
		line, err := lines.ReadBytes('\n')
		if bytes.Contains(line, text) {
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read the kept log: %w", err)
		}
	}
	return ctx.Err()
}
