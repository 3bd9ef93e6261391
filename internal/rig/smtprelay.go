package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// smtprelayModule is a proxy without a queue: it says yes to a mail when the next hop has. It is no
// part of our module; whoever wants to compare fetches it for that.
const smtprelayModule = "github.com/decke/smtprelay@latest"

// Smtprelay is an instance of that proxy. Use it from one goroutine.
type Smtprelay struct {
	Addr  string // host:port it takes mail on
	cmd   *exec.Cmd
	ended chan struct{}
}

// NewSmtprelay fetches and builds the proxy into dir, or takes the file that SMTPRELAY_BINARY
// names, and starts it with the next hop remote, a host:port. An error when it cannot be had is no
// fault of the machine: not every module proxy has it.
func NewSmtprelay(dir, remote string) (p *Smtprelay, took time.Duration, err error) {
	binary, err := smtprelayBinary(dir)
	if err != nil {
		return nil, 0, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, 0, err
	}
	p = &Smtprelay{Addr: addr, ended: make(chan struct{})}
	p.cmd = exec.Command(binary, "-listen", addr, "-remotes", "smtp://"+remote, "-hostname", "smtprelay.example",
		"-max_connections", "1000", "-max_message_size", "104857600", "-logfile", filepath.Join(dir, "smtprelay.log"))
	p.cmd.Dir = dir
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start smtprelay: %w", err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := waitGreeting(ctx, addr, p.ended); err != nil {
		return nil, 0, errors.Join(err, p.Close())
	}
	return p, time.Since(begin), nil
}

func smtprelayBinary(dir string) (string, error) {
	if ready := os.Getenv("SMTPRELAY_BINARY"); ready != "" {
		return filepath.Abs(ready)
	}
	cmd := exec.Command("go", "install", smtprelayModule)
	cmd.Dir = dir // outside our module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w: %s", smtprelayModule, err, strings.TrimSpace(string(out)))
	}
	return filepath.Join(dir, "smtprelay"), nil
}

// PID is the process's id.
func (p *Smtprelay) PID() int { return p.cmd.Process.Pid }

// Close ends it.
func (p *Smtprelay) Close() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return nil
}
