//go:build interop

package interop

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// readWords prints what Python's mail library reads: the fields that people see, then the text.
const readWords = `
import sys, email, email.policy
m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
for name in ("Subject", "From", "To"):
    print(name + ": " + str(m[name]))
for part in m.iter_attachments():
    print("File: " + part.get_filename())
print(m.get_body(("html", "plain")).get_content(), end="")
`

// What PHP, cron and a device send with raw UTF-8 or Latin-1 in the header, and HTML on one line,
// goes to an upstream without SMTPUTF8 in ASCII and short lines, and another program reads what was
// meant.
func TestRawWords(t *testing.T) {
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{Keep: true, ASCII: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	d := newDesk(t, rig.Relayed(sink.Addr()))
	d.sink = sink
	python := tool(t, "python3", "python3")
	page := "<p>" + strings.Repeat("Grüße an alle. ", 200) + "</p>"
	for _, c := range []struct{ mark, program, from, script, want string }{
		{"php-utf8", "php", "php-cli", `php -r 'exit(mail("Jörg <bob@example.net>", "Grüße", "` + page + `",
			"From: Jörg <ada@example.org>\r\nX-Mark: php-utf8\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=UTF-8") ? 0 : 1);'`,
			"Subject: Grüße\nFrom: Jörg <ada@example.org>\nTo: Jörg <bob@example.net>\n" + page + "\n"},
		{"php-latin1", "php", "php-cli", `php -r 'exit(mail("bob@example.net", "Gr\xfc\xdfe", "Hello", "From: J\xf6rg <ada@example.org>\r\nX-Mark: php-latin1") ? 0 : 1);'`,
			"Subject: Grüße\nFrom: Jörg <ada@example.org>\nTo: bob@example.net\nHello\n"},
		{"cron", "sh", "dash", `printf 'From: ada@example.org (Cron Dämon)\nTo: bob@example.net\nX-Mark: cron\nSubject: Cron <root@box> echo Gr\303\274\303\237e\n\nHello\n' | sendmail -i -t`,
			"Subject: Cron <root@box> echo Grüße\nFrom: ada@example.org\nTo: bob@example.net\nHello\n"},
		{"nas", "python3", "python3", `python3 -c '
import socket
s = socket.create_connection(("` + strings.ReplaceAll(d.a.Plain, ":", `", `) + `))
f = s.makefile("rwb")
f.readline()
for line in (b"HELO nas", b"MAIL FROM:<ada@example.org>", b"RCPT TO:<bob@example.net>", b"DATA",
    b"From: ada@example.org\r\nTo: bob@example.net\r\nX-Mark: nas\r\nSubject: \xdcberwachung\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\nContent-Type: text/plain; name=\"Gr\xc3\xb6\xc3\x9fe.txt\"\r\n"
    b"Content-Disposition: attachment; filename=\"Gr\xc3\xb6\xc3\x9fe.txt\"\r\n\r\nx\r\n--b--\r\n.", b"QUIT"):
    f.write(line + b"\r\n"); f.flush()
    if int(f.readline()[:3]) >= 400: raise SystemExit(line)'`,
			"Subject: Überwachung\nFrom: ada@example.org\nTo: bob@example.net\nFile: Größe.txt\nHello"},
	} {
		t.Run(c.mark, func(t *testing.T) {
			tool(t, c.program, c.from)
			if out, err := d.private(t, c.script).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got := arrives(t, sink, "X-Mark: "+c.mark+"\r\n")
			for line := range bytes.Lines(got.Data) {
				if len(line) > 1000 {
					t.Errorf("a line of %d bytes", len(line))
				}
			}
			head, _, _ := bytes.Cut(got.Data, []byte("\r\n\r\n"))
			if strings.Contains(got.From, "SMTPUTF8") || bytes.ContainsFunc(head, func(r rune) bool { return r > '~' }) {
				t.Errorf("got %s, %s", got.From, head)
			}
			read := exec.Command(python, "-c", readWords)
			read.Stdin = bytes.NewReader(got.Data)
			out, err := read.CombinedOutput()
			if text := strings.ReplaceAll(string(out), "\r\n", "\n"); err != nil || text != c.want {
				t.Errorf("Python reads %v\n%s\nwant\n%s\nin\n%s", err, text, c.want, got.Data)
			}
		})
	}
}
