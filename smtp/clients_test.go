package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	netsmtp "net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/account"
	"dinkymail/message"
)

// Go's own client sends through STARTTLS with PLAIN.
func TestNetSMTP(t *testing.T) {
	server, client := certificate(t)
	h := open(t, Config{Trusted: nobody, TLS: server, Accounts: accounts(map[string]string{"ada": cheap})})
	c, err := netsmtp.Dial(h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	steps := []func() error{
		func() error { return c.StartTLS(client) },
		func() error { return c.Auth(netsmtp.PlainAuth("", "ada", "geheim", "127.0.0.1")) },
		func() error { return c.Mail("ada@example.org") },
		func() error { return c.Rcpt("bob@example.net") },
		func() error {
			w, err := c.Data()
			if err != nil {
				return err
			}
			fmt.Fprint(w, strings.ReplaceAll(sample, "\r\n", "\n"), ".hidden\n..\n")
			return w.Close()
		},
		c.Quit,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if m := h.all()[0]; !strings.HasSuffix(m.raw, "Hello Bob\r\n.hidden\r\n..\r\n") {
		t.Errorf("got %q", m.raw)
	}
}

// go-smtp's client sends over implicit TLS with LOGIN, UTF-8 and all that DSN can say; the envelope
// carries it along.
func TestGoSMTPClientAndDSN(t *testing.T) {
	server, client := certificate(t)
	h := open(t, Config{Trusted: nobody, TLS: server, Accounts: accounts(map[string]string{"ada": cheap})})
	c, err := gosmtp.DialTLS(h.tls, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewLoginClient("ada", "geheim")); err != nil {
		t.Fatal(err)
	}
	err = c.Mail("åda@example.org", &gosmtp.MailOptions{
		Body: gosmtp.Body8BitMIME, Size: 100, UTF8: true, Return: gosmtp.DSNReturnHeaders, EnvelopeID: "QQ+314=x",
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Rcpt("bob@example.net", &gosmtp.RcptOptions{
		Notify:                []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess, gosmtp.DSNNotifyDelayed},
		OriginalRecipientType: gosmtp.DSNAddressTypeRFC822, OriginalRecipient: "Bob+x@example.net",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("eve@exämple.net", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "Subject: grüße\r\n\r\nø\r\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m := h.all()[0]
	if m.Trace.Protocol != "UTF8SMTPSA" || m.Origin.User != "ada" || m.Origin.Door != "smtp" {
		t.Errorf("trace %+v, origin %+v", m.Trace, m.Origin)
	}
	e := m.Envelope
	if e.From.Local != "åda" || !e.UTF8 || e.Ret != "HDRS" || e.ID != "QQ+314=x" {
		t.Errorf("envelope %+v", e)
	}
	want := []message.Recipient{
		{Address: message.Address{Local: "bob", Domain: "example.net"}, Notify: message.NotifySuccess | message.NotifyDelay,
			Original: "rfc822;Bob+x@example.net"},
		{Address: message.Address{Local: "eve", Domain: "xn--exmple-cua.net"}, Notify: message.NotifyNever},
	}
	if len(e.To) != 2 || e.To[0] != want[0] || e.To[1] != want[1] {
		t.Errorf("recipients %+v, want %+v", e.To, want)
	}
}

// The protocol's name in Received tells HELO, EHLO, TLS, AUTH and UTF-8 apart (RFC 3848, RFC 6531).
func TestProtocolNames(t *testing.T) {
	for _, test := range []struct {
		s    *session
		utf8 bool
		want string
	}{
		{&session{}, false, "SMTP"},
		{&session{extended: true}, false, "ESMTP"},
		{&session{extended: true, tls: "TLS1.3"}, false, "ESMTPS"},
		{&session{extended: true, user: account.User{Name: "ada"}}, false, "ESMTPA"},
		{&session{extended: true, tls: "TLS1.3", user: account.User{Name: "ada"}}, false, "ESMTPSA"},
		{&session{extended: true}, true, "UTF8SMTP"},
		{&session{extended: true, tls: "TLS1.3"}, true, "UTF8SMTPS"},
		{&session{extended: true, user: account.User{Name: "ada"}}, true, "UTF8SMTPA"},
		{&session{extended: true, tls: "TLS1.3", user: account.User{Name: "ada"}}, true, "UTF8SMTPSA"},
	} {
		if got := test.s.trace(test.utf8).Protocol; got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// A host name that is none does not get into the Received field as it is.
func TestHostNamesAreHarmless(t *testing.T) {
	h := open(t, Config{})
	p := dial(t, h.addr)
	p.say("EHLO (evil)@x;by<y>", "250")
	p.say("MAIL FROM:<ada@example.org>", "250")
	p.say("RCPT TO:<bob@example.net>", "250")
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	p.expect("250")
	if got := h.all()[0].Trace.Helo; got != "?evil??x?by?y?" {
		t.Errorf("got %q", got)
	}
}

// Who is trusted is decided by the address of the connection, also where IPv4 comes dressed as
// IPv6; a zero Config trusts nobody, not even this machine.
func TestTrust(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}
	for _, test := range []struct {
		from    string
		trusted []netip.Prefix
		want    string
	}{
		{"10.1.2.3:1", networks, "250"},
		{"[::ffff:10.1.2.3]:1", networks, "250"},
		{"[fe80::1%eth0]:1", networks, "250"},
		{"192.0.2.1:1", networks, "530 5.7.0"},
		{"127.0.0.1:1", networks, "530 5.7.0"},
		{"127.0.0.1:1", nil, "530 5.7.0"},
		{"[::1]:1", nil, "530 5.7.0"},
	} {
		connect, stop := piped(t, Config{Trusted: test.trusted}, &recorder{})
		p := newPeer(t, connect(test.from))
		p.expect("220")
		p.say("EHLO client", "250")
		p.say("MAIL FROM:<ada@example.org>", test.want)
		p.conn.Close()
		stop()
	}
}

// Several Serve calls on one Server share its limits, and each ends with its own context.
func TestSeveralServeCalls(t *testing.T) {
	server := New(&recorder{}, here(Config{MaxConnections: 1}), slog.New(slog.DiscardHandler))
	first, second := listen(t), listen(t)
	ctx1, stop1 := context.WithCancel(t.Context())
	ctx2, stop2 := context.WithCancel(t.Context())
	defer stop1()
	defer stop2()
	done1, done2 := make(chan error, 1), make(chan error, 1)
	go func() { done1 <- server.Serve(ctx1, first) }()
	go func() { done2 <- server.Serve(ctx2, second) }()
	p := newPeer(t, dialTCP(t, first.Addr().String()))
	p.expect("220")
	newPeer(t, dialTCP(t, second.Addr().String())).expect("421 4.3.2")
	stop1()
	if err := <-done1; err != nil {
		t.Error(err)
	}
	p.expect("421")
	newPeer(t, dialTCP(t, second.Addr().String())).expect("220")
	stop2()
	if err := <-done2; err != nil {
		t.Error(err)
	}
}

// A listener that fails ends Serve with its error, and nothing is left running.
func TestServeEndsWithItsListener(t *testing.T) {
	ln := listen(t)
	ln.Close()
	if err := New(&recorder{}, Config{}, slog.New(slog.DiscardHandler)).Serve(t.Context(), ln); err == nil {
		t.Error("no error")
	}
	if err := New(&recorder{}, Config{}, slog.New(slog.DiscardHandler)).ServeTLS(t.Context(), listen(t)); err == nil {
		t.Error("TLS without a certificate")
	}
}

// Many clients at once, over TLS and without: each mail arrives once and as it was, each reply goes
// to its client.
func TestManyClients(t *testing.T) {
	server, client := certificate(t)
	h := open(t, Config{TLS: server})
	const clients, mails = 20, 10
	var all sync.WaitGroup
	for i := range clients {
		p := dial(t, h.addr)
		all.Go(func() {
			p.say("EHLO client", "250")
			if i%2 == 0 {
				p.startTLS(client)
				p.say("EHLO client", "250")
			}
			for n := range mails {
				p.send("MAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
				for _, want := range []string{"250 2.1.0", "250 2.1.5", "354"} {
					p.expect(want)
				}
				p.send(fmt.Sprintf("Subject: %d.%d.\r\n\r\n%s\r\n.\r\n", i, n, strings.Repeat("x", 100*n)))
				p.expect("250 2.0.0 queued as")
			}
			p.say("QUIT", "221")
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, m := range h.all() {
		_, subject, _ := strings.Cut(m.raw, "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		seen[subject] = true
	}
	if len(seen) != clients*mails || len(h.all()) != clients*mails {
		t.Errorf("%d mails with %d subjects, want %d", len(h.all()), len(seen), clients*mails)
	}
}

// A browser that is led to the TLS port finds no HTTP either.
func TestHTTPOverTLS(t *testing.T) {
	server, client := certificate(t)
	h := open(t, Config{TLS: server})
	p := dialTLS(t, h.tls, client)
	p.say("GET / HTTP/1.1", "554 5.5.2 this is no HTTP server")
	p.gone()
}

// A client that does not finish its TLS handshake has HandshakeTimeout for it.
func TestTLSHandshakeHasATimeout(t *testing.T) {
	server, _ := certificate(t)
	h := open(t, Config{TLS: server, HandshakeTimeout: 20 * time.Millisecond})
	p := newPeer(t, dialTCP(t, h.tls))
	p.send("\x16\x03\x01")
	p.gone()
	plain := dial(t, h.addr)
	plain.say("STARTTLS", "220")
	plain.gone()
}

// Shutdown reaches clients under TLS as well, in words.
func TestShutdownUnderTLS(t *testing.T) {
	server, client := certificate(t)
	h := open(t, Config{TLS: server})
	p := dialTLS(t, h.tls, client)
	busy := dialTLS(t, h.tls, client)
	busy.mail()
	h.stop()
	p.expect("421 4.3.2")
	p.gone()
	busy.say("DATA", "354")
	busy.send(sample + ".\r\n")
	busy.expect("250 2.0.0 queued as")
	busy.expect("421 4.3.2")
	if err := busy.conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Log(err)
	}
	busy.gone()
}

// The answers to pipelined commands come in one packet.
func TestRepliesAreBatched(t *testing.T) {
	connect, stop := piped(t, here(Config{}), &recorder{})
	c := connect("10.0.0.1:1")
	p := newPeer(t, c)
	p.expect("220")
	p.send("EHLO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil || bytes.Count(b[:n], []byte("\r\n")) != 11 {
		t.Errorf("one read gives %q, %v", b[:n], err)
	}
	c.Close()
	stop()
}
