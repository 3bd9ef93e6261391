//go:build crash

package crash

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// A full disk refuses mail, with 452 by SMTP and 503 by HTTP, and ends neither the process nor what
// it has accepted: all of that arrives once the next hop is there, and then there is room for mail
// again.
func TestFullDisk(t *testing.T) {
	// Less than a segment of the journal, and a few of them.
	for _, size := range []int{48, 256} {
		t.Run(fmt.Sprintf("%d MiB", size), func(t *testing.T) { fullDisk(t, size) })
	}
}

func fullDisk(t *testing.T, size int) {
	if os.Getuid() != 0 {
		missing(t, "only root can mount a small file system")
	}
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", size), "tmpfs", disk).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("no file system may be mounted here: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	a, hop := unreachable(t, map[string]string{"DATA_DIR": disk})
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	told, refusal := fill(t, a, size)
	var reply *rig.ReplyError
	if !errors.As(refusal, &reply) || reply.Code != 452 {
		t.Errorf("a full disk is answered by %v, want 452", refusal)
	}
	err := rig.Post(http.DefaultClient, "http://"+a.HTTP+"/send", "full-http", 200<<10)
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a full disk is answered by %v over HTTP, want 503", err)
	}
	sink := reach(t, hop)
	arriveOnce(t, sink, told)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for send(a, "room-again", 200<<10) != nil {
		select {
		case <-ctx.Done():
			t.Fatalf("the disk has room again, and mail is still refused\n%s", a.LogTail())
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d messages were accepted before the disk was full, none lost", len(told))
}

// missing skips a test that cannot be made here, and fails it in CI.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// What a crash left half written at the end of the journal, random bytes or the first half of a
// record, is cut off, and everything before it is delivered.
func TestTornTail(t *testing.T) {
	for _, c := range []struct {
		name string
		tear func(segment []byte) []byte // what to append
	}{
		{"noise", func([]byte) []byte { noise := make([]byte, 5000); _, _ = rand.Read(noise); return noise }},
		{"half a record", func(segment []byte) []byte { return segment[:min(3000, len(segment)/2)] }},
		{"zeros", func([]byte) []byte { return make([]byte, 9000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, hop := unreachable(t, nil)
			if _, err := a.Start(); err != nil {
				t.Fatal(err)
			}
			told := map[string]bool{}
			for n := range 50 {
				id := "torn-" + strconv.Itoa(n)
				if err := send(a, id, messageSize); err != nil {
					t.Fatal(err)
				}
				told[id] = true
			}
			a.Kill()
			tear(t, a.Data, c.tear)
			if _, err := a.Start(); err != nil {
				t.Fatal(err)
			}
			arriveOnce(t, reach(t, hop), told)
			if err := a.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// tear appends to the newest segment.
func tear(t *testing.T, data string, bytes func([]byte) []byte) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(data, "segments", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments in %s: %v", data, err)
	}
	newest := slices.Max(segments)
	old, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(newest, append(old, bytes(old)...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unreachable is an appliance whose next hop is not there yet; hop is where it will be.
func unreachable(t *testing.T, settings map[string]string) (a *rig.Appliance, hop string) {
	t.Helper()
	hop, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	all := rig.Relayed(hop)
	for name, value := range settings {
		all[name] = value
	}
	a, err = rig.NewAppliance(build(t), t.TempDir(), all)
	if err != nil {
		t.Fatal(err)
	}
	if dir := settings["DATA_DIR"]; dir != "" {
		a.Data = dir
	}
	t.Cleanup(a.Kill)
	return a, hop
}

// reach opens the next hop.
func reach(t *testing.T, hop string) *rig.Sink {
	t.Helper()
	sink, err := rig.NewSink(hop, rig.SinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

// fill submits until a message is refused for want of room on a disk of size MiB.
func fill(t *testing.T, a *rig.Appliance, size int) (told map[string]bool, refusal error) {
	t.Helper()
	told = map[string]bool{}
	for n := range size << 20 / (100 << 10) {
		id := "full-" + strconv.Itoa(n)
		if err := send(a, id, 200<<10); err != nil {
			return told, err
		}
		told[id] = true
	}
	t.Fatal("twice as much mail as the disk holds was accepted")
	return nil, nil
}

// send submits one message over a connection of its own.
func send(a *rig.Appliance, id string, size int) error {
	c, err := rig.Dial(a.Submission, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Send("ada@example.org", []string{"bob@example.net"}, rig.Mail(id, size), rig.Transfer{})
	return err
}

// arriveOnce waits until all that was acknowledged has arrived, and wants nothing of it twice.
func arriveOnce(t *testing.T, sink *rig.Sink, told map[string]bool) {
	t.Helper()
	allArrive(sink, told)
	quiet(t, sink)
	arrivals := sink.Arrivals()
	if missing := lost(arrivals, told); len(missing) > 0 {
		t.Errorf("%d of %d acknowledged messages were lost: %.10q", len(missing), len(told), missing)
	}
	for id := range told {
		if n := arrivals[id].Count; n > 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}
