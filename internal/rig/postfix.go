package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Postfix is an instance of Debian's Postfix of its own: configuration, queue and data under one
// directory, nothing shared with an instance of the machine. It needs root, as Postfix does. Use it
// from one goroutine.
type Postfix struct {
	dir string
	pid int
}

// NewPostfix writes an instance that takes mail on 127.0.0.1 for anybody there and hands it on as
// main says. services are lines for master.cf, such as "127.0.0.1:2525 inet n - n - - smtpd"; with
// none, it listens nowhere. It starts nothing. The directory it makes is under the system's
// temporary one, since Postfix's own users must be able to reach it.
func NewPostfix(name string, main map[string]string, services ...string) (*Postfix, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("a Postfix of our own can be started by root only")
	}
	if _, err := exec.LookPath("postfix"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rig-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("lay out Postfix: %w", err)
	}
	p := &Postfix{dir: dir}
	settings := p.defaults()
	maps.Copy(settings, main)
	if err := p.layout(settings, services); err != nil {
		return nil, errors.Join(fmt.Errorf("lay out Postfix: %w", err), os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Postfix) defaults() map[string]string {
	return map[string]string{
		"compatibility_level":          "3.6",
		"queue_directory":              p.Path("queue"),
		"data_directory":               p.Path("data"),
		"command_directory":            "/usr/sbin",
		"daemon_directory":             "/usr/lib/postfix/sbin",
		"mail_owner":                   "postfix",
		"setgid_group":                 "postdrop",
		"maillog_file":                 p.Path("log"),
		"maillog_file_prefixes":        p.dir,
		"inet_interfaces":              "127.0.0.1",
		"inet_protocols":               "ipv4",
		"myhostname":                   "postfix.example",
		"mydestination":                "",
		"local_recipient_maps":         "",
		"local_transport":              "error:no mailboxes here",
		"alias_maps":                   "",
		"alias_database":               "",
		"mynetworks":                   "127.0.0.0/8",
		"smtp_host_lookup":             "native",
		"smtpd_peername_lookup":        "no",
		"message_size_limit":           "104857600",
		"mailbox_size_limit":           "0",
		"smtpd_client_restrictions":    "",
		"smtpd_relay_restrictions":     "permit_mynetworks,reject",
		"notify_classes":               "",
		"smtpd_forbid_bare_newline":    "no",
		"local_header_rewrite_clients": "",
		"message_drop_headers":         "",
		"smtp_line_length_limit":       "0",
		"header_size_limit":            "2097152",
	}
}

// standing are the services that every instance has; none of them runs chrooted, as Debian's do.
const standing = `pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 300 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

func (p *Postfix) layout(settings map[string]string, services []string) error {
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return err
	}
	for _, sub := range []string{"config", "queue", "data"} {
		if err := os.Mkdir(p.Path(sub), 0o755); err != nil {
			return err
		}
	}
	if out, err := exec.Command("chown", "postfix", p.Path("data")).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	var main strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&main, "%s = %s\n", name, settings[name])
	}
	if err := os.WriteFile(p.Path("config", "main.cf"), []byte(main.String()), 0o644); err != nil {
		return err
	}
	master := standing + strings.Join(services, "\n") + "\n"
	return os.WriteFile(p.Path("config", "master.cf"), []byte(master), 0o644)
}

// Path is a path below the instance's directory.
func (p *Postfix) Path(parts ...string) string {
	return filepath.Join(append([]string{p.dir}, parts...)...)
}

// Start runs the instance and returns how long it took until it greeted on addr; with addr "" until
// it runs.
func (p *Postfix) Start(addr string) (time.Duration, error) {
	begin := time.Now()
	if err := p.command("start"); err != nil {
		return 0, err
	}
	if addr != "" {
		ctx, cancel := context.WithTimeoutCause(context.Background(), startLimit, errors.New("Postfix did not start in time"))
		defer cancel()
		if err := waitGreeting(ctx, addr, nil); err != nil {
			return 0, fmt.Errorf("%w\n%s", err, p.Log())
		}
	}
	took := time.Since(begin)
	file, err := os.ReadFile(p.Path("queue", "pid", "master.pid"))
	if err != nil {
		return 0, fmt.Errorf("start Postfix: %w\n%s", err, p.Log())
	}
	p.pid, err = strconv.Atoi(strings.TrimSpace(string(file)))
	return took, err
}

// PID is the master's process id; all of the instance's processes descend from it.
func (p *Postfix) PID() int { return p.pid }

// Sendmail submits a message as a local program would, by this instance's sendmail command.
func (p *Postfix) Sendmail(ctx context.Context, from, to string, body []byte) error {
	cmd := exec.CommandContext(ctx, "/usr/sbin/sendmail", "-i", "-f", from, "--", to)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.Path("config"))
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(string(body), "\r\n", "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sendmail: %w: %s", err, out)
	}
	return nil
}

// Log is what the instance has logged.
func (p *Postfix) Log() string {
	log, err := os.ReadFile(p.Path("log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Close stops the instance, if it runs, and removes its directory.
func (p *Postfix) Close() error {
	var err error
	if p.pid != 0 {
		err = p.command("stop")
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

func (p *Postfix) command(verb string) error {
	out, err := exec.Command("postfix", "-c", p.Path("config"), verb).CombinedOutput()
	if err != nil {
		return fmt.Errorf("postfix %s: %w: %s%s", verb, err, out, p.Log())
	}
	return nil
}

// Set adds a line to main.cf, for the next Start.
func (p *Postfix) Set(name, value string) error {
	file, err := os.OpenFile(p.Path("config", "main.cf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s = %s\n", name, value)
	return errors.Join(err, file.Close())
}
