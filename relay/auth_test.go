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

// Without a user name there is no AUTH; and the 530 that follows stops the lane, as it says nothing
// of the message.
func TestNoUserName(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}})
	res := one(t, start(t, to(hop, Config{})))
	check(t, res, queue.Deferred, queue.PauseCredentials)
	if !strings.Contains(res.Remedy, "SMTP_RELAY_USERNAME") || res.Code != 530 {
		t.Errorf("got %+v", res)
	}
}

// A next hop that offers no AUTH, or none that we know, stops the lane and is explained.
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

// A mechanism that is offered and then not known is no refusal of the account: the next one is
// tried, and is the first one from then on. After a real refusal, and where the operator chose,
// none is.
func TestNextMechanism(t *testing.T) {
	all := []string{"PLAIN", "LOGIN", "CRAM-MD5"}
	for _, tt := range []struct {
		name    string
		answer  smtptest.Answer // to AUTH PLAIN
		offered []string
		chosen  []string
		want    string // the AUTH commands of two connections
		pause   queue.Pause
	}{
		{"502", smtptest.Reply("502 5.5.1 command not implemented"), all, nil, "PLAIN LOGIN LOGIN", queue.NoPause},
		{"504", smtptest.Reply("504 5.5.4 unrecognized authentication type"), all, nil, "PLAIN LOGIN LOGIN", queue.NoPause},
		{"500", smtptest.Reply("500 what"), []string{"PLAIN", "CRAM-MD5"}, nil, "PLAIN CRAM-MD5 CRAM-MD5", queue.NoPause},
		{"550 5.5.4", smtptest.Reply("550 5.5.4 not that one"), all, nil, "PLAIN LOGIN LOGIN", queue.NoPause},
		{"alone", smtptest.Reply("504 5.5.4 no"), []string{"PLAIN"}, nil, "PLAIN PLAIN", queue.PauseCredentials},
		{"535", smtptest.Reply("535 5.7.8 no"), all, nil, "PLAIN PLAIN", queue.PauseCredentials},
		{"535 5.5.4", smtptest.Reply("535 5.5.4 no"), all, nil, "PLAIN PLAIN", queue.PauseCredentials},
		{"534", smtptest.Reply("534 5.7.9 app password"), all, nil, "PLAIN PLAIN", queue.PauseCredentials},
		{"454", smtptest.Reply("454 4.7.0 later"), all, nil, "PLAIN PLAIN", queue.PauseCredentials},
		{"not chosen", smtptest.Reply("535 5.7.8 no"), all, []string{"LOGIN"}, "LOGIN LOGIN", queue.NoPause},
		{"order", smtptest.Reply("535 5.7.8 no"), all, []string{"CRAM-MD5", "PLAIN"}, "CRAM-MD5 CRAM-MD5", queue.NoPause},
		{"not offered", smtptest.Answer{}, []string{"PLAIN"}, []string{"CRAM-MD5"}, "", queue.PauseCredentials},
	} {
		hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}, Mechanisms: tt.offered})
		hop.Script(smtptest.Rule{Stage: smtptest.Auth, Address: "PLAIN", Answer: tt.answer})
		r := start(t, to(hop, Config{Username: "ada", Password: "secret", Mechanisms: tt.chosen, PerConnection: 1}))
		for range 2 {
			if res := one(t, r); res.Pause != tt.pause {
				t.Errorf("%s: got %+v", tt.name, res)
			}
		}
		var got []string
		for _, c := range hop.Commands() {
			if mech, ok := strings.CutPrefix(c, "AUTH "); ok {
				got = append(got, mech)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// LOGIN is done whatever its questions look like, and a next hop that asks twice for the name is
// not told the password.
func TestLoginPrompts(t *testing.T) {
	for _, prompts := range [][]string{
		{"Username:", "Password:"}, {"VXNlciBOYW1lAA==", "UGFzc3dvcmQA"}, {"", ""}, {"User", "Password"}, {"who?", "and?"}, {"***", "\xff"},
	} {
		for _, old := range []bool{false, true} {
			hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}, Mechanisms: []string{"LOGIN"},
				Prompts: prompts, OldAuth: old})
			check(t, one(t, start(t, to(hop, Config{Username: "ada", Password: "secret"}))), queue.Delivered, queue.NoPause)
			if hop.Messages()[0].User != "ada" {
				t.Errorf("%q: got %+v", prompts, hop.Messages()[0])
			}
		}
	}
	hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}, Mechanisms: []string{"LOGIN"},
		Prompts: []string{"Username:", "Username:"}})
	d, said := mail(t, letter, "bob@example.net"), ""
	d.Dialogue = func(lines string) { said = lines }
	check(t, deliver(t, start(t, to(hop, Config{Username: "ada", Password: "secret"})), d)[0], queue.Deferred, queue.PauseCredentials)
	if strings.Contains(said, "secret") || strings.Contains(said, "c2VjcmV0") || !strings.Contains(said, "C: [hidden]") {
		t.Errorf("got %s", said)
	}
}

// Servers from before the standard offer AUTH in their own form.
func TestOldFormOfAuth(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Users: map[string]string{"ada": "secret"}, OldAuth: true})
	check(t, one(t, start(t, to(hop, Config{Username: "ada", Password: "secret"}))), queue.Delivered, queue.NoPause)
}
