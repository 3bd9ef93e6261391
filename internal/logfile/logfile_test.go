package logfile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func found(t *testing.T, f *File, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Search(t.Context(), text, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What was just written is found, and so is what an earlier run wrote.
func TestSearchFindsLines(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		f, err := Open(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "msg=queued id=abc run=%d\nmsg=queued id=xyz\n", run)
		if run == 1 {
			if got := found(t, f, "id=abc"); got != "msg=queued id=abc run=0\nmsg=queued id=abc run=1\n" {
				t.Errorf("got %q", got)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The directory never has more than it may, and the newest lines are those that stay.
func TestOldLinesMakeRoom(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(dir, 256<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range 10_000 {
		fmt.Fprintf(f, "line %06d %s\n", i, strings.Repeat("x", 80))
	}
	if got := found(t, f, "line 009999"); got == "" {
		t.Error("the newest line is gone")
	}
	if got := found(t, f, "line 000000"); got != "" {
		t.Error("the oldest line is still there")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if len(files) != 2 || size > 256<<10 {
		t.Errorf("%d files with %d bytes", len(files), size)
	}
}

// A directory that goes away loses lines and nothing else; when it is back, so is the log.
func TestWritingNeverFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	f, err := Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if n, err := fmt.Fprintln(f, "lost"); n != 5 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if got := found(t, f, "lost"); got != "" {
		t.Errorf("found %q", got)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "kept")
	if got := found(t, f, "kept"); got != "kept\n" {
		t.Errorf("found %q", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Lines reach the disk within a second or so without anybody asking.
func TestRunWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, err := Open(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		fmt.Fprintln(f, "a line")
		<-time.After(1500 * time.Millisecond)
		text, err := os.ReadFile(filepath.Join(dir, "dinkymail.log"))
		if err != nil || string(text) != "a line\n" {
			t.Errorf("got %q, %v", text, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
