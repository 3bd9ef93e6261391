//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// household is a desk where root's mail goes to a person.
func household(t *testing.T) *desk {
	t.Helper()
	aliases := filepath.Join(t.TempDir(), "aliases")
	if err := os.WriteFile(aliases, []byte("root: owner@example.org\npostmaster: root\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return newDesk(t, map[string]string{"ALIASES_FILE": aliases})
}

// delivered waits for a mail and looks at who sent it, who got it, and for texts that it must have.
func (d *desk) delivered(t *testing.T, mark, from string, to []string, texts ...string) rig.Received {
	t.Helper()
	got := arrives(t, d.sink, mark)
	if !strings.HasPrefix(got.From, "<"+from+">") {
		t.Errorf("%s came from %s, want %s", mark, got.From, from)
	}
	if rcpts := strings.Join(got.To, " "); rcpts != "<"+strings.Join(to, "> <")+">" {
		t.Errorf("%s came to %s, want %s", mark, rcpts, to)
	}
	for _, text := range texts {
		if !strings.Contains(string(got.Data), text) {
			t.Errorf("%s has no %q:\n%s", mark, text, got.Data)
		}
	}
	return got
}

// Programs that nobody has told of us send their mail with /usr/sbin/sendmail; that being ours, it
// goes out as it should.
func TestMailersAsInstalled(t *testing.T) {
	d := household(t)
	attached := filepath.Join(d.dir, "figures.csv")
	patch := filepath.Join(d.dir, "0001-x.patch")
	if err := errors.Join(os.WriteFile(attached, []byte("month,sum\nNovember,7\n"), 0o644), os.WriteFile(patch,
		[]byte("From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@example.org>\n"+
			"Date: Sun, 22 Nov 2026 10:00:00 +0000\nSubject: [PATCH] from-git\n\n---\n.\n-- \n2.50\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	const noreply = "noreply@example.org"
	for _, c := range []struct {
		program, from string // the package, where another name
		script        string
		sender        string
		to            []string
		texts         []string
	}{
		{"php", "php-cli", `php -r 'exit(mail("bob@example.net", "from-php", "Hello\n.\nBob", "Cc: carol@example.net\r\nBcc: eve@example.net") ? 0 : 1);'`,
			noreply, []string{"bob@example.net", "carol@example.net", "eve@example.net"}, []string{"Hello\r\n.\r\nBob", "Cc: carol@example.net"}},
		{"mutt", "mutt", `printf 'Gr\303\274\303\237e\n' | mutt -n -F /dev/null -s from-mutt -a ` + attached + ` -- bob@example.net`,
			noreply, []string{"bob@example.net"}, []string{`filename="figures.csv"`, "November,7", "X-Original-From: root <root@"}},
		{"mailx", "bsd-mailx", `printf 'Hello\n.\nBob\n' | mailx -n -s from-mailx -a 'X-Site: Berlin' -c carol@example.net -b eve@example.net root`,
			noreply, []string{"owner@example.org", "carol@example.net", "eve@example.net"}, []string{"X-Site: Berlin", "Hello\r\n.\r\nBob", "To: root"}},
		{"git", "git-email", `git -c user.name=Ada -c user.email=ada@example.org send-email --from=ada@example.org --to=bob@example.net --confirm=never --quiet ` + patch,
			noreply, []string{"bob@example.net", "ada@example.org"}, []string{"Subject: [PATCH] from-git", "From: Ada <ada@example.org>"}},
		{"python3", "python3", `python3 -c '
import email.message, subprocess
m = email.message.EmailMessage()
m["To"], m["Subject"] = "root", "from-python3"
m.set_content("Hello")
subprocess.run(["/usr/sbin/sendmail", "-t", "-oi"], input=m.as_bytes(), check=True)'`,
			noreply, []string{"owner@example.org"}, []string{"From: root <noreply@example.org>", "Hello"}},
		{"python3", "python3", `python3 -c '
import smtplib, socket, subprocess
ours, theirs = socket.socketpair()
class Pipe(smtplib.SMTP):
    def _get_socket(self, *where): return ours
with subprocess.Popen(["/usr/sbin/sendmail", "-bs"], stdin=theirs, stdout=theirs) as p:
    theirs.close()
    with Pipe("localhost", 25) as s:
        s.sendmail("ada@example.org", ["bob@example.net"], "From: ada@example.org\r\nSubject: from-smtplib\r\n\r\n.\r\nHello\r\n")
raise SystemExit(p.returncode)'`,
			"ada@example.org", []string{"bob@example.net"}, []string{"Subject: from-smtplib", "\r\n.\r\nHello"}},
	} {
		mark := c.program
		if strings.Contains(c.script, "smtplib") {
			mark = "smtplib"
		}
		t.Run(mark, func(t *testing.T) {
			tool(t, c.program, c.from)
			if out, err := d.private(t, c.script).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got := d.delivered(t, "from-"+mark, c.sender, c.to, c.texts...)
			if strings.Contains(string(got.Data), "eve@") {
				t.Errorf("the blind copy shows:\n%s", got.Data)
			}
		})
	}
}

// What a job of Debian's cron prints arrives at the person that root is, and so does the report
// that logwatch mails.
func TestCron(t *testing.T) {
	d := household(t)
	cron := tool(t, "cron", "cron")
	const script = `
mkdir -m 1730 /var/spool/cron/crontabs
printf 'MAILTO=root\n@reboot echo from-cron; printf "Gr\\303\\274\\303\\237e\\n"\n' >/var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root
exec cron -f`
	daemon := d.private(t, script, cron)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	d.delivered(t, "\r\nfrom-cron\r\n", "noreply@example.org", []string{"owner@example.org"}, "Grüße", "From: Cron Daemon <noreply@example.org>",
		"X-Original-From: root (Cron Daemon)", "Subject: Cron <root@", "To: root\r\n")
}

// logwatch mails its report to root with its own settings.
func TestLogwatch(t *testing.T) {
	d := household(t)
	tool(t, "logwatch", "logwatch")
	logs := filepath.Join(d.dir, "logs")
	line := fmt.Sprintf("%s host sshd[12]: Accepted publickey for ada from 192.0.2.7 port 1234 ssh2\n", time.Now().UTC().Format("Jan _2 15:04:05"))
	if err := errors.Join(os.Mkdir(logs, 0o755), os.WriteFile(filepath.Join(logs, "auth.log"), []byte(line), 0o644)); err != nil {
		t.Fatal(err)
	}
	out, err := d.private(t, "/usr/share/logwatch/scripts/logwatch.pl --output mail --mailto root --range all --service sshd --logdir "+logs).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.delivered(t, "Users logging in through sshd:", "noreply@example.org", []string{"owner@example.org"}, "192.0.2.7: 1 Time", "Subject: Logwatch for")
}

// The command lines with which other programs are known to call sendmail are understood, and say
// who sends and who gets it.
func TestSendmailCalls(t *testing.T) {
	d := household(t)
	const noreply, bob, owner = "noreply@example.org", "bob@example.net", "owner@example.org"
	for _, c := range []struct{ who, args, head, from, to string }{
		{"vixie-cron", "-FCronDaemon -i -B8BITMIME -oem root", "To: root\n", noreply, owner},
		{"cronie", "-FCronDaemon -i -odi -oem -oi -t -f root", "From: root (Cron Daemon)\nTo: root\n", noreply, owner},
		{"anacron", "-FAnacron -odi root", "To: root\n", noreply, owner},
		{"at", "-i root", "To: root\n", noreply, owner},
		{"mdadm", "-t", "From: mdadm monitoring <root>\nTo: root\n", noreply, owner},
		{"fail2ban", "-f fail2ban@example.org root", "From: Fail2Ban <fail2ban@example.org>\nTo: root\n", "fail2ban@example.org", owner},
		{"PHPMailer", "-oi -fshop@example.org -t", "From: shop@example.org\nTo: bob@example.net\n", "shop@example.org", bob},
		{"Symfony", "-t -i -fshop@example.org", "From: shop@example.org\nTo: bob@example.net\n", "shop@example.org", bob},
		{"ActionMailer", "-i -f shop@example.org -- bob@example.net", "From: shop@example.org\nTo: bob@example.net\n", "shop@example.org", bob},
		{"Nodemailer", "-i -f shop@example.org bob@example.net", "From: shop@example.org\nTo: bob@example.net\n", "shop@example.org", bob},
		{"MIME-Lite", "-t -oi -oem", "From: shop@example.org\nTo: bob@example.net\n", noreply, bob},
		{"Mailman", "-oem -oi -f list-bounces@example.org bob@example.net", "From: list@example.org\nTo: list@example.org\n", "list-bounces@example.org", bob},
		{"vacation", "-f <> -t", "From: ada@example.org\nTo: bob@example.net\nAuto-Submitted: auto-replied\n", "", bob},
		{"procmail", "-oi -f ada@example.org bob@example.net", "From: carol@example.net\nTo: ada@example.org\n", "ada@example.org", bob},
	} {
		t.Run(c.who, func(t *testing.T) {
			text := c.head + "Subject: as-" + c.who + "\n\nHello\n"
			if out, err := d.command(text, filepath.Join(d.sbin, "sendmail"), strings.Fields(c.args)...).CombinedOutput(); err != nil || len(out) > 0 {
				t.Fatalf("%v %s", err, out)
			}
			d.delivered(t, "Subject: as-"+c.who+"\r\n", c.from, []string{c.to})
		})
	}
}
