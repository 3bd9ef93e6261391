package boltstore

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dinkymail/queue"
)

// flip changes the last byte of a body in a file.
func flip(t *testing.T, path string, body string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.LastIndex(b, []byte(body))+len(body)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// drain reads a body to its end.
func drain(s *Store, id queue.ID) error {
	body, err := s.Body(id)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// A body in which a byte was changed is counted and named in the log once it was asked for, once
// however often that is, also over a restart, until it can be read again or the message is done
// with.
func TestDamagedBodyIsCounted(t *testing.T) {
	for name, size := range map[string]int{"small": 5000, "large": 600 << 10} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Config{})
			text := strings.Repeat("0123456789", size/10)
			bad := mustKeep(t, s, text)
			good := mustKeep(t, s, "good")
			path := s.bodies.path(bad)
			if size < 256<<10 {
				path = s.journal.Path(1)
			}
			shut(t, s)
			flip(t, path, text)

			var log bytes.Buffer
			s, err := Open(dir, Config{}, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := drain(s, bad); !errors.Is(err, ErrDamaged) || drain(s, good) != nil {
					t.Fatalf("reading it: %v", err)
				}
			}
			if got := log.String(); s.Stats().Damaged != 1 || strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, string(bad)) {
				t.Errorf("%d damaged, log: %s", s.Stats().Damaged, got)
			}
			shut(t, s)
			s = open(t, dir, Config{})
			if n := s.Stats().Damaged; n != 1 {
				t.Errorf("%d damaged after a restart", n)
			}
			shut(t, s)
			flip(t, path, text[:len(text)-1]+string('9'^rune(1)))
			s = open(t, dir, Config{})
			if err := drain(s, bad); err != nil || s.Stats().Damaged != 0 {
				t.Errorf("mended: %v, %d damaged", err, s.Stats().Damaged)
			}
			shut(t, s)
			flip(t, path, text)
			s = open(t, dir, Config{})
			defer shut(t, s)
			if err := drain(s, bad); !errors.Is(err, ErrDamaged) || s.Stats().Damaged != 1 {
				t.Errorf("damaged again: %v, %d damaged", err, s.Stats().Damaged)
			}
			if _, err := s.Update(bad, func(m *queue.Message) { m.Finished, m.Legs[0].Next = time.Now(), time.Time{} }); err != nil {
				t.Fatal(err)
			}
			left, err := filepath.Glob(filepath.Join(dir, "damaged", "*"))
			if s.Stats().Damaged != 0 || err != nil || len(left) > 0 {
				t.Errorf("finished: %d damaged, %v left", s.Stats().Damaged, left)
			}
		})
	}
}
