package boltstore

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/queue"
)

// child makes this process one that works on a store until it is killed, if the environment says
// so. It prints each message when it is acknowledged, with a checksum of its body, and each that is
// recorded as finished.
func child() {
	dir := os.Getenv("BOLTSTORE_CHILD")
	if dir == "" {
		return
	}
	s, err := Open(dir, killConfig, quiet)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	say := func(args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(args...)
	}
	for range 8 {
		go func() {
			for {
				text := strings.Repeat(fmt.Sprint(rand.Uint64()), rand.IntN(1500))
				id, err := keep(s, text)
				if err != nil {
					say("error", err)
				}
				say("kept", id, crc32.ChecksumIEEE([]byte(text)))
				if rand.IntN(3) == 0 {
					say("finishing", id)
					if _, err := s.Update(id, done); err != nil {
						say("error", err)
					}
					say("finished", id)
				}
			}
		}()
	}
	select {}
}

var killConfig = Config{SegmentBytes: 1 << 20, LargeBytes: 16 << 10, FlushRecords: 100, FlushDelay: 20 * time.Millisecond}

// A process killed at any moment loses nothing that it said was kept, and repeats nothing that it
// said was finished.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	kept, state := map[queue.ID]uint32{}, map[queue.ID]string{}
	for range 6 {
		killOnce(t, dir, kept, state)
		s := open(t, dir, killConfig)
		for id, sum := range kept {
			m, err := s.Get(id)
			if err != nil {
				t.Fatalf("%s was acknowledged: %v", id, err)
			}
			if state[id] == "finished" && m.Finished.IsZero() {
				t.Fatalf("%s was recorded as finished, and is not", id)
			}
			if m.Finished.IsZero() {
				checkSum(t, s, id, sum)
			}
		}
		if st := s.Stats(); st.Damaged != 0 {
			t.Fatalf("%d damaged", st.Damaged)
		}
		shut(t, s)
	}
	t.Logf("%d messages", len(kept))
}

func checkSum(t *testing.T, s *Store, id queue.ID, want uint32) {
	t.Helper()
	r, err := s.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, r); err != nil || sum.Sum32() != want {
		t.Fatalf("body of %s is not what was accepted: %v", id, err)
	}
}

// killOnce runs a child and kills it after some of its lines.
func killOnce(t *testing.T, dir string, kept map[queue.ID]uint32, state map[queue.ID]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BOLTSTORE_CHILD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for left := 100 + rand.IntN(600); lines.Scan(); left-- {
		if left == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var word, id string
		var sum uint32
		n, err := fmt.Sscan(lines.Text(), &word, &id, &sum)
		switch {
		case word == "kept" && n == 3:
			kept[queue.ID(id)] = sum
		case (word == "finishing" || word == "finished") && n == 2:
			state[queue.ID(id)] = word
		case left > 0:
			t.Fatalf("the child says %q: %v", lines.Text(), err)
		}
	}
	var killed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &killed) {
		t.Fatalf("the child ended: %v", err)
	}
}
