package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// startLimit is how long an appliance may take from exec to its greeting; a start after kill -9
// reads its journal first.
const startLimit = 60 * time.Second

// stopLimit is how long an appliance may take to end after SIGTERM.
const stopLimit = 60 * time.Second

// Build compiles the appliance as it is released (stripped, static) into dir and returns the file's
// path. With DINKYMAIL_BINARY set, that file is used instead.
func Build(dir string) (string, error) {
	if ready := os.Getenv("DINKYMAIL_BINARY"); ready != "" {
		return filepath.Abs(ready)
	}
	binary := filepath.Join(dir, "dinkymail")
	root, err := Root()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// Root is the directory of the module that the calling test or program belongs to.
func Root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Appliance is one Dinkymail as a process, with its own data directory and ports on 127.0.0.1. Its
// environment holds nothing but its settings, so that no .env and no variable of the machine
// reaches it. Use it from one goroutine.
type Appliance struct {
	Plain      string // host:port, stands for port 25
	Submission string // host:port, stands for port 587
	TLS        string // host:port, stands for port 465; nothing listens there without TLS_CERT_FILE
	HTTP       string // host:port
	Data       string // DATA_DIR
	Log        string // file that all its output is appended to

	binary   string
	dir      string
	settings map[string]string
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process has ended and was waited for
}

// NewAppliance lays out an appliance under dir and starts nothing. What settings say goes before
// the defaults, which are: ports that are free now, MAIL_DOMAIN=example.org, LOG_LEVEL=info.
func NewAppliance(binary, dir string, settings map[string]string) (*Appliance, error) {
	addrs, err := FreeAddrs(4)
	if err != nil {
		return nil, err
	}
	a := &Appliance{
		Plain: addrs[0], Submission: addrs[1], TLS: addrs[2], HTTP: addrs[3],
		Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"),
		binary: binary, dir: dir,
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lay out an appliance: %w", err)
	}
	a.settings = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": dir, "TMPDIR": os.TempDir(),
		"DATA_DIR": a.Data, "MAIL_DOMAIN": "example.org", "LOG_LEVEL": "info",
		"SMTP_LISTEN": a.Submission + "," + a.Plain, "HTTP_LISTEN": a.HTTP,
	}
	if settings["TLS_CERT_FILE"] != "" {
		a.settings["SMTPS_LISTEN"] = a.TLS
	}
	maps.Copy(a.settings, settings)
	return a, nil
}

// Relayed are the settings for an upstream at addr that speaks plain SMTP and wants no password.
func Relayed(addr string) map[string]string {
	host, _, _ := strings.Cut(addr, ":")
	return map[string]string{"SMTP_RELAY_HOST": host, "SMTP_RELAY_PORT": Port(addr), "USE_TLS": "no"}
}

// Start runs the appliance and returns how long it took from exec until it greeted on its SMTP port
// and its HTTP port was open.
func (a *Appliance) Start() (time.Duration, error) {
	log, err := os.OpenFile(a.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("start the appliance: %w", err)
	}
	defer log.Close()
	a.cmd = exec.Command(a.binary)
	a.cmd.Dir, a.cmd.Env = a.dir, a.environ()
	a.cmd.Stdout, a.cmd.Stderr = log, log
	begin := time.Now()
	if err := a.cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the appliance: %w", err)
	}
	a.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(a.cmd, a.ended)
	ctx, cancel := context.WithTimeoutCause(context.Background(), startLimit, errors.New("the appliance did not start in time"))
	defer cancel()
	if err := waitGreeting(ctx, a.Plain, a.ended); err != nil {
		a.Kill()
		return 0, fmt.Errorf("%w\n%s", err, a.LogTail())
	}
	return time.Since(begin), nil
}

func (a *Appliance) environ() []string {
	env := make([]string, 0, len(a.settings))
	for _, name := range slices.Sorted(maps.Keys(a.settings)) {
		env = append(env, name+"="+a.settings[name])
	}
	return env
}

// Set changes a setting for the next Start.
func (a *Appliance) Set(name, value string) { a.settings[name] = value }

// WriteEnv writes the .env of the appliance's working directory, where it looks for one. What the
// environment says goes before it.
func (a *Appliance) WriteEnv(text string) error {
	return os.WriteFile(filepath.Join(a.dir, ".env"), []byte(text), 0o600)
}

// Reload sends SIGHUP.
func (a *Appliance) Reload() error { return a.cmd.Process.Signal(syscall.SIGHUP) }

// Run runs another verb of the binary with the appliance's settings and returns what it printed.
func (a *Appliance) Run(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, a.binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = a.dir, a.environ(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("dinkymail %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// PID is the process's id while it runs.
func (a *Appliance) PID() int { return a.cmd.Process.Pid }

// Kill ends the appliance with SIGKILL and waits until it is gone. It may be called when it has
// ended already.
func (a *Appliance) Kill() {
	if a.cmd == nil || a.ended == nil {
		return
	}
	_ = a.cmd.Process.Kill()
	<-a.ended
}

// Stop ends the appliance with SIGTERM. An end that takes too long, or another exit status than 0,
// is an error.
func (a *Appliance) Stop() error {
	if a.cmd == nil || a.ended == nil {
		return nil
	}
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-a.ended:
	case <-time.After(stopLimit):
		a.Kill()
		return fmt.Errorf("the appliance did not end within %v of SIGTERM\n%s", stopLimit, a.LogTail())
	}
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the appliance ended with status %d\n%s", code, a.LogTail())
	}
	return nil
}

// LogTail is the end of what the appliance has written, for an error message.
func (a *Appliance) LogTail() string {
	const most = 4 << 10
	log, err := os.ReadFile(a.Log)
	if err != nil {
		return err.Error()
	}
	if len(log) > most {
		log = log[len(log)-most:]
		log = log[bytes.IndexByte(log, '\n')+1:]
	}
	return string(log)
}
