package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// longestPath is how many bytes the path of a Unix socket may have everywhere.
const longestPath = 100

// Unix listens on the Unix socket at path. Its mode and its group, -1 for our own, say who may
// connect; at no moment has its file wider rights. A socket that a killed appliance left behind
// makes room; one at which somebody answers does not. The file goes when the listener is closed.
func Unix(ctx context.Context, setting, path string, mode fs.FileMode, group int) (net.Listener, error) {
	if len(path) > longestPath {
		return nil, refused{fmt.Errorf("%s: the path of the socket %s has %d bytes, and a Unix socket's may "+
			"have %d; set %s to a directory with a shorter path, or to a link to this one that has", setting, path, len(path), longestPath,
			setting), ErrPath}
	}
	if err := makeRoom(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	// The socket's own mode is that of its file where the system heeds it; the mode that was asked
	// for comes once the group is right.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	ln, err := private.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s: listen on the socket %s: %w", setting, path, err)
	}
	err = os.Chown(path, -1, group)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		_ = ln.Close() // it was never served
		return nil, refused{fmt.Errorf("%s: give the socket %s its rights: %w", setting, path, err), ErrRights}
	}
	return ln, nil
}

// makeRoom removes a socket at path at which nobody answers.
func makeRoom(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way, which is no socket; move it elsewhere", path)
	}
	c, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close() // nothing was said
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("another program answers at %s; if that is an appliance, stop it or give this one its own directory", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket that is left from before: %w", err)
	}
	return nil
}
