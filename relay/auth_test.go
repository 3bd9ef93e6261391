package relay

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// PLAIN comes first, LOGIN second, and CRAM-MD5 only where neither is offered.
func TestMechanisms(t *testing.T) {
	long := strings.Repeat("p", 600)
	for _, tt := range []struct {
		offered  []string
		password string
		want     string
	}{
		{[]string{"CRAM-MD5", "LOGIN", "PLAIN"}, "secret", "AUTH PLAIN"},
		{[]string{"CRAM-MD5", "LOGIN", "XOAUTH2"}, "secret", "AUTH LOGIN"},
		{[]string{"CRAM-MD5"}, "secret", "AUTH CRAM-MD5"},
		{[]string{"PLAIN"}, long, "AUTH PLAIN"},
		{[]string{"PLAIN"}, "päss wörd$#\"'", "AUTH PLAIN"},
	} {
		hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": tt.password}, Mechanisms: tt.offered})
		check(t, one(t, start(t, to(hop, Config{Username: "ada", Password: tt.password}))), queue.Delivered, queue.NoPause)
		if !slices.Contains(hop.Commands(), tt.want) || hop.Messages()[0].User != "ada" {
			t.Errorf("got %q, want %q", hop.Commands(), tt.want)
		}
		check(t, one(t, start(t, to(hop, Config{Username: "ada", Password: "wrong"}))), queue.Deferred, queue.PauseCredentials)
	}
}

// Without a user name there is no AUTH; and the 530 that follows holds the lane, as it says nothing of the message.
func TestNoUserName(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}})
	res := one(t, start(t, to(hop, Config{})))
	check(t, res, queue.Deferred, queue.PauseCredentials)
	if !strings.Contains(res.Text, "SMTP_RELAY_USERNAME") || res.Code != 530 {
		t.Errorf("got %+v", res)
	}
}

// A next hop that offers no AUTH, or none that we know, holds the lane and is explained.
func TestNoAuthOffered(t *testing.T) {
	for _, hop := range []*smtptest.Server{
		smtptest.New(t, smtptest.Config{}),
		smtptest.New(t, smtptest.Config{NoEhlo: true}),
		smtptest.New(t, smtptest.Config{Users: map[string]string{"a": "b"}, Mechanisms: []string{"XOAUTH2"}}),
	} {
		res := one(t, start(t, to(hop, Config{Username: "ada", Password: "secret"})))
		check(t, res, queue.Deferred, queue.PauseCredentials)
		if res.Stage != "auth" || !strings.Contains(res.Text, "the next hop offers no") {
			t.Errorf("got %+v", res)
		}
	}
}

// A next hop that quotes our password does not get it into the log or a bounce.
func TestPasswordStaysSecret(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("\x00ada\x00secret"))
	for _, answer := range []smtptest.Answer{
		smtptest.Reply("535 5.7.8 secret is wrong, as is " + encoded),
		smtptest.Raw("secret " + encoded + "\r\n"),
	} {
		hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}})
		hop.Script(smtptest.Rule{Stage: smtptest.Auth, Answer: answer})
		res := one(t, start(t, to(hop, Config{Username: "ada", Password: "secret"})))
		if strings.Contains(res.Text, "secret") || strings.Contains(res.Text, encoded) {
			t.Errorf("got %q", res.Text)
		}
	}
}

// Questions without end, and those that are no base64, end the login and not the program.
func TestOddChallenges(t *testing.T) {
	for _, question := range []string{"334 ***", "334 VXNlcm5hbWU6", "334"} {
		for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
			hop := smtptest.New(t, smtptest.Config{
				Users: map[string]string{"ada": "secret"}, Mechanisms: []string{mech}, Lenient: true,
			})
			hop.Script(smtptest.Rule{Stage: smtptest.Auth, Answer: smtptest.Raw(strings.Repeat(question+"\r\n", 9))})
			check(t, one(t, start(t, to(hop, Config{Username: "ada", Password: "secret"}))), queue.Deferred, queue.PauseUnreachable)
		}
	}
}
