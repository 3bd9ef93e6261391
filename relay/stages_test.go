package relay

import (
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// Whatever a next hop does at whatever stage, the recipient gets the right outcome and nothing is
// delivered that was not.
func TestEveryStageEveryMishap(t *testing.T) {
	t.Parallel()
	const (
		lane     = "deferred unreachable"
		login    = "deferred credentials"
		deferred = "deferred "
		failed   = "failed "
	)
	mishaps := []struct {
		name   string
		answer smtptest.Answer
	}{
		{"4xx", smtptest.Reply("451 4.3.0 not now")},
		{"5xx", smtptest.Reply("550 5.0.0 no")},
		{"421", smtptest.Reply("421 4.3.2 shutting down")},
		{"disconnect", smtptest.Disconnect()},
		{"silence", smtptest.Silence()},
		{"garbage", smtptest.Garbage()},
		{"garbled", smtptest.Raw("999 what\r\n")},
		{"endless", smtptest.Raw(strings.Repeat("450-more\r\n", 300))},
		{"two codes", smtptest.Raw("450-wait\r\n250 yes\r\n")},
		{"part of a line", smtptest.Raw("45").ThenDisconnect()},
		{"no without end", smtptest.Raw("550-no\r\n").ThenDisconnect()},
	}
	table := []struct {
		stage smtptest.Stage
		want  []string // by mishap; the last one counts for all that follow
	}{
		{smtptest.Greeting, []string{lane}},
		{smtptest.Ehlo, []string{lane}},
		{smtptest.StartTLS, []string{lane}},
		{smtptest.Handshake, []string{lane}},
		{smtptest.Auth, []string{login, login, lane}},
		{smtptest.Mail, []string{deferred, failed, lane, deferred}},
		{smtptest.Rcpt, []string{deferred, failed, deferred}},
		{smtptest.Data, []string{deferred, failed, deferred}},
		{smtptest.Body, []string{deferred, failed, deferred}},
	}
	ca := smtptest.NewCA(t)
	for _, pipelining := range []string{"PIPELINING", "XNOTHING"} {
		for _, row := range table {
			for i, mishap := range mishaps {
				want := row.want[min(i, len(row.want)-1)]
				t.Run(pipelining+"/"+string(row.stage)+"/"+mishap.name, func(t *testing.T) {
					t.Parallel()
					hop := smtptest.New(t, smtptest.Config{
						Extensions: []string{pipelining, "8BITMIME"},
						TLS:        ca.Server("127.0.0.1"),
						Users:      map[string]string{"ada": "secret"},
					})
					hop.Script(smtptest.Rule{Stage: row.stage, Answer: mishap.answer})
					var cfg Config
					if mishap.name == "silence" {
						cfg = hasty
					}
					cfg.UseTLS, cfg.VerifyTLS, cfg.RootCAs = true, true, ca.Pool()
					cfg.Username, cfg.Password = "ada", "secret"
					res := one(t, start(t, to(hop, cfg)))
					if got := res.Outcome.String() + " " + res.Pause.String(); got != want {
						t.Errorf("got %q, want %q: %+v", got, want, res)
					}
					stage := string(row.stage)
					if row.stage == smtptest.Handshake {
						stage = "starttls"
					}
					if res.Stage != stage || res.Text == "" || res.Remote != hop.Addr() {
						t.Errorf("stage, text or remote missing: %+v", res)
					}
					if hop.Count() != 0 {
						t.Errorf("a message arrived")
					}
				})
			}
		}
	}
}

// The same on a connection that was used before. Where nothing of the mail was said yet, or only
// that the connection ends, the mail goes out over a fresh one; in no case is it there twice, or
// said to be there when it is not.
func TestEveryMishapOnUsedConnection(t *testing.T) {
	t.Parallel()
	const again, deferred, failed = "delivered ", "deferred ", "failed "
	mishaps := []struct {
		name   string
		answer smtptest.Answer
		want   map[smtptest.Stage]string // deferred where it is missing
	}{
		{"4xx", smtptest.Reply("451 4.3.0 not now"), nil},
		{"5xx", smtptest.Reply("550 5.0.0 no"), map[smtptest.Stage]string{smtptest.Mail: failed, smtptest.Rcpt: failed,
			smtptest.Data: failed, smtptest.Body: failed}},
		{"421", smtptest.Reply("421 4.3.2 closing"), map[smtptest.Stage]string{smtptest.Mail: again, smtptest.Rcpt: again, smtptest.Data: again}},
		{"timeout", smtptest.Reply("451 4.4.2 timeout").ThenDisconnect(), map[smtptest.Stage]string{smtptest.Mail: again,
			smtptest.Rcpt: again, smtptest.Data: again}},
		{"session", smtptest.Reply("550 too many messages in this session"), map[smtptest.Stage]string{smtptest.Mail: again,
			smtptest.Rcpt: again, smtptest.Data: again, smtptest.Body: again}},
		{"disconnect", smtptest.Disconnect(), map[smtptest.Stage]string{smtptest.Mail: again}},
		{"silence", smtptest.Silence(), map[smtptest.Stage]string{smtptest.Mail: again}},
		{"part of a line", smtptest.Raw("45").ThenDisconnect(), nil},
		{"part of a 421", smtptest.Raw("421-4.4.2 time").ThenDisconnect(), map[smtptest.Stage]string{smtptest.Mail: again}},
		{"garbage", smtptest.Garbage(), nil},
		{"endless", smtptest.Raw(strings.Repeat("421-more\r\n", 300)), nil},
		{"taken", smtptest.Taken(), map[smtptest.Stage]string{smtptest.Mail: again}},
	}
	for _, pipelining := range []string{"PIPELINING", "XNOTHING"} {
		for _, stage := range []smtptest.Stage{smtptest.Mail, smtptest.Rcpt, smtptest.Data, smtptest.Body} {
			for _, mishap := range mishaps {
				t.Run(pipelining+"/"+string(stage)+"/"+mishap.name, func(t *testing.T) {
					t.Parallel()
					hop := smtptest.New(t, smtptest.Config{Extensions: []string{pipelining}})
					var cfg Config
					if mishap.name == "silence" {
						cfg = hasty
					}
					r := start(t, to(hop, cfg))
					check(t, one(t, r), queue.Delivered, queue.NoPause)
					hop.Script(smtptest.Rule{Stage: stage, Conn: 1, Answer: mishap.answer})
					res := one(t, r)
					want := mishap.want[stage]
					if want == "" {
						want = deferred
					}
					if got := res.Outcome.String() + " " + res.Pause.String(); got != want {
						t.Errorf("got %q, want %q: %+v", got, want, res)
					}
					arrived := 1
					if want == again || mishap.name == "taken" && stage == smtptest.Body {
						arrived = 2
					}
					if hop.Count() != arrived {
						t.Errorf("%d messages arrived, want %d", hop.Count(), arrived)
					}
				})
			}
		}
	}
}

// A reply whose line does not end is one as soon as its code is there: a yes to the message is not
// asked for again. Less than that is none.
func TestReplyWithoutLineEnd(t *testing.T) {
	for said, want := range map[string]queue.Outcome{"250": queue.Delivered, "250 2.0.0 o": queue.Delivered, "25": queue.Deferred,
		"250-ok\r\n": queue.Deferred, "250-ok\r\n25": queue.Deferred} {
		for _, used := range []bool{false, true} {
			hop := smtptest.New(t, smtptest.Config{})
			r := start(t, to(hop, Config{}))
			if used {
				check(t, one(t, r), queue.Delivered, queue.NoPause)
			}
			before := hop.Count()
			hop.Script(smtptest.Rule{Stage: smtptest.Body, Answer: smtptest.Raw(said).ThenDisconnect()})
			check(t, one(t, r), want, queue.NoPause)
			if got := hop.Count() - before; got != 1 {
				t.Errorf("%q: %d messages in one attempt", said, got)
			}
		}
	}
}

// A next hop that answers in the midst of the message is heard when it says no, and not when it
// says yes.
func TestAnswerBeforeTheEndOfTheMessage(t *testing.T) {
	t.Parallel()
	big := letter + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 400_000)
	for _, tt := range []struct {
		name   string
		answer smtptest.Answer
		wants  []queue.Outcome // which one depends on what the network still hands over
	}{
		{"no", smtptest.Reply("552 5.3.4 too large").ThenDisconnect(), []queue.Outcome{queue.Failed, queue.Deferred}},
		{"yes", smtptest.Reply("250 2.0.0 taken").ThenDisconnect(), []queue.Outcome{queue.Deferred}},
		{"disconnect", smtptest.Disconnect(), []queue.Outcome{queue.Deferred}},
		{"silence", smtptest.Silence(), []queue.Outcome{queue.Deferred}},
		{"garbage", smtptest.Garbage().ThenDisconnect(), []queue.Outcome{queue.Deferred}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hop := smtptest.New(t, smtptest.Config{})
			hop.Script(smtptest.Rule{Stage: smtptest.Content, Answer: tt.answer})
			res := deliver(t, start(t, to(hop, hasty)), mail(t, big, "bob@example.net"))[0]
			for _, want := range tt.wants {
				if res.Outcome == want {
					return
				}
			}
			t.Errorf("got %+v, want one of %v", res, tt.wants)
		})
	}
}

// A yes that comes with the 354 is no answer to a message that was not sent yet.
func TestYesBeforeTheMessage(t *testing.T) {
	for _, text := range []string{letter, strings.Repeat(letter, 1000)} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(smtptest.Rule{Stage: smtptest.Data, Answer: smtptest.Raw("354 go ahead\r\n250 2.0.0 taken\r\n").ThenDisconnect()})
		res := deliver(t, start(t, to(hop, Config{})), mail(t, text, "bob@example.net"))[0]
		check(t, res, queue.Deferred, queue.NoPause)
	}
}

// The documented window: a next hop that took the message and is gone before it says so gets it
// again, and the text tells.
func TestTakenWithoutAWord(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Body, Times: 1, Answer: smtptest.Taken()})
	r := start(t, to(hop, Config{}))
	res := one(t, r)
	check(t, res, queue.Deferred, queue.NoPause)
	if !strings.Contains(res.Text, "may have taken it") || res.Stage != "body" {
		t.Errorf("got %+v", res)
	}
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if hop.Count() != 2 {
		t.Errorf("%d messages, want 2", hop.Count())
	}
}

// Nobody listening concerns the lane.
func TestNobodyListens(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	r := start(t, to(hop, Config{}))
	hop.Stop()
	res := one(t, r)
	check(t, res, queue.Deferred, queue.PauseUnreachable)
	if res.Stage != "connect" || res.Remote != "" {
		t.Errorf("got %+v", res)
	}
	hop.Start()
	check(t, one(t, r), queue.Delivered, queue.NoPause)
}

// Without a host nothing is tried, and Ready says why, until Use brings one.
func TestNoUpstream(t *testing.T) {
	r := start(t, Config{})
	if r.Ready() == nil {
		t.Error("ready without a host")
	}
	check(t, one(t, r), queue.Deferred, queue.PauseUnreachable)
	hop := smtptest.New(t, smtptest.Config{})
	r.Use(to(hop, Config{}))
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	check(t, one(t, r), queue.Delivered, queue.NoPause)
}
