//go:build unix

package maildrop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"dinkymail/message"
	"dinkymail/queue"
)

// child makes this process one that leaves mail in a maildrop until it is killed, if the
// environment says so. It prints each ID when Put has returned.
func child() {
	dir := os.Getenv("MAILDROP_CHILD")
	if dir == "" {
		return
	}
	bob, _ := message.ParseAddress("bob@example.net")
	e := message.Envelope{To: []message.Recipient{{Address: bob}}}
	for {
		id := queue.NewID()
		if err := Put(dir, id, e, strings.NewReader(sealed(rand.IntN(300_000)))); err != nil {
			fmt.Println("error", err)
		}
		fmt.Println("put", id)
	}
}

// sealed is a mail whose Subject has the checksum of its body.
func sealed(size int) string {
	body := strings.Repeat("0123456789abcdef\r\n", size/18+1)
	return fmt.Sprintf("Subject: %d\r\n\r\n%s", crc32.ChecksumIEEE([]byte(body)), body)
}

// A program that is killed while it leaves mail leaves all that it said it left, and no half of
// another.
func TestKill(t *testing.T) {
	h := newHouse(t)
	var put []queue.ID
	for range 5 {
		put = append(put, h.killOnce()...)
	}
	seen := map[queue.ID]bool{}
	d := New(submits(func(_ context.Context, s queue.Submission) (queue.ID, error) {
		var b strings.Builder
		if _, err := bufio.NewReader(s.Body).WriteTo(&b); err != nil {
			return "", err
		}
		head, body, _ := strings.Cut(b.String(), "\r\n\r\n")
		if head != fmt.Sprintf("Subject: %d", crc32.ChecksumIEEE([]byte(body))) {
			t.Errorf("%s is not whole", s.ID)
		}
		seen[s.ID] = true
		return s.ID, nil
	}), h.cfg, h.logger())
	d.round(context.Background())
	for _, id := range put {
		if !seen[id] {
			t.Errorf("%s was left, and is not there", id)
		}
	}
	if h.log.Len() > 0 {
		t.Errorf("log: %s", h.log.String())
	}
	t.Logf("%d mails", len(seen))
}

// submits is a function in the place of the queue.
type submits func(ctx context.Context, s queue.Submission) (queue.ID, error)

func (f submits) Submit(ctx context.Context, s queue.Submission) (queue.ID, error) { return f(ctx, s) }

// killOnce runs a child, kills it after some of its lines, and returns what it said it left.
func (h *house) killOnce() (put []queue.ID) {
	h.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MAILDROP_CHILD="+h.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for left := 2 + rand.IntN(20); lines.Scan(); left-- {
		if left == 0 {
			if err := cmd.Process.Kill(); err != nil {
				h.t.Fatal(err)
			}
		}
		word, id, _ := strings.Cut(lines.Text(), " ")
		switch {
		case word == "put" && queue.ID(id).Valid():
			put = append(put, queue.ID(id))
		case left > 0:
			h.t.Fatalf("the child says %q", lines.Text())
		}
	}
	var killed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &killed) {
		h.t.Fatalf("the child ended: %v", err)
	}
	return put
}
