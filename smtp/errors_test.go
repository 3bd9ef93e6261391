package smtp

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dinkymail/message"
	"dinkymail/queue"
)

// Each way in which the queue can refuse a mail has its own answer, whether it refuses before or
// after it read the body, by DATA and by BDAT; the next mail on the same connection passes.
func TestRefusalsOfTheQueue(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{queue.ErrNoSpace, "452 4.3.1"},
		{queue.ErrFull, "452 4.3.1"},
		{queue.ErrTooLarge, "552 5.3.4"},
		{queue.ErrTooManyRecipients, "452 4.5.3"},
		{queue.ErrBroken, "451 4.3.0"},
		{message.ErrLoop, "554 5.4.6"},
		{message.ErrMalformed, "554 5.6.0"},
		{errTest, "451 4.3.0"},
	} {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/early=%t", test.err, early), func(t *testing.T) { refuse(t, test.err, test.want, early) })
		}
	}
}

func refuse(t *testing.T, err error, want string, early bool) {
	h := open(t, Config{})
	sick := true
	hook := func(queue.Submission) error {
		if sick {
			return fmt.Errorf("store message: %w", err)
		}
		return nil
	}
	if early {
		h.early = hook
	} else {
		h.late = hook
	}
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	p.expect(want)
	p.mail()
	p.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(sample), sample))
	p.expect(want)
	sick = false
	p.mail()
	p.say("DATA", "354")
	p.send(sample + ".\r\n")
	p.expect("250 2.0.0 queued as")
	if n := len(h.all()); n != 1 {
		t.Errorf("%d mails accepted, want 1", n)
	}
}

// A queue that is shut answers 421, and 421 closes the connection.
func TestClosedQueueClosesTheConnection(t *testing.T) {
	h := open(t, Config{})
	h.early = func(queue.Submission) error { return queue.ErrClosed }
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	p.send(sample + ".\r\nNOOP\r\n")
	p.expect("421 4.3.2")
	p.gone()
}

// A panic while one client is served, by DATA or by BDAT, ends its connection and nothing else.
func TestPanicIsContained(t *testing.T) {
	h := open(t, Config{})
	h.early = func(s queue.Submission) error {
		if s.Envelope.From.Local == "panic" {
			panic("on purpose")
		}
		return nil
	}
	other := dial(t, h.addr)
	for _, body := range []string{"DATA\r\n", fmt.Sprintf("BDAT %d LAST\r\n%s", len(sample), sample)} {
		p := dial(t, h.addr)
		p.say("EHLO client", "250")
		p.say("MAIL FROM:<panic@example.org>", "250")
		p.say("RCPT TO:<bob@example.net>", "250")
		p.send(body)
		if rest := readAll(p); !strings.Contains(rest, "421 4") {
			t.Errorf("got %q, want a 421", rest)
		}
	}
	other.mail()
	other.say("DATA", "354")
	other.send(sample + ".\r\n")
	other.expect("250")
	if !strings.Contains(h.log.String(), "level=ERROR msg=\"panic in a connection\"") {
		t.Error("no panic in the log")
	}
}

// Every reply is one line of printable ASCII, not too long, whatever the error says, and its status
// fits its code.
func TestReplyLines(t *testing.T) {
	for _, row := range replies {
		err := fmt.Errorf("%w: \r\n250 ok\r\n\x00é%s", row.err, strings.Repeat("x", 1000))
		text := strings.TrimSuffix(line(reply(err)), "\r\n")
		if len(text) > 510 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%v is answered %q", row.err, text)
		}
		if row.code/100 != row.status[0] {
			t.Errorf("%v is answered %q", row.err, text)
		}
	}
	if got := reply(errors.New("secret path /var/lib")); strings.Contains(got.Message, "secret") {
		t.Errorf("an internal error is shown: %q", got.Message)
	}
}
