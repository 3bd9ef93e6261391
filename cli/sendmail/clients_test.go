package sendmail

import (
	"strings"
	"testing"

	"dinkymail/queue"
)

// What the programs that people have say and write arrives as they mean it.
func TestClients(t *testing.T) {
	const cron = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@box> make backup\nMIME-Version: 1.0\n" +
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\nna\u00efve\n"
	for _, c := range []struct {
		name, args, stdin string
		from, to          string
		want              string // the mail; empty: as it was written
	}{
		{"cron of Debian", "-FCronDaemon -i -B8BITMIME -oem root", cron, "ada@box", "root@example.org", ""},
		{"cronie", "-FCronDaemon -i -odi -oem -oi -t -f root", cron, "root@box", "root@example.org", ""},
		{"anacron", "-FAnacron -odi root", "From: Anacron <root>\nTo: root\nSubject: Anacron job\n\nx\n", "ada@box", "root@example.org", ""},
		{"at", "-i ada", "Subject: Output from your job        7\nTo: ada\n\nx\n", "ada@box", "ada@example.org",
			"Subject: Output from your job        7\nTo: ada\nFrom: Ada Lovelace <ada>\n\nx\n"},
		{"PHP", "-t -i", "To: bob@example.net\r\nSubject: x\r\nX-PHP-Originating-Script: 33:a.php\r\nFrom: shop@example.org\r\n\r\nHello\n.\nBob\n",
			"ada@box", "bob@example.net", "To: bob@example.net\nSubject: x\nX-PHP-Originating-Script: 33:a.php\nFrom: shop@example.org\n\nHello\n.\nBob\n"},
		{"PHP, ends of ends", "-t -i", "To: bob@example.net\r\r\nSubject: x\r\r\nFrom: shop@example.org\r\r\n\r\r\nHello\r\r\n",
			"ada@box", "bob@example.net", "To: bob@example.net\nSubject: x\nFrom: shop@example.org\n\nHello\n"},
		{"PHPMailer", "-oi -fshop@example.org -t", "To: Bob <bob@example.net>\nBcc: eve@example.net\nFrom: shop@example.org\n\nx\n",
			"shop@example.org", "bob@example.net eve@example.net", "To: Bob <bob@example.net>\nFrom: shop@example.org\n\nx\n"},
		{"git send-email", "-i bob@example.net carol@example.net", "From: Ada <ada@example.com>\nTo: bob@example.net\nCc: carol@example.net\n" +
			"Subject: [PATCH] x\n\n---\n.\n-- \n2.50\n\n", "ada@box", "bob@example.net carol@example.net", ""},
		{"mutt", "-oem -oi -f ada@example.org -N failure,delay -R hdrs -B8BITMIME -- bob@example.net",
			"From: ada@example.org\nTo: bob@example.net\n\nx\n", "ada@example.org", "bob@example.net", ""},
		{"bsd-mailx", "-i -m -v bob@example.net", "To: bob@example.net\nSubject: disk\n\nfull\n", "ada@box", "bob@example.net",
			"To: bob@example.net\nSubject: disk\nFrom: Ada Lovelace <ada>\n\nfull\n"},
		{"logwatch, mdadm", "-t", "To: root\nFrom: Logwatch <root>\nSubject: Logwatch for box\n\nx\n", "ada@box", "root@example.org", ""},
		{"unattended-upgrades", "-oi -t", "Subject: unattended-upgrades\nFrom: root\nTo: root\nAuto-Submitted: auto-generated\n\nx\n", "ada@box",
			"root@example.org", ""},
		{"fail2ban", "-f fail2ban@example.org root", "Subject: [Fail2Ban] sshd\nFrom: Fail2Ban <fail2ban@example.org>\nTo: root\n\nHi\n",
			"fail2ban@example.org", "root@example.org", ""},
		{"Rails", "-i -f ada@example.org -- bob@example.net", "From: ada@example.org\n\nx\n", "ada@example.org", "bob@example.net", ""},
		{"at the prompt", "bob@example.net", "Hello\n.\nnot any more\n", "ada@box", "bob@example.net", "From: Ada Lovelace <ada>\n\nHello\n"},
		{"a vacation program", "-f <> -oi bob@example.net", "From: ada@example.org\n\nI am away\n", "", "bob@example.net", ""},
		{"lists in arguments", "-i Bob,<bob@example.net>,carol@example.net", "From: ada@example.org\n\nx\n", "ada@box",
			"Bob@example.org bob@example.net carol@example.net", ""},
		{"a filter", "-G -i -oi -oee -odq -om -O DeliveryMode=b -A c -L tag -C /etc/x.cf -d0.1 -p SMTP:here -U -n -h 3 -X /dev/null -x -- bob@example.net",
			"From: ada@example.org\n\nx\n", "ada@box", "bob@example.net", ""},
		{"options behind recipients", "bob@example.net -f shop@example.org -i carol@example.net -oem -- -d@example.net", "From: ada@example.org\n\nx\n.\n",
			"shop@example.org", "bob@example.net carol@example.net -d@example.net", "From: ada@example.org\n\nx\n.\n"},
		{"both", "-ti carol@example.net", "To: bob@example.net, carol@example.net\nFrom: ada@example.org\n\nx\n", "ada@box",
			"carol@example.net bob@example.net", ""},
		{"a full name", "-F Grace_Hopper -f grace@example.org bob@example.net", "\nx\n", "grace@example.org", "bob@example.net",
			"From: Grace_Hopper <grace@example.org>\n\nx\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAppliance(t, queue.Config{}).start()
			r := a.sendmail(c.stdin, strings.Fields(c.args)...)
			if r.status != 0 || r.err != "" {
				t.Fatalf("got status %d, %s", r.status, r.err)
			}
			m, text := a.one()
			want := c.want
			if want == "" {
				want = c.stdin
			}
			if from := m.Envelope.From.String(); from != c.from || recipients(m.Envelope) != c.to {
				t.Errorf("got an envelope from %q to %q, want %q to %q", from, recipients(m.Envelope), c.from, c.to)
			}
			if text != want {
				t.Errorf("got  %q\nwant %q", text, want)
			}
		})
	}
}
