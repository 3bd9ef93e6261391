package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A port that needs rights has three remedies.
func TestPortThatNeedsRights(t *testing.T) {
	err := explain("SMTP_LISTEN", "127.0.0.1:25", &net.OpError{Err: os.NewSyscallError("bind", syscall.EACCES)})
	if !errors.Is(err, ErrRights) {
		t.Fatal(err)
	}
	for _, want := range []string{"SMTP_LISTEN: port 25", "setcap cap_net_bind_service=+ep",
		"AmbientCapabilities=CAP_NET_BIND_SERVICE",
		"net.ipv4.ip_unprivileged_port_start=25", "set SMTP_LISTEN to ports above 1023"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

// A socket's file is for its owner alone, or for the group that was asked for as well, whatever the
// umask, and goes with it.
func TestSocketRights(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		path := filepath.Join(t.TempDir(), "s")
		before := syscall.Umask(umask)
		for _, mode := range []fs.FileMode{0o600, 0o660} {
			ln, err := Unix(t.Context(), "DATA_DIR", path, mode, -1)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
				t.Errorf("umask %o: %v, %v, want %o", umask, info.Mode(), err, mode)
			}
			ln.Close()
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		}
		syscall.Umask(before)
	}
}

// What a killed appliance left behind makes room.
func TestStaleSocketMakesRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	ln, err = Unix(t.Context(), "DATA_DIR", path, 0o600, -1)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

// A socket at which somebody answers stays, and so does a file that is none; a path that is too
// long is told with the remedy.
func TestSocketRefusals(t *testing.T) {
	dir := t.TempDir()
	taken, file := filepath.Join(dir, "taken"), filepath.Join(dir, "file")
	ln, err := net.Listen("unix", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		kind error
		text string
	}{
		taken:                           {nil, "another program answers at " + taken},
		file:                            {nil, file + " is in the way"},
		filepath.Join(dir, "none", "s"): {nil, "no such file or directory"},
		filepath.Join(dir, strings.Repeat("x", 100), "s"): {ErrPath, "set DATA_DIR to a directory with a shorter path"},
	} {
		_, err := Unix(t.Context(), "DATA_DIR", path, 0o600, -1)
		if err == nil || errors.Is(err, ErrPath) != (want.kind != nil) || !strings.Contains(err.Error(), want.text) ||
			!strings.HasPrefix(err.Error(), "DATA_DIR: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if c, err := net.Dial("unix", taken); err != nil {
		t.Errorf("the socket that answered: %v", err)
	} else {
		c.Close()
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file in the way: %v", err)
	}
}
