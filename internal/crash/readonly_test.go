//go:build crash

package crash

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// A file system that the kernel makes read-only under us, as it does when the disk is sick, ends
// neither the process nor what was accepted: mail is refused, /health and the log say what to do,
// and a start says so, too. Once the disk is mended all of it arrives.
func TestReadOnlyRemount(t *testing.T) {
	disk := newDisk(t)
	a, hop := unreachable(t, map[string]string{"DATA_DIR": filepath.Join(disk.dir, "mail")})
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for n := range 50 {
		id := "before-" + strconv.Itoa(n)
		if err := send(a, id, messageSize); err != nil {
			t.Fatal(err)
		}
		told[id] = true
	}
	disk.sicken()
	var reply *rig.ReplyError
	if err := send(a, "refused", messageSize); !errors.As(err, &reply) || reply.Code != 451 {
		t.Errorf("a read-only disk is answered by %v, want 451", err)
	}
	if err := rig.Post(http.DefaultClient, "http://"+a.HTTP+"/send", "refused-http", messageSize); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a read-only disk is answered by %v over HTTP, want 503", err)
	}
	if status, text := health(t, a); status != http.StatusServiceUnavailable || !strings.Contains(text, "restart once it is mended") {
		t.Errorf("health says %d %s", status, text)
	}
	if log := a.LogTail(); !strings.Contains(log, "the queue's disk failed") || !strings.Contains(log, "remedy=") {
		t.Errorf("the log says %s", log)
	}
	_ = a.Stop() // it may complain of what it cannot write any more
	if _, err := a.Start(); err == nil || !strings.Contains(err.Error(), "mount it for writing again") {
		t.Errorf("a start on a read-only disk: %v", err)
	}
	disk.mend()
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	arriveOnce(t, reach(t, hop), told)
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}

func health(t *testing.T, a *rig.Appliance) (status int, text string) {
	t.Helper()
	resp, err := http.Get("http://" + a.HTTP + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// disk is an ext4 of its own in a file.
type disk struct {
	t          *testing.T
	dir, image string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, dir: t.TempDir(), image: filepath.Join(t.TempDir(), "image")}
	if os.Getuid() != 0 {
		missing(t, "only root can mount a file system")
	}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", d.image}, {"mount", "-o", "loop", d.image, d.dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			missing(t, "no ext4 may be mounted here: "+strings.Join(command, " ")+": "+string(out))
		}
	}
	t.Cleanup(func() { _ = exec.Command("umount", d.dir).Run() })
	return d
}

// sicken makes the kernel treat the file system as it does after an error of the disk: from now on
// it is read-only, also for who has files open.
func (d *disk) sicken() { d.run("mount", "-o", "remount,abort", d.dir) }

// mend unmounts the file system, checks it, and mounts it again.
func (d *disk) mend() {
	d.run("umount", d.dir)
	d.run("sh", "-c", `e2fsck -p "$0" >&2 || test $? -lt 4`, d.image) // below 4: all errors were corrected
	d.run("mount", "-o", "loop", d.image, d.dir)
}

func (d *disk) run(command ...string) {
	d.t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
}
