package relay

import (
	"slices"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
	"dinkymail/message"
	"dinkymail/queue"
)

// MAIL and RCPT carry those parameters that the message has and the next hop offers, and no others.
func TestParameters(t *testing.T) {
	for _, tt := range []struct {
		name string
		ext  []string
		set  func(*queue.Delivery)
		mail string
		rcpt string
	}{
		{"nothing offered", []string{}, func(d *queue.Delivery) { d.Envelope.Ret, d.Envelope.ID = "FULL", "x" }, "", ""},
		{"size", []string{"SIZE"}, func(*queue.Delivery) {}, "SIZE=75", ""},
		{"dsn", []string{"DSN"}, func(d *queue.Delivery) {
			d.Envelope.Ret, d.Envelope.ID = "HDRS", "a b+c=d"
			d.Envelope.To[0].Notify = message.NotifySuccess | message.NotifyFailure | message.NotifyDelay
			d.Envelope.To[0].Original = "rfc822;b+b=o@example.net"
		}, "RET=HDRS ENVID=a+20b+2Bc+3Dd", "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;b+2Bb+3Do@example.net"},
		{"dsn never, odd original", []string{"DSN"}, func(d *queue.Delivery) {
			d.Envelope.Ret = "ALL"
			d.Envelope.To[0].Notify = message.NotifyNever
			d.Envelope.To[0].Original = "no type"
		}, "", "NOTIFY=NEVER"},
		{"dsn utf-8 original", []string{"DSN"}, func(d *queue.Delivery) {
			d.Envelope.To[0].Original = "utf-8;jürg\\@example.net"
		}, "", `ORCPT=utf-8;j\x{FC}rg\x{5C}@example.net`},
		{"utf8 flag without need", []string{"SMTPUTF8", "8BITMIME"}, func(d *queue.Delivery) { d.Envelope.UTF8 = true }, "", ""},
		{"utf8 header", []string{"SMTPUTF8", "8BITMIME"}, func(d *queue.Delivery) {
			d.Facts.UTF8Header, d.Facts.EightBit = true, true
		}, "", ""},
		{"utf8 header of a client that asked", []string{"SMTPUTF8", "8BITMIME"}, func(d *queue.Delivery) {
			d.Envelope.UTF8, d.Facts.UTF8Header, d.Facts.EightBit = true, true, true
		}, "BODY=8BITMIME SMTPUTF8", ""},
		{"utf8 recipient", []string{"SMTPUTF8", "8BITMIME"}, func(d *queue.Delivery) {
			d.Envelope.To[0].Local = "bøb"
		}, "SMTPUTF8", ""},
		{"eight bits", []string{"8BITMIME"}, func(d *queue.Delivery) { d.Facts.EightBit = true }, "BODY=8BITMIME", ""},
	} {
		hop := smtptest.New(t, smtptest.Config{Extensions: tt.ext})
		d := mail(t, letter, "bob@example.net")
		tt.set(&d)
		res := deliver(t, start(t, to(hop, Config{})), d)[0]
		check(t, res, queue.Delivered, queue.NoPause)
		got := hop.Messages()[0]
		if got.MailParams != tt.mail || got.RcptParams[0] != tt.rcpt {
			t.Errorf("%s: got %q and %q, want %q and %q", tt.name, got.MailParams, got.RcptParams[0], tt.mail, tt.rcpt)
		}
		if res.NoDSN == slices.Contains(tt.ext, "DSN") {
			t.Errorf("%s: NoDSN is %v", tt.name, res.NoDSN)
		}
	}
}

// What a next hop cannot take fails with a reason before MAIL; recipients that need nothing special
// are delivered.
func TestNextHopLacksExtension(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Extensions: []string{"SIZE 50000", "PIPELINING"}})
	r := start(t, to(hop, Config{}))

	large := mail(t, letter+strings.Repeat(letter, 1000), "bob@example.net")
	utf8From := mail(t, letter, "bob@example.net")
	utf8From.Envelope.From.Local = "ädä"
	signed := mail(t, "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nkäse\r\n--b--\r\n", "bob@example.net")
	signed.Facts = message.Facts{EightBit: true}
	for status, d := range map[string]queue.Delivery{"5.3.4": large, "5.6.7": utf8From, "5.6.3": signed} {
		res := deliver(t, r, d)[0]
		check(t, res, queue.Failed, queue.NoPause)
		if res.Status != status || res.Text == "" || res.Code != 0 {
			t.Errorf("%s: %+v", status, res)
		}
	}
	if n := count(hop.Commands(), "MAIL"); n != 0 {
		t.Errorf("%d MAIL, want none", n)
	}

	some := mail(t, letter, "bob@example.net", "carol@example.net")
	some.Envelope.To[0].Local = "bøb"
	if got := outcomes(deliver(t, r, some)); got != "failed delivered" {
		t.Error(got)
	}
	if hop.Connections() != 1 {
		t.Errorf("%d connections, want 1", hop.Connections())
	}
}

// Eight-bit mail arrives as seven-bit mail where 8BITMIME is not offered.
func TestDowngrade(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Extensions: []string{"SIZE"}})
	d := mail(t, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nkäse\r\n",
		"bob@example.net")
	d.Facts = message.Facts{EightBit: true, LongestLine: 60}
	check(t, deliver(t, start(t, to(hop, Config{})), d)[0], queue.Delivered, queue.NoPause)
	got := hop.Messages()[0]
	if !strings.Contains(string(got.Data), "Transfer-Encoding: base64") || strings.Contains(got.MailParams, "BODY") {
		t.Errorf("got %+v", got)
	}
}

// Long lines are encoded, but not where the message would be too large for the next hop by that.
func TestLongLinesAndSize(t *testing.T) {
	text := "MIME-Version: 1.0\r\nContent-Type: application/json\r\n\r\n" + strings.Repeat("x", 10_000) + "\r\n"
	for size, stays := range map[string]bool{"SIZE 12000": true, "SIZE 20000": false, "SIZE": false} {
		hop := smtptest.New(t, smtptest.Config{Extensions: []string{size}})
		d := mail(t, text, "bob@example.net")
		d.Facts = message.Facts{LongestLine: 10_000}
		check(t, deliver(t, start(t, to(hop, Config{})), d)[0], queue.Delivered, queue.NoPause)
		if got := string(hop.Messages()[0].Data); got == text != stays {
			t.Errorf("%s: got %.200q", size, got)
		}
	}
}

// The extensions of an EHLO reply are read whatever their case and spacing.
func TestParseExtensions(t *testing.T) {
	e := parseExtensions("hop greets you: STARTTLS\nSize  1000 \npipelining\nAUTH=LOGIN\nauth plain Cram-MD5\n\n8BITMIME\nX")
	if e.startTLS || !e.size || e.limit != 1000 || !e.pipelining || !e.eightBit || e.utf8 || e.dsn {
		t.Errorf("got %+v", e)
	}
	if len(e.auth) != 3 || !e.auth["PLAIN"] || !e.auth["LOGIN"] || !e.auth["CRAM-MD5"] {
		t.Errorf("got %v", e.auth)
	}
}
