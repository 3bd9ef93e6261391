package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"dinkymail/account"
)

// devices are mails as printers, scripts and old programs write them, behind DATA, and what the
// next hop gets behind the fields that every mail has.
var devices = []struct{ name, from, said, want string }{
	{"no empty line", "<ups@example.org>", "From: u@x.org\r\nSubject: x\r\nOn battery\r\nsince noon\r\n", "From: u@x.org\nSubject: x\n\nOn battery\nsince noon\n"},
	{"a line of one space", "<ups@example.org>", "From: u@x.org\r\nSubject: x\r\n \r\nOn battery\r\n", "From: u@x.org\nSubject: x\n\nOn battery\n"},
	{"mbox lines", "<ups@example.org>", "From ups Sun Nov 22 00:00:00 2026\r\n>From x Sun\r\nFrom: u@x.org\r\n\r\nHello\r\n", "From: u@x.org\n\nHello\n"},
	{"a name with a blank behind it", "<ups@example.org>", "From : u@x.org\r\nSubject : x\r\n\r\nHello\r\n", "From : u@x.org\nSubject : x\n\nHello\n"},
	{"no From", "<ups@example.org>", "Subject: x\r\n\r\nHello\r\n", "Subject: x\nFrom: ups@example.org\n\nHello\n"},
	{"an empty From", "<ups@example.org>", "From: \r\nSubject: x\r\n\r\nHello\r\n", "Subject: x\nFrom: ups@example.org\n\nHello\n"},
	{"no From and no sender", "<>", "Subject: x\r\n\r\nHello\r\n", "Subject: x\nFrom: Our Mail <noreply@example.org>\n\nHello\n"},
	{"no From and a local sender", "<root@localhost>", "Subject: x\r\n\r\nHello\r\n",
		"Subject: x\nFrom: noreply@example.org\nX-Original-Sender: root@localhost\n\nHello\n"},
	{"no header", "<ups@example.org>", "On battery\r\nsince noon\r\n", "From: ups@example.org\n\nOn battery\nsince noon\n"},
	{"an empty header", "<ups@example.org>", "\r\nOn battery\r\n", "From: ups@example.org\n\nOn battery\n"},
	{"nothing at all", "<ups@example.org>", "", "From: ups@example.org\n\n"},
}

// What devices send is taken, completed, and arrives as a mail that any program can read.
func TestMailOfDevices(t *testing.T) {
	hop, settings := upstream(t)
	a := start(t, t.TempDir(), append(settings, "DEFAULT_FROM=Our Mail <noreply@example.org>")...)
	d := device(t, a.ports["smtp"])
	d.say("EHLO printer\r\n", "250")
	for i, c := range devices {
		d.say("MAIL FROM:"+c.from+"\r\n", "250")
		d.say("RCPT TO:<bob@example.net>\r\n", "250")
		d.say("DATA\r\n", "354")
		d.say(c.said+".\r\n", "250")
		if got := essence(string(hop.Wait(i+1, soon)[i].Data)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	for _, p := range hop.Problems() {
		t.Error(p)
	}
}

// essence is a mail without Received, Date and Message-ID, its lines ending in LF.
func essence(data string) string {
	header, body, _ := strings.Cut(data, "\r\n\r\n")
	var kept []string
	skip := false
	for _, line := range strings.Split(header, "\r\n") {
		if !strings.HasPrefix(line, " ") {
			name, _, _ := strings.Cut(line, ":")
			skip = name == "Received" || name == "Date" || name == "Message-ID"
		}
		if !skip {
			kept = append(kept, line)
		}
	}
	return strings.ReplaceAll(strings.Join(append(kept, ""), "\r\n")+"\r\n"+body, "\r\n", "\n")
}

// talker speaks SMTP byte by byte as a test wants it.
type talker struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// device connects and takes the greeting.
func device(t *testing.T, addr string) *talker {
	t.Helper()
	d := &talker{t: t, conn: dial(t, addr, nil)}
	t.Cleanup(func() { d.conn.Close() })
	d.in = bufio.NewReader(d.conn)
	if err := d.conn.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	d.say("", "220")
	return d
}

// say sends bytes and expects a reply that begins with want.
func (d *talker) say(bytes, want string) string {
	d.t.Helper()
	if _, err := io.WriteString(d.conn, bytes); err != nil {
		d.t.Fatal(err)
	}
	for {
		line, err := d.in.ReadString('\n')
		switch {
		case err != nil:
			d.t.Fatalf("after %q: %v", bytes, err)
		case len(line) > 3 && line[3] == '-':
		case !strings.HasPrefix(line, want):
			d.t.Fatalf("%q is answered %q, want %s", bytes, line, want)
		default:
			return line
		}
	}
}

// Names without a domain go to their alias, else to DEFAULT_TO, else nowhere, and the refusal names
// the settings.
func TestBareNames(t *testing.T) {
	t.Parallel()
	hop, settings := upstream(t)
	dir := t.TempDir()
	write(t, dir+"/aliases", "ops: carol@example.net\n")
	arrived := 0
	for _, c := range []struct{ settings, names string }{
		{"", "<ops>:carol@example.net <root>:ada@example.org root:ada@example.org <postmaster>:ada@example.org"},
		{"DEFAULT_TO=", "<ops>:carol@example.net <root>: <Postmaster>:Postmaster@example.org"},
	} {
		a := start(t, t.TempDir(), append(settings[:len(settings):len(settings)], "ALIASES_FILE="+dir+"/aliases", c.settings)...)
		d := device(t, a.ports["smtp"])
		d.say("HELO printer\r\n", "250")
		for pair := range strings.FieldsSeq(c.names) {
			name, want, _ := strings.Cut(pair, ":")
			d.say("MAIL FROM:<ups>\r\n", "250")
			if want == "" {
				if got := d.say("RCPT TO:"+name+"\r\n", "550 5.1.1 "); !strings.Contains(got, "ALIASES_FILE") || !strings.Contains(got, "DEFAULT_TO") {
					t.Errorf("the settings are not named: %s", got)
				}
				d.say("RSET\r\n", "250")
				continue
			}
			d.say("RCPT TO:"+name+"\r\n", "250")
			d.say("DATA\r\n", "354")
			d.say(".\r\n", "250")
			arrived++
			if got := hop.Wait(arrived, soon)[arrived-1]; fmt.Sprint(got.To) != "["+want+"]" || got.From != "noreply@example.org" {
				t.Errorf("%s with %q went from %s to %v, want %s", name, c.settings, got.From, got.To, want)
			}
		}
		a.end()
	}
	dev := start(t, t.TempDir(), "ENVIRONMENT=development")
	device(t, dev.ports["smtp"]).say("HELO x\r\nMAIL FROM:<ups>\r\nRCPT TO:<root>\r\nDATA\r\n.\r\nQUIT\r\n", "250")
	if line := dev.log.wait(t, "captured"); line["from"] != "noreply@localhost" {
		t.Errorf("captured: %v", line)
	}
}

// smuggled are what some server somewhere takes for the end of a mail, and what the next hop sees
// of it in the mail of a trusted program; empty: that mail is refused.
var smuggled = map[string]string{
	"\n.\n": "\n.\n", "\n.\r\n": "\n.\n", "\r\n.\n": "\n.\n", "\r\n.\r": "", "\r.\r": "", "\r.\r\n": "", "\r.\n": "", "\n.\r": "",
	"\r\r\n.\r\n": "\n", "\r\n.\r\r\n": "\n.\n", "\r\n\x00.\r\n": "", "\r\n.\x00\r\n": "", "\r\n\r.\r\n": "",
	"\r\n.\n\r\n": "\n.\n\n", "\n\n.\n\n": "\n\n.\n\n", "\r\n.\r\x00\n": "",
}

// Through whole programs, the next hop sees one mail for each that a trusted program ended,
// whatever stands in it, and no odd line end; from others than trusted programs, mails with odd
// line ends are refused also behind a login.
func TestNothingIsSmuggledOut(t *testing.T) {
	const head, eve = "From: a@x.org\r\nSubject: hello\r\n\r\nhello", "MAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.net>\r\nDATA\r\nSubject: eve\r\n\r\neve\r\n"
	hop, settings := upstream(t)
	hash, err := account.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	trusting := start(t, t.TempDir(), settings...)
	wary := start(t, t.TempDir(), append(settings, "TRUSTED_NETWORKS=none", "SMTP_USERS=grace:"+hash)...)
	arrived := 0
	for end, became := range smuggled {
		for _, chunks := range []bool{false, true} {
			text := head + end + eve
			body := "DATA\r\n" + text + "\r\n.\r\n"
			want, drops := strings.ReplaceAll(head, "\r\n", "\n")+became+strings.ReplaceAll(eve, "\r\n", "\n")+"\n", end == "\r\r\n.\r\n"
			switch {
			case chunks: // nothing is taken out of a chunk: its dots are text, and CR CR LF is a line end
				body = fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text)
				want = strings.NewReplacer("\r\r\n", "\n", "\r\n", "\n").Replace(text)
				drops = false
			case drops: // what all see as the end is the end, and nothing is read behind it
				want = strings.ReplaceAll(head, "\r\n", "\n") + became
			}
			const begin = "MAIL FROM:<a@x.org>\r\nRCPT TO:<bob@example.net>\r\n"
			replies := conversation(t, trusting.ports["smtp"], "HELO x\r\n"+begin+body+"NOOP\r\n")
			strangers := conversation(t, wary.ports["smtp"], "HELO x\r\nAUTH PLAIN AGdyYWNlAGNvcnJlY3QgaG9yc2U=\r\n"+begin+body+"NOOP\r\n")
			if !strings.Contains(strangers, "235 ") || !strings.Contains(strangers, "554 5.6.0 line ") || strings.Contains(strangers, "queued") {
				t.Errorf("%q, chunks: %t: behind a login the answers are %q", end, chunks, strangers)
			}
			if became == "" {
				if strings.Contains(replies, "queued") || !strings.Contains(replies, "554 5.6.0 line ") {
					t.Errorf("%q, chunks: %t: the answers are %q", end, chunks, replies)
				}
				continue
			}
			arrived++
			if strings.Count(replies, "queued") != 1 || drops == strings.Contains(replies, "done nothing") {
				t.Errorf("%q, chunks: %t: the answers are %q", end, chunks, replies)
			}
			got := hop.Wait(arrived, soon)[arrived-1]
			if fmt.Sprint(got.To) != "[bob@example.net]" || essence(string(got.Data)) != want {
				t.Errorf("%q, chunks: %t: %v got %q, want %q", end, chunks, got.To, essence(string(got.Data)), want)
			}
		}
	}
	if n := hop.Count(); n != arrived {
		t.Errorf("%d mails arrived, want %d", n, arrived)
	}
	for _, p := range hop.Problems() {
		t.Error(p)
	}
}

// conversation sends all that a client has to say, and returns all that it is told.
func conversation(t *testing.T, addr, said string) string {
	t.Helper()
	d := device(t, addr)
	if _, err := io.WriteString(d.conn, said); err != nil {
		t.Fatal(err)
	}
	if err := d.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	told, err := io.ReadAll(d.in)
	if err != nil {
		t.Fatal(err)
	}
	return string(told)
}

// An account is not shut out by those who guess at it, and a restart changes nothing about that.
func TestGuessingShutsNobodyOut(t *testing.T) {
	t.Parallel()
	hash, err := account.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for round := range 2 {
		a := start(t, dir, "MAIL_DOMAIN=example.org", "TRUSTED_NETWORKS=none", "SMTP_USERS=grace:"+hash)
		login := func(from, response, want string) {
			t.Helper()
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			c, err := dialer.DialContext(t.Context(), "tcp", a.ports["smtp"])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			d := &talker{t: t, conn: c, in: bufio.NewReader(c)}
			d.say("", "220")
			d.say("EHLO x\r\n", "250")
			d.say("AUTH PLAIN "+response+"\r\n", want)
		}
		const right, wrong = "AGdyYWNlAGNvcnJlY3QgaG9yc2U=", "AGdyYWNlAHdyb25n"
		if round == 0 {
			login("127.0.0.1", right, "235")
		}
		for i := range 5 {
			login(fmt.Sprintf("127.0.%d.%d", round+1, i+1), wrong, "535")
		}
		login("127.0.3.1", right, "454")
		login("127.0.0.1", right, "235")
		a.end()
	}
}
