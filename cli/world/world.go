// Package world is what the commands of every family live in and have in common.
//
// # What it promises
//
// A command gets its streams, environment, clock, settings and way to the queue from a World, and
// says how it ended with an Exit, whose status is one of sysexits.h where its family has no other.
//
// # Who runs where
//
// Everything runs in the goroutine of the command.
package world

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"dinkymail/config"
	"dinkymail/httpapi"
)

// World is what a command lives in.
type World struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string         // as os.Environ gives it
	Now      func() time.Time // times are shown in its location; nil: time.Now
	User     *user.User       // who runs the command; nil: the system says
	Version  string

	// Settings loads the settings. Beside an error they may be there all the same, to be shown.
	Settings func() (*config.Settings, error)
	// Open is the way to the queue, whether the appliance runs or not, until done is called.
	Open func(ctx context.Context) (q Operator, done func(), err error)
	// Running says why no running appliance answers. Nil: whoever answers through Open runs.
	Running func(ctx context.Context) error
	// Health asks the appliance that runs how it is.
	Health func(ctx context.Context) (httpapi.Health, error)
	// Play runs a program of another family, and returns its exit status. Nil: there is none.
	Play func(ctx context.Context, name string, args ...string) int
}

// Getenv looks a variable up. The last one wins, as in a shell.
func (w *World) Getenv(name string) string {
	for i := len(w.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(w.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// Time is the time, in the location in which times are shown.
func (w *World) Time() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// Local is t in the location in which times are shown.
func (w *World) Local(t time.Time) time.Time { return t.In(w.Time().Location()) }

// Binary is the path of this program's file, whatever links led to it.
func Binary() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// Beside is a file of this name beside the program's; none where it is not known where that is.
func Beside(name string) []string {
	binary, err := Binary()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(filepath.Dir(binary), name)}
}

// Run runs a command with its output buffered, has say tell what went wrong, and returns the exit
// status. An error without a status is one that no command foresaw: it is said behind prefix.
func (w *World) Run(prefix string, say func(text string), do func(out *bufio.Writer) error) int {
	out := bufio.NewWriter(w.Out)
	err := do(out)
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("write error: %w", flushed)
	}
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*Exit](err)
	if !ok {
		exit = Failf(1, "%s%w", prefix, err)
	}
	if exit.Err != nil {
		say(exit.Err.Error())
	}
	return exit.Code
}

// Lines yields the lines that are read from in, without their ends, and the error of reading.
func Lines(in io.Reader) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		for r := bufio.NewReader(in); ; {
			line, err := r.ReadString('\n')
			if err == io.EOF {
				err = nil
				if line == "" {
					return
				}
			}
			if !yield(strings.TrimRight(line, "\r\n"), err) || err != nil {
				return
			}
		}
	}
}

// DataDir is DATA_DIR from the root of the disk on.
func DataDir(s *config.Settings) string {
	if abs, err := filepath.Abs(s.DataDir); err == nil {
		return abs
	}
	return s.DataDir
}
