package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// devices are mails as printers, scripts and old programs write them, behind DATA, and what the next hop gets behind the fields that
// every mail has.
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

// Names without a domain go to their alias, else to DEFAULT_TO, else nowhere, and the refusal names the settings.
func TestBareNames(t *testing.T) {
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
}
