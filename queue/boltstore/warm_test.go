package boltstore

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

// The first reading of a body that just came needs no file, and every further one gives the same.
func TestFreshBodyComesFromMemory(t *testing.T) {
	d := &sickDisk{}
	s := open(t, t.TempDir(), Config{disk: d})
	defer shut(t, s)
	id := mustKeep(t, s, "fresh")
	d.sicken(on(syscall.EMFILE, ".seg", "open"))
	mustRead(t, s, id, "fresh")
	if _, err := s.Body(id); err == nil {
		t.Error("a second reading needed no file: this shows nothing")
	}
	d.heal()
	mustRead(t, s, id, "fresh")
}

// Bodies that wait in memory are bounded, and none stays beyond the next flush: a waiting lane
// keeps no memory.
func TestFreshBodiesAreBounded(t *testing.T) {
	s := open(t, t.TempDir(), Config{})
	defer shut(t, s)
	size := func() int {
		s.bodies.warm.mu.Lock()
		defer s.bodies.warm.mu.Unlock()
		return s.bodies.warm.size
	}
	text := strings.Repeat("x", 60<<10)
	for range 2 * warmMost / len(text) {
		mustKeep(t, s, text)
		if n := size(); n > warmMost {
			t.Fatalf("%d bytes are kept", n)
		}
	}
	if err := s.flushOnce(); err != nil || size() != 0 {
		t.Errorf("%d bytes are kept: %v", size(), err)
	}
}

// Memory that goes from one body to the next never shows one message's bytes in another's.
func TestFreshBodiesDoNotMix(t *testing.T) {
	s := open(t, t.TempDir(), Config{})
	defer shut(t, s)
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for n := range 100 {
				text := strings.Repeat(fmt.Sprintf("%d-%d ", c, n), 1+n)
				m := queuetest.Message("bob")
				if _, err := s.Put(strings.NewReader(text), func(int64) (queue.Message, error) { return m, nil }); err != nil {
					t.Error(err)
					return
				}
				body, err := s.Body(m.ID)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, []byte(text)) {
					t.Errorf("got %.40q…, want %.40q…: %v", got, text, err)
				}
				body.Close()
				body.Close()
			}
		})
	}
	clients.Wait()
}
