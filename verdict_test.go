package main

import (
	"fmt"
	"io"
	"net/http"
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

// What the upstream says of our account, login or limit to one mail stops nobody's: the next mail
// that gets through shows that the reply was the first one's own. It fails then, or counts as one
// attempt, without another delivery.
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
		t.Run(fmt.Sprintf("%.14s", fmt.Sprint(c.rule.Stage, " ", c.rule.Answer)), func(t *testing.T) {
			t.Parallel()
			hop, settings := upstream(t)
			hop.Script(c.rule)
			a := start(t, t.TempDir(), settings...)
			from, to := "eve@example.com", bad
			if c.rule.Stage == smtptest.Mail {
				from, to = bad, "bob@example.net"
			}
			id := a.queue(from, to)
			a.log.wait(t, "reply in doubt")
			other := a.queue("ada@example.org", "carol@example.org")
			a.awaitStatus(other, "delivered")
			a.awaitStatus(id, c.status)
			for line := a.log.wait(t, "attempt"); ; line = a.log.wait(t, "attempt") {
				if line["id"] != id {
					continue
				}
				if line["n"] != 1.0 {
					t.Errorf("counted %v times", line["n"])
				}
				break
			}
			offer, offers := "RCPT TO:<"+bad+">", 0
			if c.rule.Stage == smtptest.Mail {
				offer = "MAIL FROM:<" + bad + ">"
			}
			for _, command := range hop.Commands() {
				if strings.HasPrefix(command, offer) {
					offers++
				}
			}
			if offers != 1 {
				t.Errorf("offered %d times", offers)
			}
		})
	}
}

// A reply that everybody gets stops the lane, with the mail in it, and says whose it was.
func TestReplyToEveryMailStopsTheLane(t *testing.T) {
	hop, settings := upstream(t)
	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Answer: smtptest.Reply("550 5.4.5 Daily user sending limit exceeded")})
	a := start(t, t.TempDir(), settings...)
	first := a.queue("eve@example.com", "bob@example.net")
	a.log.wait(t, "reply in doubt")
	second := a.queue("ada@example.org", "carol@example.org")
	if line := a.log.wait(t, "reply in doubt"); line["id"] != second {
		t.Errorf("%v", line)
	}
	a.awaitReason(first, "queued", "sending limit")
	a.awaitReason(second, "queued", "sending limit")
}

// Recipients of one mail show it of each other at once: whoever is refused with such words beside
// one who was taken fails alone.
func TestReplyAboutOneRecipient(t *testing.T) {
	hop, settings := upstream(t)
	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Address: "bad@example.net", Answer: smtptest.Reply("530 5.7.0 Authentication required")})
	a := start(t, t.TempDir(), settings...)
	id := a.queue("eve@example.com", "bob@example.net", "bad@example.net")
	a.awaitStatus(id, "partial")
	if log := a.log.String(); strings.Contains(log, "reply in doubt") || strings.Contains(log, "lane waits") {
		t.Errorf("log:\n%s", log)
	}
}

// A notice whose null sender the upstream refuses goes out again from DEFAULT_FROM, once; when that
// is refused too, DEFAULT_TO and whoever reads the metrics are told.
func TestNoticeThatTheUpstreamRefuses(t *testing.T) {
	for _, c := range []struct {
		refusal string
		lost    bool
	}{{"501 5.1.7 bad sender address", false}, {"550 no", true}} {
		t.Run(fmt.Sprintf("%.9s", c.refusal), func(t *testing.T) {
			t.Parallel()
			hop, settings := upstream(t)
			rules := []smtptest.Rule{
				{Stage: smtptest.Rcpt, Address: "gone@example.net", Answer: smtptest.Reply("550 5.1.1 no such user")},
				{Stage: smtptest.Mail, Address: "eve@example.com"},
				{Stage: smtptest.Mail, Address: "noreply@example.org"},
				{Stage: smtptest.Mail, Answer: smtptest.Reply(c.refusal)},
			}
			if c.lost {
				rules = append(rules, smtptest.Rule{Stage: smtptest.Rcpt, Address: "eve@example.com", Answer: smtptest.Reply("550 5.1.1 no such user")})
			}
			hop.Script(rules...)
			a := start(t, t.TempDir(), append(settings, "DEFAULT_FROM=noreply@example.org")...)
			id := a.queue("eve@example.com", "gone@example.net")
			to, want := "eve@example.com", []string{"Auto-Submitted: auto-replied", "gone@example.net", id}
			if c.lost {
				to, want = "ada@example.org", []string{"Auto-Submitted: auto-generated", "eve@example.com: 550 5.1.1 no such user"}
			}
			got := hop.Wait(1, soon)[0]
			if got.From != "noreply@example.org" || got.To[0] != to {
				t.Errorf("from %s to %s", got.From, got.To)
			}
			for _, text := range want {
				if !strings.Contains(string(got.Data), text) {
					t.Errorf("no %q in\n%s", text, got.Data)
				}
			}
			a.log.wait(t, "null sender refused: sent again from DEFAULT_FROM")
			lost := map[bool]string{true: "dinkymail_notices_lost_total 1", false: "dinkymail_notices_lost_total 0"}[c.lost]
			if metrics := a.metrics(); !strings.Contains(metrics, lost) {
				t.Errorf("want %s:\n%s", lost, metrics)
			}
		})
	}
}

// metrics is the text of /metrics.
func (a *appliance) metrics() string {
	a.t.Helper()
	res, err := http.Get("http://" + a.ports["http"] + "/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}
