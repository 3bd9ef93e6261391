package relay

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// idled makes all connections that idle have done so for a while.
func (r *Relay) idled(d time.Duration) {
	p := r.current()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.since = c.since.Add(-d)
	}
}

// What a connection that was used before says of itself is not the answer to the mail: that goes
// out over a fresh one in the same attempt. On a fresh connection the same words are what they are,
// and no third one is opened.
func TestSpentConnection(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"421 4.4.2 idle for too long", "421 closing", "451 4.4.2 Timeout - closing connection", "451 4.7.0 Timeout waiting for client input",
		"452 4.3.2 too many messages in this session", "451 too many messages in this connection", "550 5.7.1 Too many messages in session",
		"554 message limit per connection reached", "450 4.7.1 maximum number of messages per session exceeded", "452 Too many messages sent",
		"421 Max message per connection reached, closing transmission channel", "550 session expired, please reconnect",
		"452 4.5.3 too many recipients in this session", "221 bye",
	} {
		for _, ext := range [][]string{{"PIPELINING"}, {}} {
			for _, stage := range []smtptest.Stage{smtptest.Mail, smtptest.Rcpt, smtptest.Data, smtptest.Body} {
				if stage == smtptest.Body && !sessionOver(strings.ToLower(text)) || strings.HasPrefix(text, "221") && stage != smtptest.Mail ||
					strings.Contains(text, "recipients") && stage == smtptest.Data { // halves are tried
					continue
				}
				name := fmt.Sprintf("%s at %s, %v", text, stage, ext)
				hop := smtptest.New(t, smtptest.Config{Extensions: ext, Lenient: true})
				hop.Script(smtptest.Rule{Stage: stage, Conn: 1, Nth: 2, Answer: smtptest.Reply(text).ThenDisconnect()})
				if strings.HasPrefix(text, "421") && stage == smtptest.Body {
					continue // it may have taken the message
				}
				r := start(t, to(hop, Config{}))
				d, said := mail(t, letter, "bob@example.net", "carol@example.net"), ""
				d.Dialogue = func(lines string) { said = lines }
				check(t, one(t, r), queue.Delivered, queue.NoPause)
				if got := outcomes(deliver(t, r, d)); got != "delivered delivered" || hop.Count() != 2 || hop.Connections() != 2 || said != "" {
					t.Errorf("%s: got %s, %d messages over %d connections, and heard %q", name, got, hop.Count(), hop.Connections(), said)
				}
				if got := hop.Messages()[1].To; !slices.Equal(got, []string{"bob@example.net", "carol@example.net"}) {
					t.Errorf("%s: got %q", name, got)
				}
				if strings.HasPrefix(text, "221") {
					continue // nowhere else is it a reply
				}
				hop.Script(smtptest.Rule{Stage: stage, Answer: smtptest.Reply(text).ThenDisconnect()})
				res := one(t, r)
				if res.Outcome == queue.Delivered || res.Stage != string(stage) || hop.Count() != 2 || hop.Connections() != 3 {
					t.Errorf("%s: on all connections: got %+v, %d messages over %d connections", name, res, hop.Count(), hop.Connections())
				}
			}
		}
	}
}

// A recipient that was refused before the connection ended keeps its answer, and is not asked for
// again.
func TestSpentConnectionKeepsAnswers(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	r := start(t, to(hop, Config{}))
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	hop.Script(
		smtptest.Rule{Stage: smtptest.Rcpt, Address: "gone@example.net", Times: 1, Answer: smtptest.Reply("550 5.1.1 no such user")},
		smtptest.Rule{Stage: smtptest.Rcpt, Conn: 1, Address: "carol@example.net", Answer: smtptest.Reply("421 4.4.2 timeout")},
	)
	results := deliver(t, r, mail(t, letter, "bob@example.net", "gone@example.net", "carol@example.net"))
	if got := outcomes(results); got != "delivered failed delivered" || hop.Count() != 2 {
		t.Errorf("got %s: %+v", got, results)
	}
}

// A next hop that takes so many messages per connection is soon asked for no more, and more again
// after a while.
func TestMessagesPerConnectionAreLearned(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Mail, Nth: 4, Answer: smtptest.Reply("452 4.3.2 too many messages in this session")})
	r := start(t, to(hop, Config{}))
	for range 12 {
		check(t, one(t, r), queue.Delivered, queue.NoPause)
	}
	if got := count(hop.Commands(), "MAIL"); got != 13 || hop.Connections() != 4 {
		t.Errorf("%d MAIL over %d connections, want 13 over 4", got, hop.Connections())
	}
	r.Use(to(hop, Config{})) // the same one
	r.pool.messages.since = r.pool.messages.since.Add(-2 * relearn)
	if got := r.pool.perConnection(time.Now()); got != 12 {
		t.Errorf("after two hours %d messages per connection, want 12", got)
	}
}

// A mail of many transactions goes on over another connection once one has carried what the next
// hop takes.
func TestManyTransactionsOverManyConnections(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Mail, Nth: 3, Answer: smtptest.Reply("451 4.3.2 too many messages per connection")})
	r := start(t, to(hop, Config{Recipients: 1}))
	results := deliver(t, r, mail(t, letter, "a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net", "f@example.net"))
	if got := outcomes(results); strings.Count(got, "delivered") != 6 || hop.Count() != 6 || hop.Connections() != 3 {
		t.Errorf("got %s, %d messages over %d connections", got, hop.Count(), hop.Connections())
	}
}

// A next hop that parts from connections which idle teaches how long they may, down to a second.
func TestIdleTimeIsLearned(t *testing.T) {
	for _, answer := range []smtptest.Answer{smtptest.Reply("421 4.4.2 idle"), smtptest.Reply("451 4.4.2 timeout"), smtptest.Disconnect()} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(smtptest.Rule{Stage: smtptest.Mail, Conn: 1, Nth: 2, Answer: answer})
		r := start(t, to(hop, Config{}))
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		r.idled(20 * time.Second)
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		r.idled(12 * time.Second)
		check(t, one(t, r), queue.Delivered, queue.NoPause) // over a fresh one
		r.idled(8 * time.Second)
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		if hop.Connections() != 3 || count(hop.Commands(), "MAIL") != 5 {
			t.Errorf("%d connections, commands %q", hop.Connections(), hop.Commands())
		}
	}
}

// A connection that idled and answers no more, as after a firewall forgot it, is given up long
// before the timeout of a command; a fresh one is waited for.
func TestForgottenConnection(t *testing.T) {
	t.Parallel()
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Mail, Conn: 1, Nth: 2, Answer: smtptest.Silence()},
		smtptest.Rule{Stage: smtptest.Mail, Conn: 2, Answer: smtptest.Answer{}.After(200 * time.Millisecond)})
	r := start(t, to(hop, Config{GreetingDelay: 10 * time.Millisecond}))
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	r.idled(10 * time.Second)
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if hop.Connections() != 2 || r.pool.idleTimeout(time.Now()) > 6*time.Second {
		t.Errorf("%d connections; %v idle", hop.Connections(), r.pool.idleTimeout(time.Now()))
	}
}

// A limit that was learnedLimit comes back by doubling, and never above the setting.
func TestLowered(t *testing.T) {
	began := time.Now()
	var l learnedLimit
	if got := l.now(30, began); got != 30 {
		t.Errorf("got %d", got)
	}
	l = learnedLimit{limit: 4, since: began}
	for after, want := range map[time.Duration]int64{0: 4, relearn - 1: 4, relearn: 8, 2 * relearn: 16, 3 * relearn: 30, 9999 * relearn: 30} {
		if got := l.now(30, began.Add(after)); got != want {
			t.Errorf("after %v: got %d, want %d", after, got, want)
		}
	}
}

func crowd(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("r%d@example.net", i))
	}
	return all
}

// A mail with more recipients than go in one transaction goes in several over one connection, each
// with the whole body.
func TestTransactionsAreBounded(t *testing.T) {
	t.Parallel()
	body := letter + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10_000)
	for recipients, want := range map[int]int{0: 3, 100: 2, 122: 1, 7: 18} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Address: "r70@example.net", Answer: smtptest.Reply("550 5.1.1 no")},
			smtptest.Rule{Stage: smtptest.Rcpt, Address: "r3@example.net", Answer: smtptest.Reply("450 4.2.0 grey")})
		results := deliver(t, start(t, to(hop, Config{Recipients: recipients})), mail(t, body, crowd(122)...))
		for i, res := range results {
			outcome := queue.Delivered
			switch i {
			case 3:
				outcome = queue.Deferred
			case 70:
				outcome = queue.Failed
			}
			if res.Outcome != outcome || res.Stage == "" {
				t.Errorf("%d: got %+v", i, res)
			}
		}
		seen := map[string]int{}
		for _, m := range hop.Messages() {
			if string(m.Data) != body {
				t.Errorf("got %d bytes, want %d", len(m.Data), len(body))
			}
			for _, to := range m.To {
				seen[to]++
			}
		}
		if len(seen) != 120 || hop.Connections() != 1 || hop.Count() != want {
			t.Errorf("%d recipients, %d messages over %d connections, want %d messages", len(seen), hop.Count(), hop.Connections(), want)
		}
		for to, n := range seen {
			if n != 1 {
				t.Errorf("%s got %d", to, n)
			}
		}
	}
}

// takesAtMost lets the next hop refuse as one that takes at most n recipients in a transaction.
func takesAtMost(n, all int, stage smtptest.Stage, text string) (rules []smtptest.Rule) {
	if stage != smtptest.Rcpt {
		return []smtptest.Rule{{Stage: stage, Nth: 1, Answer: smtptest.Reply(text)}}
	}
	for i := n + 1; i <= all; i++ {
		rules = append(rules, smtptest.Rule{Stage: stage, Nth: i, Answer: smtptest.Reply(text)})
	}
	return rules
}

// That a mail has too many recipients never fails it: at RCPT the others follow in the next
// transaction, and when it is said of the whole message, its halves are tried. Nobody gets it
// twice.
func TestTooManyRecipientsSplit(t *testing.T) {
	for _, text := range []string{
		"554 Transaction failed: Recipient count exceeds 50.", "550 5.5.3 Too many recipients", "452 4.5.3 Error: too many recipients",
		"552 5.5.3 limit", "550 maximum number of recipients exceeded", "554 5.7.1 recipient limit exceeded", "501 too many recipients",
	} {
		for _, stage := range []smtptest.Stage{smtptest.Rcpt, smtptest.Data, smtptest.Body} {
			for _, ext := range [][]string{{"PIPELINING"}, {}} {
				hop := smtptest.New(t, smtptest.Config{Extensions: ext, Lenient: true})
				hop.Script(takesAtMost(25, 60, stage, text)...)
				r := start(t, to(hop, Config{Recipients: 60}))
				results := deliver(t, r, mail(t, letter, crowd(60)...))
				if got := strings.Count(outcomes(results), "delivered"); got != 60 {
					t.Fatalf("%s at %s: %d delivered: %+v", text, stage, got, results)
				}
				seen := map[string]int{}
				for _, m := range hop.Messages() {
					for _, to := range m.To {
						if seen[to]++; seen[to] > 1 {
							t.Errorf("%s at %s: %s got it twice", text, stage, to)
						}
					}
				}
				if len(seen) != 60 || hop.Connections() != 1 {
					t.Errorf("%s at %s: %d recipients over %d connections", text, stage, len(seen), hop.Connections())
				}
				if want := map[bool]int{true: 25, false: 30}[stage == smtptest.Rcpt]; r.pool.perTransaction() != want {
					t.Errorf("%s at %s: learned %d, want %d", text, stage, r.pool.perTransaction(), want)
				}
			}
		}
	}
}

// A next hop that takes one recipient at a time, and says so after the message, gets each message
// halved to the end, and a second mail no message too many.
func TestHalving(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{Lenient: true})
	var rules []smtptest.Rule
	for n := range 3 { // 8, 4, 2
		rules = append(rules, smtptest.Rule{Stage: smtptest.Body, Conn: 1, Nth: n + 1, Answer: smtptest.Reply("550 5.5.3 too many recipients")})
	}
	hop.Script(rules...)
	r := start(t, to(hop, Config{}))
	d := mail(t, letter, crowd(8)...)
	var read atomic.Int64
	d.Body, d.Size = &endless{n: 1_000_000, read: &read}, 1_000_000
	if got := strings.Count(outcomes(deliver(t, r, d)), "delivered"); got != 8 || hop.Count() != 8 {
		t.Errorf("%d delivered in %d messages, want 8 and 8", got, hop.Count())
	}
	if got := read.Load(); got != 11_000_000 {
		t.Errorf("%d bytes of the body were read, want 11 times 1 MB", got)
	}
	if got := strings.Count(outcomes(deliver(t, r, mail(t, letter, "a@example.net", "b@example.net"))), "delivered"); got != 2 || hop.Count() != 10 {
		t.Errorf("%d delivered, %d messages", got, hop.Count())
	}
}

// A next hop that hangs up on too many recipients, at once or after it refused some, gets fewer
// over a fresh connection.
func TestHangsUpOnTooMany(t *testing.T) {
	refused := smtptest.Rule{Stage: smtptest.Rcpt, Nth: 6, Conn: 1, Answer: smtptest.Reply("452 4.5.3 too many recipients")}
	for name, rules := range map[string][]smtptest.Rule{
		"says so":         {{Stage: smtptest.Rcpt, Nth: 6, Conn: 1, Answer: smtptest.Reply("421 4.5.3 too many recipients")}},
		"loses patience":  {refused, {Stage: smtptest.Rcpt, Nth: 7, Conn: 1, Answer: smtptest.Reply("421 4.7.0 too many errors")}},
		"without a word":  {refused, {Stage: smtptest.Rcpt, Nth: 7, Conn: 1, Answer: smtptest.Disconnect()}},
		"at DATA":         {{Stage: smtptest.Data, Conn: 1, Answer: smtptest.Reply("421 4.5.3 too many recipients")}},
		"says so on both": {{Stage: smtptest.Rcpt, Nth: 6, Times: 2, Answer: smtptest.Reply("421 4.5.3 too many recipients")}},
	} {
		hop := smtptest.New(t, smtptest.Config{Lenient: true})
		hop.Script(rules...)
		results := deliver(t, start(t, to(hop, Config{})), mail(t, letter, crowd(9)...))
		if name == "says so on both" { // a fresh connection is made once
			if hop.Connections() != 2 || strings.Count(outcomes(results), "delivered") != 5 {
				t.Errorf("%s: got %s over %d connections", name, outcomes(results), hop.Connections())
			}
			continue
		}
		if got := strings.Count(outcomes(results), "delivered"); got != 9 || hop.Count() != 2 {
			t.Errorf("%s: %d delivered in %d messages, want 9 in 2: %+v", name, got, hop.Count(), results)
		}
	}
}

// What is said of a transaction counts for its own recipients, and for those of further ones only
// where it is about the message.
func TestRefusalsOfTransactions(t *testing.T) {
	for _, tt := range []struct {
		stage smtptest.Stage
		nth   int
		text  string
		want  string
		mails int // MAIL commands
	}{
		{smtptest.Mail, 1, "550 5.7.1 not you", "failed failed failed failed failed", 1},
		{smtptest.Mail, 2, "450 4.7.1 later", "delivered delivered deferred deferred deferred", 2},
		{smtptest.Body, 1, "451 4.3.0 later", "deferred deferred deferred deferred deferred", 1},
		{smtptest.Body, 2, "451 4.3.0 later", "delivered delivered deferred deferred deferred", 2},
		{smtptest.Body, 1, "554 5.7.1 inactive recipient", "failed failed delivered delivered delivered", 3},
		{smtptest.Data, 2, "554 5.7.1 no", "delivered delivered failed failed delivered", 3},
		{smtptest.Rcpt, 1, "550 5.1.1 no", "failed delivered delivered delivered delivered", 3},
		{smtptest.Body, 2, "421 4.3.2 closing", "delivered delivered deferred deferred deferred", 2},
	} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(smtptest.Rule{Stage: tt.stage, Nth: tt.nth, Answer: smtptest.Reply(tt.text)})
		results := deliver(t, start(t, to(hop, Config{Recipients: 2})), mail(t, letter, crowd(5)...))
		if got := outcomes(results); got != tt.want || count(hop.Commands(), "MAIL") != tt.mails {
			t.Errorf("%d %s at %s: got %s after %d MAIL: %+v", tt.nth, tt.text, tt.stage, got, count(hop.Commands(), "MAIL"), results)
		}
		for _, res := range results {
			if res.Stage == "" || res.Remote != hop.Addr() {
				t.Errorf("got %+v", res)
			}
		}
	}
}

// When the reply to one transaction is lost, those before it are delivered, its own may be, and
// those behind it are told apart.
func TestLostReplyInTheMidst(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]smtptest.Answer{"taken": smtptest.Taken(), "partial": smtptest.Raw("25").ThenDisconnect(),
		"garbage": smtptest.Garbage().ThenDisconnect(), "silence": smtptest.Silence()} {
		hop := smtptest.New(t, smtptest.Config{})
		hop.Script(smtptest.Rule{Stage: smtptest.Body, Nth: 2, Answer: answer})
		cfg := hasty
		cfg.Recipients = 2
		results := deliver(t, start(t, to(hop, cfg)), mail(t, letter, crowd(5)...))
		if got := outcomes(results); got != "delivered delivered deferred deferred deferred" || hop.Connections() != 1 {
			t.Errorf("%s: got %s over %d connections", name, got, hop.Connections())
		}
		if results[2].Stage != "body" || results[4].Stage != "mail" || strings.Contains(results[4].Text, "may have taken it") {
			t.Errorf("%s: got %+v", name, results)
		}
	}
}

// An unreadable or unfit body is so for all transactions.
func TestBadBodyOfManyTransactions(t *testing.T) {
	for text, want := range map[string]string{"a\nb\r\n": "failed failed failed", letter: "deferred deferred deferred"} {
		hop := smtptest.New(t, smtptest.Config{Lenient: true})
		d := mail(t, text, crowd(3)...)
		if text == letter {
			d.Body = sickBody{d.Body}
		}
		if got := outcomes(deliver(t, start(t, to(hop, Config{Recipients: 1})), d)); got != want || count(hop.Commands(), "MAIL") != 1 {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Words for a connection that has had its number are told from those for an account that has.
func TestHasHadNumber(t *testing.T) {
	for words, want := range map[string]bool{
		"too many messages in this session": true, "maximum messages per connection reached": true, "too many messages sent": true,
		"message limit for this connection exceeded, come back tomorrow": true, "too many messages today": false,
		"too many messages, per connection limit reached": true,
		"you have sent too many messages, rate limited":   false, "too many connections": false, "connection limit exceeded": false,
		"daily limit exceeded": false, "no such user": false, "": false,
	} {
		if got := hasHadNumber(words); got != want {
			t.Errorf("%q: got %v", words, got)
		}
	}
}

// Words for too many in one transaction are told from those for too many over time.
func TestTooMany(t *testing.T) {
	for text, want := range map[string]bool{
		"554 Transaction failed: Recipient count exceeds 50.": true, "550 5.5.3 no": true, "452 4.5.3 no": true, "450 Too many recipients": true,
		"452 Too many recipients received this hour": false, "450 4.7.1 Error: too many recipients from 192.0.2.1": false,
		"550 5.1.90 you've reached your daily limit for message recipients": false, "550 5.1.1 no such recipient": false,
		"452 4.3.1 out of space": false, "452": false, "452 4.5.3 too many messages in this session": false,
		"452 4.5.3 too many recipients in this session": true, "250 2.5.3 too many recipients": false,
	} {
		code, _, text, _ := parseLine(text)
		status, text := cutStatus(text)
		if got := tooMany(reply{code, status, text}); got != want {
			t.Errorf("%d %s %s: got %v", code, status, text, got)
		}
	}
}

// What was said on each connection of an attempt is told, and nothing when all is well in the end.
func TestDialogueOverSeveralConnections(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Rcpt, Address: "r0@example.net", Answer: smtptest.Reply("550 5.1.1 gone away")},
		smtptest.Rule{Stage: smtptest.Mail, Conn: 1, Nth: 2, Answer: smtptest.Reply("421 4.4.2 idle")},
		smtptest.Rule{Stage: smtptest.Body, Conn: 2, Answer: smtptest.Reply("451 4.3.0 disk full")})
	got := overheard(t, start(t, to(hop, Config{Recipients: 2})), mail(t, letter, crowd(4)...))
	for _, want := range []string{"S: 550 5.1.1 gone away\n", "S: 421 4.4.2 idle\n", "S: 451 4.3.0 disk full\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "-- connected to"); n != 2 {
		t.Errorf("%d connections in\n%s", n, got)
	}
}
