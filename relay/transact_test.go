package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"dinkymail/internal/smtptest"
	"dinkymail/message"
	"dinkymail/queue"
)

func outcomes(results []queue.Result) string {
	var words []string
	for _, r := range results {
		words = append(words, r.Outcome.String())
	}
	return strings.Join(words, " ")
}

// One refused address never fails the others, with and without PIPELINING.
func TestRecipientsAreSettledEachByItself(t *testing.T) {
	for _, ext := range [][]string{{"PIPELINING"}, {}} {
		hop := smtptest.New(t, smtptest.Config{Extensions: ext})
		hop.Script(
			smtptest.Rule{Stage: smtptest.Rcpt, Address: "b@example.net", Answer: smtptest.Reply("550 5.1.1 no such user")},
			smtptest.Rule{Stage: smtptest.Rcpt, Address: "c@example.net", Answer: smtptest.Reply("450 4.2.1 later")},
		)
		d := mail(t, letter, "a@example.net", "b@example.net", "c@example.net", "d@example.net")
		results := deliver(t, start(t, to(hop, Config{})), d)
		if got := outcomes(results); got != "delivered failed deferred delivered" {
			t.Errorf("got %s: %+v", got, results)
		}
		if results[1].Code != 550 || results[1].Status != "5.1.1" || results[1].Text != "no such user" || results[1].Stage != "rcpt" {
			t.Errorf("got %+v", results[1])
		}
		got := hop.Wait(1, 0)
		if len(got) != 1 || !slices.Equal(got[0].To, []string{"a@example.net", "d@example.net"}) {
			t.Errorf("got %+v", got)
		}
	}
}

// A next hop that says 354 though it refused every recipient gets the lone dot that it waits for,
// and the connection lives.
func TestGoAheadWithoutRecipients(t *testing.T) {
	for _, stage := range []smtptest.Stage{smtptest.Mail, smtptest.Rcpt} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(
			smtptest.Rule{Stage: stage, Times: 2, Answer: smtptest.Reply("550 5.7.1 no")},
			smtptest.Rule{Stage: smtptest.Data, Times: 1, Answer: smtptest.Reply("354 well then")},
		)
		r := start(t, to(hop, Config{}))
		results := deliver(t, r, mail(t, letter, "a@example.net", "b@example.net"))
		if stage == smtptest.Mail {
			check(t, one(t, r), queue.Failed, queue.NoPause)
		}
		if got := outcomes(results); got != "failed failed" || hop.Count() != 0 {
			t.Errorf("got %s, %d messages", got, hop.Count())
		}
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		if hop.Connections() != 1 {
			t.Errorf("%d connections, want 1", hop.Connections())
		}
	}
}

// What is too many for one transaction goes in further ones, at once.
func TestTooManyRecipients(t *testing.T) {
	for _, refusal := range []string{"452 4.5.3 too many recipients", "452 enough", "552 too many recipients"} {
		hop := smtptest.New(t, smtptest.Config{Lenient: true})
		hop.Script(
			smtptest.Rule{Stage: smtptest.Rcpt, Nth: 3, Answer: smtptest.Reply(refusal)},
			smtptest.Rule{Stage: smtptest.Rcpt, Nth: 4, Answer: smtptest.Reply(refusal)},
			smtptest.Rule{Stage: smtptest.Rcpt, Nth: 5, Answer: smtptest.Reply(refusal)},
			smtptest.Rule{Stage: smtptest.Rcpt, Nth: 8, Answer: smtptest.Reply(refusal)},
		)
		to5 := mail(t, letter, "a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net")
		results := deliver(t, start(t, to(hop, Config{})), to5)
		if got := outcomes(results); got != "delivered delivered delivered delivered delivered" {
			t.Errorf("got %s: %+v", got, results)
		}
		if hop.Count() != 3 || hop.Connections() != 1 {
			t.Errorf("%d messages over %d connections, want 3 over 1", hop.Count(), hop.Connections())
		}
		for _, m := range hop.Messages() {
			if string(m.Data) != letter {
				t.Errorf("got %q", m.Data)
			}
		}
	}
}

// More recipients than go out in one write are all answered for.
func TestManyRecipients(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Address: "r333@example.net", Answer: smtptest.Reply("550 5.1.1 no")})
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprintf("r%d@example.net", i))
	}
	results := deliver(t, start(t, to(hop, Config{Recipients: 1000})), mail(t, letter, all...))
	for i, res := range results {
		if (res.Outcome == queue.Failed) != (i == 333) || res.Outcome == queue.Deferred {
			t.Errorf("%d: %+v", i, res)
		}
	}
	if got := hop.Messages(); len(got) != 1 || len(got[0].To) != 999 {
		t.Errorf("%d messages", len(got))
	}
}

// With PIPELINING a message to any number of recipients goes out in two writes, without it each
// command waits for its reply.
func TestRoundTrips(t *testing.T) {
	for _, tt := range []struct {
		ext  string
		want int
	}{{"PIPELINING", 2}, {"XNOTHING", 6}} {
		hop := smtptest.New(t, smtptest.Config{Extensions: []string{tt.ext}})
		r := start(t, to(hop, Config{}))
		writes := 0
		p := r.current()
		dial := p.dial
		p.dial = func(ctx context.Context, at string) (net.Conn, error) {
			nc, err := dial(ctx, at)
			return &counted{Conn: nc, writes: &writes}, err
		}
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		writes = 0
		d := mail(t, letter, "a@example.net", "b@example.net", "c@example.net")
		if got := outcomes(deliver(t, r, d)); got != "delivered delivered delivered" {
			t.Error(got)
		}
		if writes != tt.want {
			t.Errorf("%s: %d writes, want %d", tt.ext, writes, tt.want)
		}
	}
}

type counted struct {
	net.Conn
	writes *int
}

func (c *counted) Write(p []byte) (int, error) {
	*c.writes++
	return c.Conn.Write(p)
}

// A message with a bare CR or LF is failed with the reason, never completed, and its connection is
// not used again.
func TestBareLineEndsAreNeverSent(t *testing.T) {
	for _, bad := range []string{
		"a\nb\r\n", "a\rb\r\n", "a\r\n.\n", "a\n.\r\n", "a\r", "\n", "a\r\r\n.\r\n", strings.Repeat("long\r\n", 9000) + "a\n",
	} {
		hop := smtptest.New(t, smtptest.Config{})
		r := start(t, to(hop, Config{}))
		res := deliver(t, r, mail(t, "Subject: x\r\n\r\n"+bad, "bob@example.net"))[0]
		check(t, res, queue.Failed, queue.NoPause)
		if res.Status != "5.6.0" || res.Stage != "body" || hop.Count() != 0 {
			t.Errorf("%q: %+v, %d messages", bad, res, hop.Count())
		}
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		if hop.Connections() != 2 {
			t.Errorf("%d connections, want 2", hop.Connections())
		}
	}
}

type sickBody struct{ io.ReadSeeker }

func (sickBody) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// A body that cannot be read is deferred and says nothing of the lane.
func TestUnreadableBody(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	d := mail(t, letter, "bob@example.net")
	d.Body = sickBody{d.Body}
	res := deliver(t, start(t, to(hop, Config{})), d)[0]
	check(t, res, queue.Deferred, queue.NoPause)
	if hop.Count() != 0 || !strings.Contains(res.Text, "disk on fire") {
		t.Errorf("got %+v", res)
	}
}

type backend struct{ got chan string }

func (b backend) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &gosession{b: b}, nil }

type gosession struct {
	b   backend
	env string
}

func (s *gosession) Mail(from string, _ *gosmtp.MailOptions) error { s.env = from; return nil }
func (s *gosession) Rcpt(to string, _ *gosmtp.RcptOptions) error   { s.env += " " + to; return nil }
func (s *gosession) Reset()                                        {}
func (s *gosession) Logout() error                                 { return nil }
func (s *gosession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.b.got <- s.env + "\n" + string(data)
	return err
}

// A server that is not of our making gets what was sent, envelope and every byte.
func TestAgainstGoSMTP(t *testing.T) {
	got := make(chan string, 10)
	srv := gosmtp.NewServer(backend{got})
	srv.Domain, srv.EnableSMTPUTF8, srv.EnableDSN = "hop.test", true, true
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(ln) }()
	addr := ln.Addr().(*net.TCPAddr)
	r := start(t, Config{Host: "127.0.0.1", Port: addr.Port})
	for _, text := range []string{letter, ".\r\n..\r\n.x\r\n\r\n.\r\n", "", strings.Repeat(".\r\n", 50_000), "no end", "\r\n"} {
		d := mail(t, text, "bob@example.net", "carol@example.net")
		d.Envelope.To[0].Notify, d.Envelope.ID, d.Envelope.Ret = message.NotifyNever, "q+=1 2", "HDRS"
		if got := outcomes(deliver(t, r, d)); got != "delivered delivered" {
			t.Fatal(got)
		}
		if text != "" && !strings.HasSuffix(text, "\r\n") {
			text += "\r\n"
		}
		if got, want := <-got, "ada@example.org bob@example.net carol@example.net\n"+text; got != want {
			t.Errorf("got %.80q, want %.80q", got, want)
		}
	}
	r.Close()
	srv.Close()
	<-served
}

// A CR or LF that stands alone is found wherever the message is cut into writes, and its end is
// then not written.
func TestBareLineEndsAcrossWrites(t *testing.T) {
	for _, message := range []string{"a\rb\r\n", "a\nb\r\n", "\n", "a\r\r\n", "\r\n\n.\r\n", "a\r"} {
		for cut := range len(message) + 1 {
			var sent bytes.Buffer
			w := bufio.NewWriter(&sent)
			d := dotWriter{w: w}
			_, err := d.Write([]byte(message[:cut]))
			if err == nil {
				_, err = d.Write([]byte(message[cut:]))
			}
			if err == nil {
				err = d.Close()
			}
			w.Flush()
			if !errors.Is(err, errBareLine) || bytes.HasSuffix(sent.Bytes(), []byte("\r\n.\r\n")) {
				t.Errorf("%q cut at %d: %v, sent %q", message, cut, err, &sent)
			}
		}
	}
}
