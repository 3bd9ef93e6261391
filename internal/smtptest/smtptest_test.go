package smtptest

import (
	"bufio"
	"crypto/tls"
	"net"
	netsmtp "net/smtp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client that is not ours gets through STARTTLS and AUTH, and what it sent is kept to the byte.
func TestReceives(t *testing.T) {
	ca := NewCA(t)
	hop := New(t, Config{TLS: ca.Server("127.0.0.1"), Users: map[string]string{"ada": "secret"}})
	c, err := netsmtp.Dial(hop.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Hello("client.test"))
	must(c.StartTLS(&tls.Config{ServerName: "127.0.0.1", RootCAs: ca.Pool()}))
	must(c.Auth(netsmtp.PlainAuth("", "ada", "secret", "127.0.0.1")))
	must(c.Mail("ada@example.org"))
	must(c.Rcpt("bob@example.net"))
	w, err := c.Data()
	must(err)
	w.Write([]byte("Subject: x\r\n\r\n.dot\r\n..\r\n"))
	must(w.Close())
	must(c.Quit())
	m := hop.Wait(1, 10*time.Second)[0]
	if string(m.Data) != "Subject: x\r\n\r\n.dot\r\n..\r\n" {
		t.Errorf("got %q", m.Data)
	}
	if m.From != "ada@example.org" || len(m.To) != 1 || m.To[0] != "bob@example.net" ||
		!m.TLS || m.User != "ada" || m.Helo != "client.test" || m.Conn != 1 {
		t.Errorf("got %+v", m)
	}
	hop.WaitClosed(10 * time.Second)
}

// talk sends lines to a fresh connection, each when the reply to the one before is there, and
// returns the last reply.
func talk(t *testing.T, hop *Server, lines ...string) string {
	t.Helper()
	nc, err := net.Dial("tcp", hop.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	var reply string
	for i := 0; ; i++ {
		for {
			if reply, err = r.ReadString('\n'); err != nil || len(reply) < 4 || reply[3] != '-' {
				break
			}
		}
		if i == len(lines) || err != nil {
			return strings.TrimSpace(reply)
		}
		nc.Write([]byte(lines[i]))
	}
}

// A client's offences are noticed.
func TestStrictness(t *testing.T) {
	for _, tt := range []struct {
		want  string
		lines []string
	}{
		{"bare LF in a command", []string{"EHLO x\n"}},
		{"bare CR in the message", []string{"EHLO x\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<b@x.test>\r\n", "DATA\r\n", "a\rb\r\n.\r\n"}},
		{"before the reply to MAIL", []string{"EHLO x\r\n", "MAIL FROM:<>\r\nRCPT TO:<b@x.test>\r\n"}},
		{"eight-bit data", []string{"EHLO x\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<b@x.test>\r\n", "DATA\r\n", "\xe4\r\n.\r\n"}},
		{"without SMTPUTF8", []string{"EHLO x\r\n", "MAIL FROM:<\xc3\xa4@x.test>\r\n"}},
	} {
		hop := New(t, Config{Extensions: []string{"8BITMIME"}, Lenient: true})
		talk(t, hop, tt.lines...)
		hop.Stop()
		if got := strings.Join(hop.Problems(), "; "); !strings.Contains(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// Rules are followed by stage, address, occasion and number of times; a rule that only delays
// leaves the usual answer.
func TestScript(t *testing.T) {
	hop := New(t, Config{})
	hop.Script(
		Rule{Stage: Rcpt, Address: "b@x.test", Answer: Reply("550 5.1.1 first\nsecond")},
		Rule{Stage: Mail, Nth: 2, Answer: Reply("450 4.0.0 twice")},
		Rule{Stage: Greeting, Conn: 3, Answer: Reply("421 4.0.0 third")},
		Rule{Stage: Ehlo, Times: 1, Answer: Disconnect()},
		Rule{Answer: Answer{}.After(time.Millisecond)},
	)
	hello, from := "EHLO x\r\n", "MAIL FROM:<a@x.test>\r\n"
	for _, tt := range []struct {
		want  string
		lines []string
	}{
		{"", []string{hello}},
		{"550 second", []string{hello, from, "RCPT TO:<b@x.test>\r\n"}},
		{"421 4.0.0 third", nil},
		{"450 4.0.0 twice", []string{hello, from, "RSET\r\n", from}},
		{"250 2.0.0 taken", []string{hello, from, "RCPT TO:<c@x.test>\r\n", "DATA\r\n", "x\r\n.\r\n"}},
	} {
		if got := talk(t, hop, tt.lines...); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// A server that was stopped comes back at the same address.
func TestStopAndStart(t *testing.T) {
	hop := New(t, Config{})
	addr := hop.Addr()
	hop.Stop()
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("still listening")
	}
	hop.Start()
	if got := talk(t, hop); hop.Addr() != addr || !strings.HasPrefix(got, "220") {
		t.Errorf("got %q at %s, want 220 at %s", got, hop.Addr(), addr)
	}
}
