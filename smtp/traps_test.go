package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"dinkymail/account"
	"dinkymail/queue"
)

// A body that stops coming is no mail, and what comes after the pause is not read as commands
// (go-smtp would do that).
func TestStalledBodyIsNeverReadAsCommands(t *testing.T) {
	h := open(t, Config{StallTimeout: 50 * time.Millisecond})
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	p.send("Subject: hello\r\n\r\nhalf a bo")
	p.expect("421 4.4.2 the mail came in too slowly")
	// Whether this still gets through does not matter; what must not happen is that it does
	// anything.
	fmt.Fprint(p.conn, "dy\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: eve\r\n\r\n.\r\n")
	if rest := readAll(p); strings.Contains(rest, "250") || strings.Contains(rest, "354") {
		t.Errorf("commands behind the stall were answered: %q", rest)
	}
	if n := len(h.all()); n != 0 {
		t.Errorf("%d mails accepted, want none", n)
	}
}

func readAll(p *peer) string {
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String()
		}
	}
}

// A connection that breaks in the middle of a body leaves no mail, whichever way the body came.
// go-smtp takes the end of the connection for the end of a BDAT chunk.
func TestBrokenBodyIsNoMail(t *testing.T) {
	for name, start := range map[string]string{
		"DATA":      "DATA\r\nSubject: hello\r\n\r\nhalf a bo",
		"BDAT":      "BDAT 1000\r\nSubject: hello\r\n\r\nhalf a bo",
		"BDAT LAST": "BDAT 1000 LAST\r\nSubject: hello\r\n\r\nhalf a bo",
		"between":   "BDAT 18\r\nSubject: hello\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, Config{})
			p := dial(t, h.addr)
			p.mail()
			p.send(start)
			p.conn.(*net.TCPConn).CloseWrite()
			if rest := readAll(p); strings.Contains(rest, "queued") {
				t.Errorf("half a mail was acknowledged: %q", rest)
			}
			if n := len(h.all()); n != 0 {
				t.Errorf("%d mails accepted, want none", n)
			}
		})
	}
}

// Shutdown does not wait for clients that have nothing under way, and says why they have to go.
func TestShutdownWakesIdleConnections(t *testing.T) {
	h := open(t, Config{Grace: time.Hour})
	fresh, idle := dial(t, h.addr), dial(t, h.addr)
	idle.say("EHLO client", "250")
	h.stop()
	fresh.expect("421 4.3.2 going down")
	fresh.gone()
	idle.expect("421 4.3.2 going down")
	idle.gone()
}

// A transaction that is under way at a shutdown is finished, and the client gets its answer before
// the good-bye.
func TestShutdownLetsTransactionsFinish(t *testing.T) {
	h := open(t, Config{Grace: time.Hour})
	p := dial(t, h.addr)
	p.mail()
	h.stop()
	waitClosed(t, h.addr)
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	p.expect("250 2.0.0 queued as")
	p.expect("421 4.3.2 going down")
	p.gone()
	if n := len(h.all()); n != 1 {
		t.Errorf("%d mails accepted, want 1", n)
	}
}

func waitClosed(t *testing.T, addr string) {
	t.Helper()
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
}

// After Grace even a transaction is cut off: shutting down takes no longer.
func TestShutdownEndsAfterGrace(t *testing.T) {
	h := open(t, Config{Grace: 20 * time.Millisecond})
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	h.stop()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.done <- nil
	p.gone()
}

// Serve ends when its context has ended already, or ends before the first client.
func TestShutdownBeforeTheFirstConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(&recorder{}, Config{}, slog.New(slog.DiscardHandler)).Serve(ctx, listen(t)); err != nil {
		t.Error(err)
	}
	open(t, Config{}) // and its cleanup
}

// There is a limit for each client and one for all, and whoever is beyond it is told in one
// sentence. A place that was left is free again.
func TestConnectionLimits(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"client": {Config{MaxConnectionsPerClient: 2}, "421 4.7.0 too many connections from your address"},
		"total":  {Config{MaxConnections: 2}, "421 4.3.2 too many connections"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, test.cfg)
			first := dial(t, h.addr)
			dial(t, h.addr)
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			refused := newPeer(t, c)
			refused.expect(test.want)
			refused.gone()
			first.say("QUIT", "221")
			first.gone()
			again(t, h.addr)
		})
	}
}

// again dials until there is a place, which there is soon after a connection was closed.
func again(t *testing.T, addr string) {
	t.Helper()
	for range 1000 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, c)
		if strings.HasPrefix(p.reply(), "220") {
			return
		}
	}
	t.Fatal("no place became free")
}

// Long AUTH tokens, long body lines and pipelined chunks pass; long command lines do not.
func TestLongLines(t *testing.T) {
	h := open(t, Config{Accounts: accounts(map[string]string{"ada": cheap})})
	p := dial(t, h.addr)
	p.say("EHLO client", "250")
	token := base64.StdEncoding.EncodeToString([]byte("\x00ada\x00" + strings.Repeat("x", 8000)))
	p.say("AUTH PLAIN "+token, "535 5.7.8")
	p.say("AUTH PLAIN", "334")
	p.say(token, "535 5.7.8")
	p.mail()
	p.say("DATA", "354")
	p.send("Subject: long\r\n\r\n" + strings.Repeat("x", 2<<20) + "\r\n.\r\n")
	p.expect("250 2.0.0 queued as")
	p.mail()
	head, line := "Subject: long\r\n\r\n", strings.Repeat("y", 100_000)+"\r\n"
	p.send(fmt.Sprintf("BDAT %d\r\n%sBDAT %d\r\n%sBDAT %d LAST\r\n%s", len(head), head, len(line), line, len(line), line))
	p.expect("250")
	p.expect("250")
	p.expect("250 2.0.0 queued as")
	if n := len(h.all()); n != 2 {
		t.Errorf("%d mails accepted, want 2", n)
	}
	p.send("NOOP " + strings.Repeat("x", maxCommandLine) + "\r\n")
	p.expect("500 5.5.2 command line too long")
	p.gone()
	for _, begin := range []string{"AUTH PLAIN ", "AUTH PLAIN\r\n"} {
		p = dial(t, h.addr)
		p.say("EHLO client", "250")
		p.send(begin + strings.Repeat("x", maxAuthLine))
		if strings.HasSuffix(begin, "\n") {
			p.expect("334")
		}
		p.expect("500 5.5.6 AUTH line too long")
		p.gone()
	}
}

// What goes into the envelope is the address that the client meant, with quotes taken off once, and
// nothing else.
func TestAddressesAreOurs(t *testing.T) {
	h := open(t, Config{})
	p := dial(t, h.addr)
	p.say("EHLO client", "250")
	p.say("MAIL FROM:<Ada.L@EXAMPLE.org>", "250")
	p.say(`RCPT TO:<"x> NOTIFY=NEVER"@example.net>`, "250")
	p.say(`RCPT TO:<"b\ob"@[127.0.0.1]>`, "250")
	p.say("RCPT TO:<Postmaster>", "250")
	p.say("RCPT TO:<bob@example.net>", "250")
	p.say("RCPT TO:<bob@Example.NET>", "250")
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	p.expect("250")
	e := h.all()[0].Envelope
	if got := e.From.String(); got != "Ada.L@example.org" {
		t.Errorf("from %q", got)
	}
	want := []string{`"x> NOTIFY=NEVER"@example.net`, "bob@[127.0.0.1]", "Postmaster@example.org", "bob@example.net"}
	if len(e.To) != len(want) {
		t.Fatalf("recipients %v, want %v", e.To, want)
	}
	for i := range want {
		if got := e.To[i].String(); got != want[i] || e.To[i].Notify != 0 {
			t.Errorf("recipient %q with %v, want %q", got, e.To[i].Notify, want[i])
		}
	}
}

// The limit is the largest mail that passes, and one byte more is refused. The connection goes on
// after both.
func TestMessageOfExactlyTheLimit(t *testing.T) {
	const limit = 10_000
	h := open(t, Config{MaxMessageBytes: limit})
	p := dial(t, h.addr)
	for over, want := range []string{"250 2.0.0 queued as", "552 5.3.4"} {
		text := sample + strings.Repeat("x", limit+over-len(sample)-2) + "\r\n"
		p.mail()
		p.say("DATA", "354")
		p.send(text + ".\r\n")
		p.expect(want)
		p.mail()
		p.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
		p.expect(want)
	}
	if n := len(h.all()); n != 2 {
		t.Errorf("%d mails accepted, want 2", n)
	}
}

// A body without end is not read for ever.
func TestEndlessBodyIsCut(t *testing.T) {
	h := open(t, Config{MaxMessageBytes: 1000})
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	block := []byte(strings.Repeat("x", 1000))
	for range 10_000 {
		if _, err := p.conn.Write(block); err != nil {
			return
		}
	}
	t.Error("10 MB were read of a mail that may have 1 kB")
}

// RSET in the middle of a chunked body drops it, and neither blocks nor harms the next mail:
// go-smtp reads BDAT in a second goroutine and locks itself around Reset.
func TestResetWithinBDAT(t *testing.T) {
	h := open(t, Config{})
	p := dial(t, h.addr)
	for _, chunk := range []string{"BDAT 0\r\n", "BDAT 5\r\nX: y\n", "BDAT 18\r\nSubject: hello\r\n\r\n"} {
		for _, end := range []string{"RSET", "EHLO again"} {
			p.mail()
			p.send(chunk)
			p.reply() // 250 or, when the Submitter has already seen enough, 554
			p.say(end, "250")
		}
	}
	p.mail()
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	p.expect("250 2.0.0 queued as")
	if n := len(h.all()); n != 1 {
		t.Errorf("%d mails accepted, want 1", n)
	}
}

// AUTH is offered under both kinds of TLS, STARTTLS only before it, and what was said in the clear
// is forgotten.
func TestAuthUnderTLS(t *testing.T) {
	server, client := certificate(t)
	h := open(t, Config{Trusted: nobody, TLS: server, Accounts: accounts(map[string]string{"ada": cheap})})
	p := dial(t, h.addr)
	if got := p.say("EHLO client", "250"); !strings.Contains(got, "STARTTLS") {
		t.Errorf("no STARTTLS in %q", got)
	}
	p.startTLS(client)
	p.say("MAIL FROM:<ada@example.org>", "503 5.5.1")
	implicit := dialTLS(t, h.tls, client)
	for name, p := range map[string]*peer{"STARTTLS": p, "implicit": implicit} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			got := p.say("EHLO client", "250")
			if !strings.Contains(got, "AUTH PLAIN LOGIN") || strings.Contains(got, "STARTTLS") {
				t.Errorf("offered %q", got)
			}
			p.say("STARTTLS", "503 5.5.1")
			p.say("AUTH PLAIN AGFkYQBnZWhlaW0=", "235")
			p.mail()
			p.say("DATA", "354")
			p.send(sample + ".\r\n")
			p.expect("250")
		})
	}
	for _, m := range h.all() {
		if m.Trace.Protocol != "ESMTPSA" || m.Trace.User != "ada" || !strings.HasPrefix(m.Trace.TLS, "TLS1.3 TLS_AES_") {
			t.Errorf("trace %+v", m.Trace)
		}
	}
}

// What stands behind STARTTLS in the clear is not carried into the encrypted part (RFC 3207, 6).
func TestNothingIsInjectedBehindStartTLS(t *testing.T) {
	server, _ := certificate(t)
	h := open(t, Config{TLS: server})
	p := dial(t, h.addr)
	p.say("EHLO client", "250")
	p.say("STARTTLS\r\nMAIL FROM:<eve@example.org>", "554 5.5.1")
	p.gone()
}

// TLS 1.1 is not spoken, whatever the configuration forgot.
func TestOldTLSIsRefused(t *testing.T) {
	server, client := certificate(t)
	server.MinVersion = tls.VersionTLS10
	h := open(t, Config{TLS: server})
	client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if c, err := tls.Dial("tcp", h.tls, client); err == nil {
		c.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

// The reply to a mail names the ID that the Submitter gave it, with DATA and with BDAT.
func TestReplyNamesTheID(t *testing.T) {
	h := open(t, Config{})
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	data := p.expect("250 2.0.0 queued as ")
	p.mail()
	p.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(sample), sample))
	bdat := p.expect("250 2.0.0 queued as ")
	for i, reply := range []string{data, bdat} {
		if id := reply[len("250 2.0.0 queued as "):]; queue.ID(id) != h.all()[i].ID {
			t.Errorf("reply names %q, the mail is %q", id, h.all()[i].ID)
		}
	}
}

// Neither a password nor what carried it is ever in the log, at any level.
func TestLogHoldsNoPassword(t *testing.T) {
	logins := &logBook{}
	h := open(t, Config{Accounts: account.New(account.Config{Users: map[string]string{"ada": cheap}},
		slog.New(slog.NewTextHandler(logins, &slog.HandlerOptions{Level: slog.LevelDebug})))})
	p := dial(t, h.addr)
	p.say("EHLO client", "250")
	p.say("AUTH PLAIN AGFkYQBmYWxzY2g=", "535")
	p.say("AUTH LOGIN YWRh", "334")
	p.say("ZmFsc2No", "535")
	p.say("AUTH PLAIN AGFkYQBnZWhlaW0=", "235")
	p.say("QUIT", "221")
	text := h.log.String() + logins.String()
	for _, secret := range []string{"geheim", "falsch", "AGFkYQ", "ZmFsc2No"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(text, `level=WARN msg="auth failed" client=127.0.0.1 user=ada`) {
		t.Errorf("no failed login in the log: %s", text)
	}
}
