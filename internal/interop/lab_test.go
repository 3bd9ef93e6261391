//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// account is who may log in to an appliance of the suite, and to the upstreams behind it. The
// password has what scripts and settings files like to trip over.
const (
	account  = "ada"
	password = `p@ss w0rd$1 "quoted' #50%`
)

// strangersOnly are TRUSTED_NETWORKS in which no client of the suite is.
const strangersOnly = "192.0.2.0/24"

// patience is how long a message may take from a client to the far end.
const patience = 30 * time.Second

// workshop is where the binary is built, once.
var workshop = filepath.Join(os.TempDir(), fmt.Sprintf("dinkymail-interop-%d", os.Getpid()))

var build = sync.OnceValues(func() (string, error) {
	if err := os.MkdirAll(workshop, 0o700); err != nil {
		return "", err
	}
	return rig.Build(workshop)
})

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(workshop)
	os.Exit(code)
}

// tool is the path of a program the test needs. Without it the test is skipped, or failed where
// everything must be tried.
func tool(t *testing.T, name, from string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name+" is not installed: "+from)
	}
	return path
}

func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("DINKYMAIL_INTEROP") == "all" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// appliance starts a Dinkymail with settings over the suite's defaults, and stops it at the test's
// end. A status other than 0 fails the test.
func appliance(t *testing.T, settings map[string]string) *rig.Appliance {
	t.Helper()
	a := unstarted(t, settings)
	run(t, a)
	return a
}

func unstarted(t *testing.T, settings map[string]string) *rig.Appliance {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	a, err := rig.NewAppliance(binary, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Kill)
	return a
}

func run(t *testing.T, a *rig.Appliance) {
	t.Helper()
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("end of the appliance's log:\n%s", a.LogTail())
		}
	})
}

// farEnd is a black hole that keeps what it gets.
func farEnd(t *testing.T) *rig.Sink {
	t.Helper()
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func certificates(t *testing.T) rig.Certs {
	t.Helper()
	dir, err := os.MkdirTemp("", "dinkymail-certs-") // not t.TempDir: Postfix's users must get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := rig.NewCerts(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// userHash makes an entry for SMTP_USERS as an operator would.
func userHash(t *testing.T) string {
	t.Helper()
	a := unstarted(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := a.Run(ctx, password+"\n", "user", "hash", account)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, account+":$") {
			return line
		}
	}
	t.Fatalf("user hash printed no %s:hash, but %q", account, out)
	return ""
}

// arrives waits for the message with text in it.
func arrives(t *testing.T, sink *rig.Sink, text string) rig.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := sink.Wait(ctx, text)
	if err != nil {
		t.Fatalf("%s never arrived: %v", text, err)
	}
	return got
}

// client runs a program that submits mail; its output is shown when it fails.
func client(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}
