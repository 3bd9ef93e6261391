package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

func count(commands []string, word string) int {
	n := 0
	for _, c := range commands {
		if strings.HasPrefix(c, word) {
			n++
		}
	}
	return n
}

// One connection carries many messages, without RSET after those that were taken, until it has had
// its number.
func TestConnectionIsReused(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	r := start(t, to(hop, Config{PerConnection: 4}))
	for range 10 {
		check(t, one(t, r), queue.Delivered, queue.NoPause)
	}
	if got := hop.Connections(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
	if got := count(hop.Commands(), "RSET"); got != 0 {
		t.Errorf("%d RSET, want none", got)
	}
	r.Close()
	if got := count(hop.Commands(), "QUIT"); got != 3 {
		t.Errorf("%d QUIT, want 3", got)
	}
}

// A transaction that did not end in 250 is reset before the next one on its connection.
func TestResetAfterRefusal(t *testing.T) {
	for _, ext := range [][]string{{"PIPELINING"}, {}} {
		for _, stage := range []smtptest.Stage{smtptest.Mail, smtptest.Rcpt, smtptest.Data, smtptest.Body} {
			hop := smtptest.New(t, smtptest.Config{Extensions: ext})
			hop.Script(smtptest.Rule{Stage: stage, Times: 1, Answer: smtptest.Reply("550 5.0.0 no")})
			r := start(t, to(hop, Config{}))
			check(t, one(t, r), queue.Failed, queue.NoPause)
			check(t, one(t, r), queue.Delivered, queue.NoPause)
			check(t, one(t, r), queue.Delivered, queue.NoPause)
			if hop.Connections() != 1 || count(hop.Commands(), "RSET") != 1 {
				t.Errorf("%s: %d connections, commands %q", stage, hop.Connections(), hop.Commands())
			}
		}
	}
}

// When one idle connection turns out dead, so may all others be: the message goes over a fresh one.
func TestFreshConnectionNeverIdled(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	r := start(t, to(hop, Config{}))
	hop.Script(smtptest.Rule{Stage: smtptest.Body, Answer: smtptest.Answer{}.After(50 * time.Millisecond)})
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { check(t, one(t, r), queue.Delivered, queue.NoPause) })
	}
	both.Wait()
	hop.DropConnections()
	hop.WaitClosed(10 * time.Second)
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if hop.Connections() != 3 {
		t.Errorf("%d connections, want 3", hop.Connections())
	}
}

// A next hop that does not know how to reset is left, and the message goes over another connection.
func TestResetRefused(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(
		smtptest.Rule{Stage: smtptest.Mail, Times: 1, Answer: smtptest.Reply("550 5.0.0 no")},
		smtptest.Rule{Stage: smtptest.Rset, Answer: smtptest.Reply("502 5.5.1 no")},
	)
	r := start(t, to(hop, Config{}))
	check(t, one(t, r), queue.Failed, queue.NoPause)
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if hop.Connections() != 2 {
		t.Errorf("%d connections, want 2", hop.Connections())
	}
}

// A connection that died while it idled costs no attempt, whichever way it died.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(hop *smtptest.Server){
		"closed":    func(hop *smtptest.Server) { hop.DropConnections() },
		"restarted": func(hop *smtptest.Server) { hop.Stop(); hop.Start() },
		"421": func(hop *smtptest.Server) {
			hop.Script(smtptest.Rule{Stage: smtptest.Mail, Conn: 1, Answer: smtptest.Reply("421 idle")})
		},
		"silent": func(hop *smtptest.Server) {
			hop.Script(smtptest.Rule{Stage: smtptest.Mail, Conn: 1, Answer: smtptest.Silence()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			hop := smtptest.New(t, smtptest.Config{})
			var cfg Config
			if name == "silent" {
				cfg = hasty
			}
			r := start(t, to(hop, cfg))
			check(t, one(t, r), queue.Delivered, queue.NoPause)
			kill(hop)
			check(t, one(t, r), queue.Delivered, queue.NoPause)
			if hop.Connections() != 2 || hop.Count() != 2 {
				t.Errorf("%d connections, %d messages; want 2 and 2", hop.Connections(), hop.Count())
			}
		})
	}
}

// Once something of the message was answered, a broken connection is an answer: it is not tried
// twice.
func TestBrokenConnectionIsNotTriedTwice(t *testing.T) {
	for _, stage := range []smtptest.Stage{smtptest.Rcpt, smtptest.Data, smtptest.Body} {
		hop := smtptest.New(t, smtptest.Config{Extensions: []string{}})
		r := start(t, to(hop, Config{}))
		check(t, one(t, r), queue.Delivered, queue.NoPause)
		hop.Script(smtptest.Rule{Stage: stage, Answer: smtptest.Disconnect()})
		check(t, one(t, r), queue.Deferred, queue.NoPause)
		if hop.Connections() != 1 {
			t.Errorf("%s: %d connections, want 1", stage, hop.Connections())
		}
	}
}

// Connections that idle are closed with QUIT.
func TestIdleConnectionsClose(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	r := start(t, to(hop, Config{IdleTimeout: 20 * time.Millisecond}))
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	hop.WaitClosed(10 * time.Second)
	if !slices.Contains(hop.Commands(), "QUIT") {
		t.Errorf("no QUIT in %q", hop.Commands())
	}
	check(t, one(t, r), queue.Delivered, queue.NoPause)
}

// However many deliver at once, connections stay within their number, and all mail arrives.
func TestConnectionsAreBounded(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	r := start(t, to(hop, Config{Connections: 3, PerConnection: 1000}))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if res := one(t, r); res.Outcome != queue.Delivered {
					t.Errorf("got %+v", res)
				}
			}
		})
	}
	all.Wait()
	if hop.Connections() > 3 || hop.Count() != 200 {
		t.Errorf("%d connections, %d messages; want at most 3, and 200", hop.Connections(), hop.Count())
	}
}

// New settings count from the next attempt on, and the connections of the old ones are closed.
func TestUse(t *testing.T) {
	old, new := smtptest.New(t, smtptest.Config{}), smtptest.New(t, smtptest.Config{})
	r := start(t, to(old, Config{}))
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	r.Use(to(new, Config{}))
	if !slices.Contains(old.Commands(), "QUIT") {
		t.Errorf("the old connection was not closed: %q", old.Commands())
	}
	check(t, one(t, r), queue.Delivered, queue.NoPause)
	if old.Count() != 1 || new.Count() != 1 {
		t.Errorf("%d and %d messages, want 1 and 1", old.Count(), new.Count())
	}
}

// When its context ends, an attempt ends soon, is deferred, and says nothing of the lane.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	stopping := errors.New("stopping")
	for _, stage := range []smtptest.Stage{smtptest.Greeting, smtptest.Ehlo, smtptest.Mail, smtptest.Rcpt, smtptest.Data, smtptest.Body} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			hop := smtptest.New(t, smtptest.Config{Extensions: []string{}})
			hop.Script(smtptest.Rule{Stage: stage, Answer: smtptest.Silence()})
			r := start(t, to(hop, Config{}))
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(100*time.Millisecond, func() { cancel(stopping) })
			began := time.Now()
			res := r.Deliver(ctx, mail(t, letter, "bob@example.net"))[0]
			check(t, res, queue.Deferred, queue.NoPause)
			if took := time.Since(began); took > 5*time.Second || res.Text != "given up: stopping" {
				t.Errorf("after %v: %+v", took, res)
			}
		})
	}
}

// An attempt that waits for a connection ends with its context too.
func TestContextEndsInLine(t *testing.T) {
	hop := smtptest.New(t, smtptest.Config{})
	hop.Script(smtptest.Rule{Stage: smtptest.Greeting, Answer: smtptest.Silence()})
	r := start(t, to(hop, Config{Connections: 1}))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { check(t, r.Deliver(ctx, mail(t, letter, "bob@example.net"))[0], queue.Deferred, queue.NoPause) })
	}
	both.Wait()
}
