package stock

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"dinkymail/control"
)

// SocketVariable names, in the environment of a command that Shell runs, the control socket of the
// queue. A test binary that finds it set is such a command, under its own base name.
const SocketVariable = "STOCK_SOCKET"

// Shell serves the queue at a socket, links the test binary under the names of commands, and
// returns what runs a script in which those are found first. What the script prints comes back; its
// failure is the test's.
func (s *Stock) Shell(names ...string) func(script string) string {
	t := s.t
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	grace := func() time.Duration { return 10 * time.Second }
	go func() {
		served <- control.Serve(ctx, ln, s.Client, http.NotFoundHandler(), grace, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script) //nolint:gosec // the script is the test's own
		cmd.Env = append(os.Environ(), SocketVariable+"="+socket, "PATH="+dir+":"+os.Getenv("PATH"), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return string(out)
	}
}
