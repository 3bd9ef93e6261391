package relay

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// overheard delivers d and returns its dialogue, with PORT for ports; it fails the test unless
// there was exactly one.
func overheard(t *testing.T, r *Relay, d queue.Delivery) string {
	t.Helper()
	var all []string
	d.Dialogue = func(lines string) { all = append(all, lines) }
	deliver(t, r, d)
	if len(all) != 1 {
		t.Fatalf("%d transcripts, want 1: %q", len(all), all)
	}
	return regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(all[0], "127.0.0.1:PORT") + "\n"
}

// golden compares with testdata/NAME, and writes it with UPDATE=1.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", name, got, want)
	}
}

// What was not delivered comes with what was said, one conversation a file.
func TestDialogues(t *testing.T) {
	ca := smtptest.NewCA(t)
	account := smtptest.Config{TLS: ca.Server("127.0.0.1"), Users: map[string]string{"ada": "secret"}}
	for _, tt := range []struct {
		name   string
		hop    smtptest.Config
		cfg    Config
		script []smtptest.Rule
		to     []string
	}{
		{name: "later", script: []smtptest.Rule{{Stage: smtptest.Mail, Answer: smtptest.Reply("450 4.7.1 try again in\nfive minutes")}}},
		{name: "later-over-tls", hop: account,
			cfg:    Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool(), Username: "ada", Password: "secret"},
			script: []smtptest.Rule{{Stage: smtptest.Body, Answer: smtptest.Reply("451 4.3.0 my disk is full")}}},
		{name: "some", to: []string{"a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net", "bob@example.net"},
			script: []smtptest.Rule{{Stage: smtptest.Rcpt, Address: "bob@example.net", Answer: smtptest.Reply("550 5.1.1 who?")}}},
		{name: "all-refused", script: []smtptest.Rule{{Stage: smtptest.Rcpt, Answer: smtptest.Reply("550 5.1.1 who?")}}},
		{name: "go-ahead-for-nobody", script: []smtptest.Rule{{Stage: smtptest.Rcpt, Answer: smtptest.Reply("550 5.1.1 who?")},
			{Stage: smtptest.Data, Answer: smtptest.Reply("354 well then")}}},
		{name: "hung-up", script: []smtptest.Rule{{Stage: smtptest.Rcpt, Answer: smtptest.Disconnect()}}},
		{name: "hung-up-at-the-end", script: []smtptest.Rule{{Stage: smtptest.Body, Answer: smtptest.Disconnect()}}},
		{name: "silent", cfg: hasty, script: []smtptest.Rule{{Stage: smtptest.Data, Answer: smtptest.Silence()}}},
		{name: "greeting", script: []smtptest.Rule{{Stage: smtptest.Greeting, Answer: smtptest.Reply("554 5.7.1 not you")}}},
		{name: "ehlo", script: []smtptest.Rule{{Stage: smtptest.Ehlo, Answer: smtptest.Reply("450 4.3.2 not now")}}},
		{name: "no-smtp", script: []smtptest.Rule{{Stage: smtptest.Greeting, Answer: smtptest.Garbage()}}},
		{name: "no-starttls", cfg: Config{UseTLS: true}},
		{name: "wrong-certificate", hop: smtptest.Config{TLS: ca.Server("other.example.org")},
			cfg: Config{UseTLS: true, VerifyTLS: true, RootCAs: ca.Pool()}},
		{name: "login", hop: account, cfg: Config{UseTLS: true, Username: "ada", Password: "wrong"}},
		{name: "login-in-steps", hop: smtptest.Config{Users: account.Users, Mechanisms: []string{"LOGIN"}},
			cfg: Config{Username: "ada", Password: "wrong"}},
		{name: "next-mechanism", hop: smtptest.Config{Users: account.Users, Prompts: []string{"Username:", "Password for ada:"}},
			cfg:    Config{Username: "ada", Password: "wrong"},
			script: []smtptest.Rule{{Stage: smtptest.Auth, Address: "PLAIN", Answer: smtptest.Reply("504 5.5.4 not AGFkYQB3cm9uZw== please")}}},
		{name: "quoted-password", hop: account, cfg: Config{Username: "ada", Password: "secret"},
			script: []smtptest.Rule{{Stage: smtptest.Mail, Answer: smtptest.Reply("550 5.7.1 ada has the password secret, AGFkYQBzZWNyZXQ=")}}},
		{name: "controls", script: []smtptest.Rule{{Stage: smtptest.Mail,
			Answer: smtptest.Raw("550 5.7.1 \x1b[31mred\x07 \t\xff \u202etxt\u0085\u2028é\r\n")}}},
		{name: "not-for-us", to: []string{"jürgen@example.net"}, hop: smtptest.Config{Extensions: []string{"PIPELINING"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hop := smtptest.New(t, tt.hop)
			hop.Script(tt.script...)
			if tt.to == nil {
				tt.to = []string{"bob@example.net"}
			}
			golden(t, tt.name+".talk", overheard(t, start(t, to(hop, tt.cfg)), mail(t, letter, tt.to...)))
		})
	}
}

// A message that was not sent to its end says so.
func TestDialogueOfPartOfMessage(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Lenient: true})
	got := overheard(t, start(t, to(hop, Config{})), mail(t, "a\nb\r\n", "bob@example.net"))
	if !strings.HasSuffix(got, "S: 354 go ahead\nC: [a part of 5 bytes]\n-- "+errBareLine.Error()+"\n") {
		t.Errorf("got %s", got)
	}
}

// Of a next hop that nobody could reach there is one line that says which, and why.
func TestDialogueWithoutConnection(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Stop()
	got := overheard(t, start(t, to(hop, Config{})), mail(t, letter, "bob@example.net"))
	want := "-- connecting to 127.0.0.1:PORT\n-- dial tcp 127.0.0.1:PORT: connect: connection refused\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A kept connection says so, and tells nothing of the mail before.
func TestDialogueOnKeptConnection(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Mail, Nth: 2, Answer: smtptest.Reply("450 4.2.0 grey")})
	r := start(t, to(hop, Config{}))
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	golden(t, "kept.talk", overheard(t, r, mail(t, letter, "carol@example.net")))
}

// What was delivered has no dialogue, nor is there one when nobody was asked.
func TestNoDialogue(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	d := mail(t, letter, "bob@example.net")
	d.Dialogue = func(lines string) { t.Errorf("got %q", lines) }
	deliver(t, start(t, to(hop, Config{})), d)
	deliver(t, start(t, Config{}), d)
}

// A long conversation keeps its beginning and its end, within the limit.
func TestDialogueIsBounded(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Mail, Answer: smtptest.Reply("250 2.1.0 first")},
		smtptest.Rule{Stage: smtptest.Rcpt, Nth: 200, Answer: smtptest.Reply("250 2.1.5 yes")},
		smtptest.Rule{Stage: smtptest.Rcpt, Answer: smtptest.Reply("450 4.2.1 " + strings.Repeat("später ", 100))},
		smtptest.Rule{Stage: smtptest.Body, Answer: smtptest.Reply("451 4.3.0 the last word")})
	var everybody []string
	for i := range 200 {
		everybody = append(everybody, fmt.Sprintf("r%d@example.net", i))
	}
	got := overheard(t, start(t, to(hop, Config{})), mail(t, letter, everybody...))
	if len(got) > queue.MaxDialogue {
		t.Errorf("%d bytes", len(got))
	}
	for _, want := range []string{"S: 250 2.1.0 first\nC: RCPT TO:<r0@example.net>\nS: 450 4.2.1 später", "spä…\n",
		" lines are left out here\n", "C: RCPT TO:<r199@example.net>\nS: 250 2.1.5 yes\nC: DATA\n", "S: 451 4.3.0 the last word\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// A message that goes through costs no allocation for the sake of a dialogue that nobody asks for.
func TestDialogueCostsNothing(t *testing.T) {
	var d transcript
	letter := func() {
		d.begin()
		for _, stage := range []string{stageMail, stageRcpt, stageData, stageBody} {
			d.send(step{stage: stage}, "")
		}
		for _, stage := range []string{stageMail, stageRcpt, stageData, stageBody} {
			d.hear(stage, reply{code: 250, text: "ok"})
		}
	}
	letter()
	if n := testing.AllocsPerRun(100, letter); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for range manyExchanges + 1 {
		d.send(step{stage: stageRcpt}, "")
	}
	if d.begin(); cap(d.exchanges) != 0 {
		t.Errorf("room for %d exchanges is kept", cap(d.exchanges))
	}
}
