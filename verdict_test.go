package main

import (
	"fmt"
	netsmtp "net/smtp"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
)

// queue hands in a mail over SMTP and returns its id.
func (a *appliance) queue(from string, to ...string) string {
	a.t.Helper()
	if err := netsmtp.SendMail(a.ports["smtp"], nil, from, to, mail("x")); err != nil {
		a.t.Fatal(err)
	}
	return a.log.wait(a.t, "queued")["id"].(string)
}

// What the upstream says of our account, login or limit to one mail stops nobody's: the next mail that gets through shows that the
// reply was the first one's own. It fails then, or counts as one attempt, without another delivery.
func TestReplyAboutOneMailStopsNobody(t *testing.T) {
	const bad = "bad@example.net"
	rcpt := func(text string) smtptest.Rule {
		return smtptest.Rule{Stage: smtptest.Rcpt, Address: bad, Answer: smtptest.Reply(text)}
	}
	for _, c := range []struct {
		rule   smtptest.Rule
		status string
	}{
		{rcpt("530 5.7.0 Authentication required"), "failed"},
		{rcpt("550 authentication required"), "failed"},
		{rcpt("554 5.7.1 you are not authenticated"), "failed"},
		{rcpt("450 4.7.1 rate limit exceeded"), "deferred"},
		{rcpt("452 4.5.3 daily limit"), "deferred"},
		{rcpt("550 5.4.5 Daily user sending limit exceeded"), "failed"},
		{smtptest.Rule{Stage: smtptest.Mail, Address: bad, Answer: smtptest.Reply("421 4.3.0 try again later")}, "deferred"},
		{smtptest.Rule{Stage: smtptest.Mail, Address: bad, Answer: smtptest.Reply("454 4.7.0 sending rate exceeded")}, "deferred"},
		{smtptest.Rule{Stage: smtptest.Mail, Address: bad, Answer: smtptest.Reply("550 5.7.1 this account is suspended")}, "failed"},
		{smtptest.Rule{Stage: smtptest.Body, Times: 1, Answer: smtptest.Reply("550 5.4.5 Daily sending quota exceeded")}, "failed"},
		{smtptest.Rule{Stage: smtptest.Body, Times: 1, Answer: smtptest.Reply("452 4.7.1 quota exceeded, daily limit")}, "deferred"},
	} {
		t.Run(fmt.Sprint(c.rule.Stage, c.rule.Answer), func(t *testing.T) {
			t.Parallel()
			hop, settings := upstream(t)
			hop.Script(c.rule)
			a := start(t, t.TempDir(), settings...)
			id := ""
			if c.rule.Stage == smtptest.Mail {
				id = a.queue(bad, "bob@example.net")
			} else {
				id = a.queue("eve@example.com", bad)
			}
			a.log.wait(t, "reply in doubt")
			other := a.queue("ada@example.org", "carol@example.org")
			a.awaitStatus(other, "delivered")
			a.awaitStatus(id, c.status)
			if log := a.log.String(); strings.Count(log, `"msg":"attempt","id":"`+id+`","n":1`) != 1 {
				t.Errorf("want one attempt of %s:\n%s", id, log)
			}
		})
	}
}

// A reply that everybody gets holds the lane, with the mail in it, and says whose it was.
func TestReplyToEveryMailHoldsTheLane(t *testing.T) {
	hop, settings := upstream(t)
	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Answer: smtptest.Reply("550 5.4.5 Daily user sending limit exceeded")})
	a := start(t, t.TempDir(), settings...)
	first := a.queue("eve@example.com", "bob@example.net")
	a.log.wait(t, "reply in doubt")
	second := a.queue("ada@example.org", "carol@example.org")
	if line := a.log.wait(t, "reply in doubt"); line["id"] != second {
		t.Errorf("%v", line)
	}
	a.awaitStatus(first, "held")
	a.awaitStatus(second, "held")
}
