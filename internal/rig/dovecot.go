package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Dovecot is an instance of Debian's Dovecot that does nothing but check passwords, for a Postfix
// that asks it. It needs root. Use it from one goroutine.
type Dovecot struct {
	Socket string // for smtpd_sasl_path

	dir   string
	cmd   *exec.Cmd
	ended chan struct{}
}

const dovecotConf = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols =
ssl = no
auth_mechanisms = %[2]s
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  unix_listener %[1]s/auth {
    mode = 0666
  }
}
`

// NewDovecot starts one that knows one account and offers the mechanisms given, such as "plain
// login".
func NewDovecot(user, password, mechanisms string) (*Dovecot, error) {
	program, err := exec.LookPath("dovecot")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rig-dovecot-")
	if err != nil {
		return nil, fmt.Errorf("lay out Dovecot: %w", err)
	}
	d := &Dovecot{Socket: filepath.Join(dir, "auth"), dir: dir, ended: make(chan struct{})}
	conf := filepath.Join(dir, "dovecot.conf")
	if err := errors.Join(
		os.Chmod(dir, 0o755), // its own users must get there
		os.WriteFile(conf, fmt.Appendf(nil, dovecotConf, dir, mechanisms), 0o644),
		os.WriteFile(filepath.Join(dir, "users"), fmt.Appendf(nil, "%s:{PLAIN}%s\n", user, password), 0o644),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("lay out Dovecot: %w", err), os.RemoveAll(dir))
	}
	d.cmd = exec.Command(program, "-F", "-c", conf)
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start Dovecot: %w", err), os.RemoveAll(dir))
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	if err := d.ready(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// ready waits until the socket takes connections.
func (d *Dovecot) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		if conn, err := net.Dial("unix", d.Socket); err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-d.ended:
			return fmt.Errorf("Dovecot ended\n%s", d.Log())
		case <-ctx.Done():
			return fmt.Errorf("Dovecot did not start in time\n%s", d.Log())
		}
	}
}

// Log is what it has logged.
func (d *Dovecot) Log() string {
	log, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Close stops it and removes its directory.
func (d *Dovecot) Close() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(stopLimit):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	return os.RemoveAll(d.dir)
}
