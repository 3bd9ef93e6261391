//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"dinkymail/internal/rig"
)

// Users of every Debian. The appliance runs as daemon, which is a member of www-data, the group
// that may send.
const (
	daemon   = 1
	member   = 33 // www-data
	stranger = 65534
)

// office is an appliance that is not root's, and its sendmail.
type office struct {
	t        *testing.T
	a        *rig.Appliance
	sink     *rig.Sink
	dir      string // for everybody to read
	sendmail string
	submit   string // SUBMIT_DIR
}

// newOffice lays it out and starts nothing. Only root can be several users.
func newOffice(t *testing.T) *office {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "only root can be several users")
	}
	setpriv := tool(t, "setpriv", "util-linux")
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "dinkymail-office-") // not t.TempDir: the other users must get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := &office{t: t, sink: farEnd(t), dir: dir, sendmail: filepath.Join(dir, "sendmail")}
	data := filepath.Join(dir, "data")
	o.submit = filepath.Join(data, "submit")
	as := filepath.Join(dir, "as-daemon")
	copied := filepath.Join(dir, "dinkymail")
	script := "#!/bin/sh\nexec " + setpriv + " --reuid=1 --regid=1 --groups=33 " + copied + " \"$@\"\n"
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(data, 0o700), os.Chown(data, daemon, daemon),
		os.Mkdir(filepath.Join(dir, "home"), 0o755), copyFile(binary, copied),
		os.Symlink(copied, o.sendmail), os.WriteFile(as, []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	settings := rig.Relayed(o.sink.Addr())
	settings["DATA_DIR"], settings["SUBMIT_GROUP"] = data, strconv.Itoa(member)
	settings["DEFAULT_FROM"], settings["DEFAULT_TO"] = "noreply@example.org", "owner@example.org"
	if o.a, err = rig.NewAppliance(as, filepath.Join(dir, "home"), settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.a.Kill)
	return o
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// as is a command of another user, with nothing of ours in its environment.
func (o *office) as(uid int, stdin, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	o.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = "/", []string{"PATH=" + o.dir + ":" + os.Getenv("PATH"), "HOME=" + o.dir}, strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	return cmd
}

// send runs sendmail and expects a status.
func (o *office) send(uid, status int, subject string) string {
	o.t.Helper()
	out, err := o.as(uid, "To: bob@example.net\nSubject: "+subject+"\n\nHello\n", o.sendmail, "-t", "-v").CombinedOutput()
	code := 0
	if x := (*exec.ExitError)(nil); errors.As(err, &x) {
		code = x.ExitCode()
	} else if err != nil {
		o.t.Fatal(err)
	}
	if code != status {
		o.t.Errorf("sendmail as %d: got status %d, want %d: %s", uid, code, status, out)
	}
	return string(out)
}

// Root, the members of SUBMIT_GROUP and the appliance's own user may send, whether the appliance
// runs or not, without a setting of their own; nobody else may, and is told how to get there. What
// was sent while it was down arrives once it is up, each as whose it was.
func TestSendmailOfUsers(t *testing.T) {
	o := newOffice(t)
	run(t, o.a)
	senders := []int{0, daemon, member}
	for _, uid := range senders {
		if out := o.send(uid, 0, "up-"+strconv.Itoa(uid)); !strings.HasPrefix(out, "queued as ") {
			t.Errorf("got %s", out)
		}
		arrives(t, o.sink, "up-"+strconv.Itoa(uid))
	}
	if out := o.send(stranger, 77, "stranger"); !strings.Contains(out, "usermod -aG www-data nobody") {
		t.Errorf("got %s", out)
	}
	if err := o.a.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, uid := range senders {
		if out := o.send(uid, 0, "down-"+strconv.Itoa(uid)); !strings.HasPrefix(out, "left in ") {
			t.Errorf("got %s", out)
		}
	}
	o.send(stranger, 77, "stranger")
	if _, err := o.a.Start(); err != nil {
		t.Fatal(err)
	}
	for uid, name := range map[int]string{0: "root", daemon: "daemon", member: "www-data"} {
		got := arrives(t, o.sink, "down-"+strconv.Itoa(uid))
		if !strings.Contains(string(got.Data), "(authenticated as "+name+")") {
			t.Errorf("the mail of %s says %.300q", name, got.Data)
		}
		if n := len(o.sink.Find("down-" + strconv.Itoa(uid))); n != 1 {
			t.Errorf("the mail of %s came %d times", name, n)
		}
	}
	if left, err := os.ReadDir(filepath.Join(o.submit, "maildrop")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A member of the group can neither list the maildrop, nor take away or replace what another has
// put there, nor read the queue.
func TestMaildropKeepsUsersApart(t *testing.T) {
	o := newOffice(t)
	run(t, o.a)
	if err := o.a.Stop(); err != nil {
		t.Fatal(err)
	}
	o.send(0, 0, "of-root")
	drop := filepath.Join(o.submit, "maildrop")
	entries, err := os.ReadDir(drop)
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v, %v", entries, err)
	}
	file := filepath.Join(drop, entries[0].Name())
	for _, command := range []string{"ls " + drop, "rm -f " + file, "mv " + file + " " + drop + "/x", "echo x >" + file, "ln " + file + " " + drop + "/y",
		"ls " + filepath.Dir(o.submit), "cat " + o.a.Data + "/queue.db", "ls " + o.submit + "/rejected", "touch " + o.submit + "/x"} {
		if out, err := o.as(member, "", "sh", "-c", command).CombinedOutput(); err == nil {
			t.Errorf("%s worked: %s", command, out)
		}
	}
	for _, command := range []string{
		"ln -s /etc/shadow " + drop + "/0000000000000000", "mkfifo " + drop + "/0000000000000001", "mkdir -p " + drop + "/0000000000000002/x",
		"echo >" + drop + "/0000000000000003; chmod 0 " + drop + "/0000000000000003", "head -c 60000000 /dev/zero >" + drop + "/0000000000000004",
		"echo '" + `{"from":"","to":[{"address":"evil@example.net"}]}` + "' >'" + drop + "/a\nb'",
	} {
		if out, err := o.as(member, "", "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", command, err, out)
		}
	}
	if _, err := o.a.Start(); err != nil {
		t.Fatal(err)
	}
	arrives(t, o.sink, "of-root")
	o.send(member, 0, "after-all")
	arrives(t, o.sink, "after-all")
	if n := len(o.sink.Find("")); n != 2 {
		t.Errorf("%d mails arrived", n)
	}
}

// An appliance whose user is not in the group does not start, and says what to do.
func TestSubmitGroupOfOthers(t *testing.T) {
	o := newOffice(t)
	o.a.Set("SUBMIT_GROUP", "0")
	_, err := o.a.Start()
	if err == nil || !strings.Contains(err.Error(), "SupplementaryGroups=0") {
		t.Errorf("got %v", err)
	}
}

// The programs that send mail through sendmail do so with ours, as they come.
func TestSendmailClients(t *testing.T) {
	o := newOffice(t)
	run(t, o.a)
	patch := filepath.Join(o.dir, "0001-x.patch")
	if err := os.WriteFile(patch, []byte("From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@example.org>\n"+
		"Date: Sun, 22 Nov 2026 10:00:00 +0000\nSubject: [PATCH] by-git\n\n---\n.\n-- \n2.50\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program, from, subject string
		args                   []string
		stdin                  string
	}{
		{"php", "Debian's php-cli", "by-php", []string{"-d", "sendmail_path=" + o.sendmail + " -t -i", "-r",
			`exit(mail("bob@example.net", "by-php", "Hello\n.\nBob", "From: shop@example.org\r\nBcc: eve@example.net", "-fshop@example.org") ? 0 : 1);`}, ""},
		{"git", "git-email", "by-git", []string{"-c", "sendemail.from=ada@example.org", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "send-email",
			"--sendmail-cmd=" + o.sendmail, "--to=bob@example.net", "--confirm=never", "--quiet", patch}, ""},
		{"mutt", "mutt", "by-mutt", []string{"-n", "-F", "/dev/null", "-e", "set sendmail=\"" + o.sendmail + " -oem -oi\" use_envelope_from copy=no " +
			"envelope_from_address=ada@example.org from=ada@example.org", "-s", "by-mutt", "--", "bob@example.net"}, "Gr\u00fc\u00dfe\n"},
		{"mailx", "bsd-mailx", "by-mailx", []string{"-n", "-s", "by-mailx", "bob@example.net"}, "Hello\n"},
		{"swaks", "swaks", "by-swaks", []string{"--pipe", o.sendmail + " -bs", "--from", "ada@example.org", "--to", "bob@example.net", "--header",
			"Subject: by-swaks"}, ""},
	} {
		t.Run(c.program, func(t *testing.T) {
			cmd := o.as(member, c.stdin, tool(t, c.program, c.from), c.args...)
			if out, err := exec.Command("perl", "-MMail::Address", "-e", "1").CombinedOutput(); err != nil && c.program == "git" {
				missing(t, fmt.Sprintf("git send-email has no Mail::Address: Debian's libmailtools-perl: %s", out))
			}
			if err := os.WriteFile(filepath.Join(o.dir, ".mailrc"), []byte("set sendmail="+o.sendmail+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := arrives(t, o.sink, c.subject)
			if to := strings.Join(got.To, " "); !strings.Contains(to, "bob@example.net") || c.program == "php" && !strings.Contains(to, "eve@") {
				t.Errorf("got it for %s", to)
			}
			if strings.Contains(string(got.Data), "Bcc:") {
				t.Errorf("got %s", got.Data)
			}
		})
	}
}
