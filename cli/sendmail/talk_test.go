package sendmail

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"dinkymail/cli/world"
	"dinkymail/message"
	"dinkymail/queue"
)

var discard = slog.New(slog.DiscardHandler)

// sendmail -bs speaks SMTP: commands one after the other or all at once, parameters of
// notification, a mail that is refused, an end without QUIT.
func TestTalk(t *testing.T) {
	a := newAppliance(t, queue.Config{}).start()
	r := a.sendmail("EHLO localhost\r\nMAIL FROM:<ada@example.org> BODY=8BITMIME RET=HDRS ENVID=x1\r\n"+
		"RCPT TO:<bob@example.net> NOTIFY=FAILURE ORCPT=rfc822;robert@example.net\r\nRCPT TO:<carol@example.net> NOTIFY=NEVER\r\nDATA\r\n"+
		"Subject: x\r\n\r\n..\r\nHello\r\n.\r\nRSET\r\nNOOP\r\nNONSENSE\r\nQUIT\r\n", "-bs")
	if r.status != 0 || r.err != "" {
		t.Fatalf("got %+v", r)
	}
	m, text := a.one()
	if want := "Subject: x\nFrom: Ada Lovelace <ada@example.org>\n\n.\nHello\n"; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	e := m.Envelope
	if e.From.String() != "ada@example.org" || recipients(e) != "bob@example.net carol@example.net" || e.Ret != "HDRS" || e.ID != "x1" ||
		e.To[0].Notify != message.NotifyFailure || e.To[0].Original != "rfc822;robert@example.net" || e.To[1].Notify != message.NotifyNever {
		t.Errorf("got %+v", e)
	}
	replies := regexp.MustCompile(`(?m)^\d{3} .*`).FindAllString(r.out, -1)
	var codes []string
	for _, line := range replies {
		codes = append(codes, line[:3])
	}
	if got, want := strings.Join(codes, " "), "220 250 250 250 250 354 250 250 250 500 221"; got != want ||
		!strings.Contains(r.out, "queued as "+string(m.ID)) {
		t.Errorf("got %s, want %s:\n%s", got, want, r.out)
	}
}

// Without an appliance the mail goes into the maildrop; the conversation ends with standard input.
func TestTalkWhileDown(t *testing.T) {
	a := newAppliance(t, queue.Config{})
	r := a.sendmail("HELO localhost\r\nMAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: x\r\n\r\nHello\r\n.\r\n", "-bs")
	if r.status != 0 || !strings.Contains(r.out, "250 2.0.0 queued as") {
		t.Fatalf("got %+v", r)
	}
	a.pickUp()
	a.one()
}

// A mail that cannot be kept is refused for the time being, and one that never can be for good.
func TestTalkRefuses(t *testing.T) {
	full := newAppliance(t, queue.Config{MaxMessages: 1}).start()
	const mail = "MAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n"
	r := full.sendmail("HELO x\r\n"+mail+"Hello\r\n.\r\n"+mail+"Hello\r\n.\r\n"+mail+strings.Repeat("Received: x\r\n", 60)+"\r\n.\r\nQUIT\r\n", "-bs")
	if !strings.Contains(r.out, "452 4.3.1 ") || !strings.Contains(r.out, "554 5.6.0 ") {
		t.Errorf("got %s", r.out)
	}
	full.one()
}

// Only a mail that was accepted, or a conversation that tried nothing, ends with 0.
func TestTalkStatus(t *testing.T) {
	const from, to, begin = "MAIL FROM:<ada@example.org>\r\n", "RCPT TO:<bob@example.net>\r\n", "HELO x\r\n"
	const mail = from + to + "DATA\r\nSubject: x\r\n\r\nHello\r\n.\r\n"
	a := newAppliance(t, queue.Config{}).start()
	for _, c := range []struct {
		name, said string
		status     int
	}{
		{"nothing", "", 0},
		{"no mail", begin + "NOOP\r\nRSET\r\nVRFY x\r\nQUIT\r\n", 0},
		{"a mail", begin + mail + "QUIT\r\n", 0},
		{"a mail, no QUIT", begin + mail, 0},
		{"with LF", "HELO\n" + strings.ReplaceAll(from+to, "\r", "") + "DATA\nSubject: x\n\nHello\r\n.\r\nQUIT\n", 0},
		{"given up, then a mail", begin + from + to + "RSET\r\n" + mail, 0},
		{"refused recipient, given up, then a mail", begin + from + "RCPT TO:<b@@>\r\nRSET\r\n" + mail, 0},
		{"given up", begin + from + to + "RSET\r\nQUIT\r\n", world.ExitData},
		{"end within the mail", begin + from + to + "DATA\r\nSubject: x\r\n\r\nHel", world.ExitInput},
		{"end before DATA", begin + from + to, world.ExitData},
		{"QUIT before DATA", begin + from + to + "QUIT\r\n", world.ExitData},
		{"QUIT behind MAIL", begin + from + "QUIT\r\n", world.ExitData},
		{"no HELO", mail + "QUIT\r\n", world.ExitData},
		{"refused sender", begin + "MAIL FROM:<@>\r\n" + to + "DATA\r\nQUIT\r\n", world.ExitData},
		{"refused recipient", begin + from + "RCPT TO:<b@@>\r\nDATA\r\nQUIT\r\n", world.ExitData},
		{"LF alone", strings.ReplaceAll(begin+mail, "\r", "") + "QUIT\n", world.ExitInput},
		{"a mail and half of one", begin + mail + from + to + "DATA\r\nHel", world.ExitInput},
		{"one refused, one taken", begin + strings.Replace(mail, "Hello", strings.Repeat("Hello", 1<<20), 1) + mail, world.ExitUnavailable},
		{"a NUL", begin + from + to + "DATA\r\nHel\x00o\r\n.\r\nQUIT\r\n", world.ExitData},
		{"no SMTP at all", "Subject: x\n\nHello\n", world.ExitData},
	} {
		r := a.sendmail(c.said, "-bs")
		if r.status != c.status || (r.err == "") != (c.status == 0) {
			t.Errorf("%s: got %+v, want status %d", c.name, r, c.status)
		}
	}
	down := world.World{Environ: []string{"DINKYMAIL_SUBMIT_DIR=" + t.TempDir()}}
	if r := run(t, down, begin+mail+"QUIT\r\n", "-bs"); r.status != world.ExitTempFail {
		t.Errorf("nobody there: got %+v", r)
	}
}

// What is read after the program has ended is nobody's: standard input is not drained.
func TestTalkEndsAtQuit(t *testing.T) {
	a := newAppliance(t, queue.Config{}).start()
	in, out := io.Pipe()
	done := make(chan int)
	go func() {
		w := world.World{Environ: []string{"DINKYMAIL_SUBMIT_DIR=" + a.dir}, In: in, Out: io.Discard, Err: io.Discard}
		done <- Run(t.Context(), "sendmail", []string{"-bs"}, w)
	}()
	if _, err := io.WriteString(out, "QUIT\r\n"); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != 0 {
		t.Errorf("got %d", status)
	}
	out.Close()
}
