package relay

import (
	"strings"
	"testing"
	"unicode/utf8"

	"dinkymail/queue"
)

// Every reply means the right thing for the recipient and for the lane, by code, enhanced status
// code, stage and words.
func TestClassify(t *testing.T) {
	const (
		delivered = "delivered "
		deferred  = "deferred "
		failed    = "failed "
		lane      = "deferred unreachable"
		login     = "deferred credentials"
		quota     = "deferred quota"
		busy      = "deferred busy"
	)
	for _, tt := range []struct {
		stage, reply, want string
		says               string
	}{
		{"greeting", "554 5.7.1 your address is on a list", lane, ""},
		{"greeting", "421 4.3.2 too busy", lane, ""},
		{"greeting", "421 4.7.28 unusual rate of mail", quota, ""},
		{"greeting", "250 hello", lane, ""},
		{"ehlo", "550 5.7.1 who are you", lane, ""},
		{"starttls", "454 4.7.0 TLS not available", lane, ""},

		{"auth", "535 5.7.8 Username and Password not accepted", login, "app password"},
		{"auth", "534 5.7.9 Application-specific password required", login, "make an app password and put it in SMTP_RELAY_PASSWORD"},
		{"auth", "535 authentication failed", login, "SMTP_RELAY_USERNAME"},
		{"auth", "530 5.7.0 Must issue a STARTTLS command first", login, "USE_TLS=yes"},
		{"auth", "538 5.7.11 encryption required", login, ""},
		{"auth", "432 4.7.12 a password transition is needed", login, ""},
		{"auth", "454 4.7.0 temporary authentication failure", login, "at the provider"},
		{"auth", "454 4.7.0 Too many login attempts, please try again later.", quota, ""},
		{"auth", "432 4.3.2 Concurrent connections limit exceeded", busy, ""},
		{"greeting", "421 4.7.0 too many connections from your host", busy, ""},
		{"ehlo", "450 4.3.2 Too many simultaneous sessions", busy, ""},
		{"mail", "421 4.4.5 Slow down", busy, ""},
		{"body", "432 4.3.2 STOREDRV; sender thread limit exceeded", busy, ""},
		{"rcpt", "450 4.4.2 mx.example.net said: too many connections", deferred, ""},
		{"greeting", "554 5.7.1 too many connections", lane, ""},
		{"auth", "502 5.5.1 not implemented", login, ""},
		{"auth", "421 4.7.0 try again later", lane, ""},
		{"auth", "250 yes", lane, ""},

		{"mail", "530 5.7.0 Authentication Required.", login, "SMTP_RELAY_USERNAME"},
		{"mail", "530 5.7.57 Client not authenticated to send mail", login, ""},
		{"mail", "550 5.7.1 not authenticated", login, ""},
		{"mail", "535 5.7.8 session over", login, ""},
		{"mail", "503 5.5.1 AUTH first", login, ""},
		{"mail", "550 5.7.1 this account is suspended", login, "ask the provider"},
		{"mail", "550 5.7.1 you may not send as this address", failed, ""},
		{"mail", "553 5.7.1 sender address rejected", failed, ""},
		{"mail", "552 5.3.4 message too large", failed, ""},
		{"mail", "452 4.3.1 out of space", deferred, ""},
		{"mail", "421 4.3.2 shutting down", lane, ""},
		{"mail", "421 4.7.0 Try again later, closing connection", lane, ""},
		{"mail", "421 4.7.28 our system has detected an unusual rate", quota, ""},
		{"mail", "552 5.2.2 quota of this account exceeded", quota, ""},
		{"mail", "454 Throttling failure: Maximum sending rate exceeded.", quota, ""},
		{"mail", "503 5.5.1 bad sequence", deferred, ""},
		{"mail", "354 go on", deferred, ""},

		{"rcpt", "550 5.1.1 no such user", failed, ""},
		{"rcpt", "550 no", failed, ""},
		{"rcpt", "550 5.2.1 the account you tried to reach is disabled", failed, ""},
		{"rcpt", "450 4.2.1 receiving mail at a rate that is too high, rate limit", deferred, ""},
		{"rcpt", "452 4.2.2 over quota", deferred, ""},
		{"rcpt", "552 5.2.2 mailbox over quota", failed, ""},
		{"rcpt", "550 5.4.5 Daily user sending limit exceeded", quota, ""},
		{"rcpt", "452 4.5.3 too many recipients", quota, ""},
		{"rcpt", "550 5.1.90 you have reached your daily limit for message recipients", quota, ""},
		{"rcpt", "554 5.7.1 relay access denied", failed, ""},
		{"rcpt", "451 4.7.1 greylisted", deferred, ""},
		{"rcpt", "421 4.7.0 too many errors", deferred, ""},
		{"rcpt", "550 4.1.1 two answers", deferred, ""},
		{"rcpt", "450 5.1.1 two answers", deferred, ""},
		{"rcpt", "530 5.7.1 log in", login, ""},

		{"data", "554 5.5.1 no valid recipients", failed, ""},
		{"data", "451 4.3.0 later", deferred, ""},
		{"data", "250 what", deferred, ""},
		{"data", "550 5.4.5 Daily SMTP relay sending limit exceeded", quota, ""},

		{"body", "250 2.0.0 taken", delivered, ""},
		{"body", "200 taken", delivered, ""},
		{"body", "354 what", deferred, ""},
		{"body", "554 5.7.1 spam", failed, ""},
		{"body", "452 4.3.1 out of space", deferred, ""},
		{"body", "421 4.7.0 shutting down", deferred, ""},
		{"body", "552 5.2.2 mailbox full", failed, ""},
		{"body", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", quota, ""},
		{"body", "421 4.7.28 rate limited", quota, ""},
	} {
		code, _, text, ok := parseLine(tt.reply)
		if !ok {
			t.Fatalf("%q is no reply", tt.reply)
		}
		status, text := cutStatus(text)
		res := classify(&fault{stage: tt.stage, reply: reply{code, status, text}}, "hop:25")
		if got := res.Outcome.String() + " " + res.Pause.String(); got != tt.want || !strings.Contains(res.Remedy, tt.says) {
			t.Errorf("%s: %s: got %q (%s), want %q saying %q", tt.stage, tt.reply, got, res.Remedy, tt.want, tt.says)
		}
		if mine, inDoubt := own(res); inDoubt != (res.Pause != queue.NoPause && transaction(tt.stage)) ||
			inDoubt && (mine.Text != text || mine.Remedy != "" || mine.Pause != queue.NoPause || (mine.Outcome == queue.Failed) != (code/100 == 5 && code != 503)) {
			t.Errorf("%s: %s: its own would be %+v", tt.stage, tt.reply, mine)
		}
		if res.Code != code || res.Status != status || res.Stage != tt.stage || res.Remote != "hop:25" {
			t.Errorf("%s: %s: got %+v", tt.stage, tt.reply, res)
		}
	}
}

// A stranger's text becomes one bounded line.
func TestTextIsBoundedAndClean(t *testing.T) {
	for _, text := range []string{strings.Repeat("ä\r\n\x00\x1b[31m\u0085\u2028", 1000), "\xff\xfe", "a\nb"} {
		for _, code := range []int{550, 535} {
			got := classify(&fault{stage: "auth", reply: reply{code: code, text: text}}, "").Text
			if len(got) > maxText || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\x1b\u0085\u2028") {
				t.Errorf("got %q", got)
			}
		}
	}
}

// Enhanced status codes are taken off the text only where they are some.
func TestCutStatus(t *testing.T) {
	for text, want := range map[string]string{
		"5.1.1 no": "5.1.1", "2.0.0": "2.0.0", "4.7.28 x": "4.7.28", "5.1 no": "", "3.1.1 no": "", "5.1.1.1 no": "",
		"5.a.1 no": "", "5..1 x": "", "": "", "hello": "", "5.1234.1 x": "", "127.0.0.1 is bad": "",
	} {
		if got, _ := cutStatus(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
