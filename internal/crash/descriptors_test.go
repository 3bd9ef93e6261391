//go:build crash

package crash

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dinkymail/internal/rig"
)

// With no file descriptor left the process goes on: who is connected may send, what needs a file is
// refused for the moment, and nothing is given up because nobody could be dialled. When there are
// descriptors again, mail is taken and all of it arrives.
func TestNoFileDescriptors(t *testing.T) {
	a, hop := unreachable(t, map[string]string{"QUEUE_RETRY": "1s"})
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	kept, err := rig.Dial(a.Submission, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	exhaust(t, a)
	sink := reach(t, hop)
	told := map[string]bool{}
	for n := range 30 {
		id := "small-" + strconv.Itoa(n)
		if _, err := kept.Send("ada@example.org", []string{"bob@example.net"}, rig.Mail(id, messageSize), rig.Transfer{}); err != nil {
			t.Fatalf("mail that needs no file: %v", err)
		}
		told[id] = true
	}
	_, err = kept.Send("ada@example.org", []string{"bob@example.net"}, rig.Mail("large", 1<<20), rig.Transfer{})
	if reply := (*rig.ReplyError)(nil); err == nil {
		told["large"] = true
	} else if !errors.As(err, &reply) || reply.Code/100 != 4 {
		t.Errorf("mail that needs a file is answered by %v", err)
	}
	allow(t, a, 1024)
	arriveOnce(t, sink, told)
	if err := send(a, "afterwards", 1<<20); err != nil {
		t.Errorf("mail when there are descriptors again: %v", err)
	}
	arriveOnce(t, sink, map[string]bool{"afterwards": true})
	log, err := os.ReadFile(a.Log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "outcome=failed") {
		t.Errorf("something was given up:\n%s", a.LogTail())
	}
	if !strings.Contains(string(log), "LimitNOFILE") {
		t.Error("the log does not say what to do")
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}

// exhaust leaves the appliance no file descriptor: a few, and then connections that take them all
// and stay.
func exhaust(t *testing.T, a *rig.Appliance) {
	t.Helper()
	open, err := rig.Descriptors(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	allow(t, a, uint64(open)+4)
	for range 20 {
		conn, err := net.DialTimeout("tcp", a.Plain, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	if !rig.Settles(time.Minute, func() bool { return strings.Contains(a.LogTail(), "accept failed") }) {
		t.Fatalf("no want of descriptors:\n%s", a.LogTail())
	}
}

// allow sets how many descriptors the appliance may have open.
func allow(t *testing.T, a *rig.Appliance, n uint64) {
	t.Helper()
	if err := unix.Prlimit(a.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: 4096}, nil); err != nil {
		t.Fatal(err)
	}
}
