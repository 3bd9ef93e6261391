package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
)

// plainHop is a next hop without TLS that offers these extensions, and the settings that lead
// there.
func plainHop(t *testing.T, extensions ...string) (*smtptest.Server, []string) {
	t.Helper()
	hop := smtptest.New(t, smtptest.Config{Extensions: extensions})
	return hop, []string{"MAIL_DOMAIN=example.org", "DEFAULT_TO=ada@example.org", "USE_TLS=no", "API_KEYS=shop:0123456789abcdef",
		"SMTP_RELAY_HOST=" + hop.Host(), "SMTP_RELAY_PORT=" + strconv.Itoa(hop.Port()), "SUBMIT_GROUP=" + strconv.Itoa(os.Getgid())}
}

// say submits a mail over SMTP with these parameters of MAIL.
func say(t *testing.T, addr, params, text string, to ...string) {
	t.Helper()
	c := textproto.NewConn(dial(t, addr, nil))
	defer c.Close()
	lines := []string{"", "EHLO nas", "MAIL FROM:<ada@example.org>" + params}
	for _, r := range to {
		lines = append(lines, "RCPT TO:<"+r+">")
	}
	for _, line := range append(lines, "DATA", strings.TrimSuffix(text, "\r\n")+"\r\n.", "QUIT") {
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				t.Fatal(err)
			}
		}
		code, answer, err := c.ReadResponse(0)
		if err != nil || code >= 400 {
			t.Fatalf("%q was answered %d %s, %v", line, code, answer, err)
		}
	}
}

// heading is the header of what arrived, its encoded words decoded. It must be ASCII.
func heading(t *testing.T, m smtptest.Received) netmail.Header {
	t.Helper()
	read, err := netmail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range read.Header {
		for i, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r > '~' }) {
				t.Errorf("%s: %q is not ASCII", name, v)
			}
			if values[i], err = new(mime.WordDecoder).DecodeHeader(v); err != nil {
				t.Error(err)
			}
		}
	}
	return read.Header
}

// Mail with raw 8-bit text in its header arrives as encoded words and without SMTPUTF8, whichever
// door it came through and whatever the next hop offers.
func TestEightBitHeadersArrive(t *testing.T) {
	for _, extensions := range [][]string{{"8BITMIME", "PIPELINING"}, {"8BITMIME", "SMTPUTF8"}, {}} {
		hop, settings := plainHop(t, extensions...)
		dir, err := os.MkdirTemp("", "dm") // a socket's path must be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		a := start(t, dir, settings...)
		arrived := 0
		next := func() smtptest.Received {
			arrived++
			return hop.Wait(arrived, soon)[arrived-1]
		}
		for _, subject := range []string{"Grüße", "Gr\xfc\xdfe"} {
			say(t, a.ports["smtp"], "", "From: J\u00f6rg <ada@example.org>\r\nTo: jörg@example.net, b@bücher.example\r\nSubject: "+subject+"\r\n\r\nHello\r\n",
				"b@bücher.example")
			m := next()
			h := heading(t, m)
			if strings.Contains(m.MailParams, "UTF8") || m.To[0] != "b@xn--bcher-kva.example" || h.Get("Subject") != "Grüße" ||
				h.Get("From") != "Jörg <ada@example.org>" || h.Get("To") != "jörg@example.net :;, b@xn--bcher-kva.example" {
				t.Errorf("%v, %q: got %+v, %s", extensions, subject, h, m.Data)
			}
			var errs bytes.Buffer
			if status := run(context.Background(), []string{"/usr/sbin/sendmail", "-t", "-f", "ada@example.org"},
				strings.NewReader("To: Jürgen <b@example.net>\nSubject: "+subject+"\n\nGrüße\n"), io.Discard, &errs,
				[]string{"DINKYMAIL_SUBMIT_DIR=" + filepath.Join(dir, "data", "submit")}); status != 0 {
				t.Fatalf("got status %d, %s", status, errs.String())
			}
			m = next()
			if h := heading(t, m); strings.Contains(m.MailParams, "UTF8") || h.Get("Subject") != "Grüße" || h.Get("To") != "Jürgen <b@example.net>" {
				t.Errorf("%v, %q: got %+v, %s", extensions, subject, h, m.Data)
			}
		}
	}
}

// An address that only SMTPUTF8 can carry fails alone where the next hop has none, and the others
// read it as text; where it has, the mail goes as it is.
func TestInternationalRecipient(t *testing.T) {
	const text = "From: ada@example.org\r\nTo: jörg@example.net, b@example.net\r\nSubject: Grüße\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n\r\nHello\r\n"
	hop, settings := plainHop(t, "8BITMIME")
	a := start(t, t.TempDir(), settings...)
	say(t, a.ports["smtp"], " SMTPUTF8", text, "jörg@example.net", "b@example.net")
	got := hop.Wait(2, soon) // and the notice
	for _, m := range got {
		h := heading(t, m)
		switch m.To[0] {
		case "b@example.net":
			if len(m.To) != 1 || h.Get("To") != "jörg@example.net :;, b@example.net" || h.Get("Subject") != "Grüße" {
				t.Errorf("got %v, %s", m.To, m.Data)
			}
		case "ada@example.org":
			if !bytes.Contains(m.Data, []byte("SMTPUTF8")) || bytes.Contains(m.Data, []byte("b@example.net\r\n        ")) {
				t.Errorf("got %s", m.Data)
			}
		default:
			t.Errorf("got %v", m.To)
		}
	}
	hop, settings = plainHop(t, "8BITMIME", "SMTPUTF8")
	a = start(t, t.TempDir(), settings...)
	say(t, a.ports["smtp"], " SMTPUTF8", text, "jörg@example.net", "b@example.net")
	m := hop.Wait(1, soon)[0]
	if !strings.Contains(m.MailParams, "SMTPUTF8") || len(m.To) != 2 || !bytes.Contains(m.Data, []byte(text[:60])) {
		t.Errorf("got %+v, %s", m, m.Data)
	}
}

// A page of HTML on one line, as PHP sends it, and a To beyond all lines arrive in lines that every
// server takes, the same to their readers; LONG_LINES=keep leaves them, and so does a signature.
func TestLongLinesArrive(t *testing.T) {
	page := "<p>" + strings.Repeat("Grüße an alle. ", 200) + "</p>"
	to := strings.Repeat("Ada Lovelace <ada@example.org>, ", 65) + "bob@example.net"
	head := "MIME-Version: 1.0\r\nContent-Type: text/html; charset=UTF-8\r\nTo: " + to + "\r\nSubject: long\r\n"
	signed := "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=To:From:Subject; bh=x; b=x\r\n"
	for _, setting := range []string{"LONG_LINES=encode", "LONG_LINES=keep"} {
		hop, settings := plainHop(t, "8BITMIME")
		a := start(t, t.TempDir(), append(settings, setting)...)
		say(t, a.ports["smtp"], " BODY=8BITMIME", head+"\r\n"+page+"\r\n", "bob@example.net")
		hop.Wait(1, soon)
		say(t, a.ports["smtp"], " BODY=8BITMIME", signed+head+"\r\n"+page+"\r\n", "bob@example.net")
		got := hop.Wait(2, soon)
		for i, m := range got {
			longest := 0
			for line := range bytes.Lines(m.Data) {
				longest = max(longest, len(line)-len("\r\n"))
			}
			if i == 1 || setting == "LONG_LINES=keep" {
				if !bytes.Contains(m.Data, []byte(head)) || !bytes.Contains(m.Data, []byte("\r\n\r\n"+page+"\r\n")) {
					t.Errorf("%s: changed to %.3000s", setting, m.Data)
				}
				continue
			}
			read, err := netmail.ReadMessage(bytes.NewReader(m.Data))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(decoder(read))
			if longest > 998 || read.Header.Get("To") != to || string(body) != page+"\r\n" || err != nil {
				t.Errorf("a line of %d bytes, %v in %.3000s", longest, err, m.Data)
			}
		}
	}
}

// An attachment whose name stands there in raw UTF-8 arrives with a name that every program reads.
func TestRawAttachmentNameArrives(t *testing.T) {
	hop, settings := plainHop(t, "8BITMIME")
	a := start(t, t.TempDir(), settings...)
	content := base64.StdEncoding.EncodeToString([]byte("%PDF"))
	say(t, a.ports["smtp"], "", "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n"+
		"Content-Type: application/pdf; name=\"Größe.pdf\"\r\nContent-Disposition: attachment; filename=\"Größe.pdf\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n"+content+"\r\n--b--\r\n", "bob@example.net")
	m := hop.Wait(1, soon)[0]
	_, rest, _ := bytes.Cut(m.Data, []byte("Content-Disposition: "))
	field, _, _ := strings.Cut(string(rest), "\r\nContent")
	if _, params, err := mime.ParseMediaType(field); err != nil || params["filename"] != "Größe.pdf" || !bytes.Contains(m.Data, []byte(content)) ||
		strings.Contains(m.MailParams, "8BIT") {
		t.Errorf("got %v, %s", params, m.Data)
	}
}

// decoder reads the body of a mail out of its encoding.
func decoder(m *netmail.Message) io.Reader {
	switch m.Header.Get("Content-Transfer-Encoding") {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, m.Body)
	case "quoted-printable":
		return quotedprintable.NewReader(m.Body)
	}
	return m.Body
}
