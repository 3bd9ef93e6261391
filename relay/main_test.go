package relay

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dinkymail/internal/smtptest"
	"dinkymail/message"
	"dinkymail/queue"
)

// TestMain lets more tests run at a time than there are processors: those that are parallel wait
// for silent next hops.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "16")
	goleak.VerifyTestMain(m)
}

const letter = "From: ada@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello, Bob.\r\n"

// hasty timeouts end a silence soon; only tests with a silence use them, as a busy machine may be
// slower than they are.
var hasty = Config{
	ConnectTimeout: 500 * time.Millisecond, GreetingTimeout: 500 * time.Millisecond, CommandTimeout: 500 * time.Millisecond,
	DataTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond, BodyTimeout: 500 * time.Millisecond,
}

func to(hop *smtptest.Server, cfg Config) Config {
	cfg.Host, cfg.Port = hop.Host(), hop.Port()
	if cfg.Hostname == "" {
		cfg.Hostname = "mail.example.org"
	}
	return cfg
}

func start(t testing.TB, cfg Config) *Relay {
	r := New(cfg, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { r.Close() })
	return r
}

func address(t testing.TB, s string) message.Address {
	t.Helper()
	a, err := message.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mail is a delivery of text from ada to these recipients.
func mail(t testing.TB, text string, to ...string) queue.Delivery {
	t.Helper()
	env := message.Envelope{From: address(t, "ada@example.org")}
	for _, s := range to {
		env.To = append(env.To, message.Recipient{Address: address(t, s)})
	}
	return queue.Delivery{ID: "0cagh3h68onkmkga", Envelope: env, Size: int64(len(text)), Body: bytes.NewReader([]byte(text))}
}

func deliver(t testing.TB, r *Relay, d queue.Delivery) []queue.Result {
	t.Helper()
	results := r.Deliver(context.Background(), d)
	if len(results) != len(d.Envelope.To) {
		t.Fatalf("%d results for %d recipients", len(results), len(d.Envelope.To))
	}
	return results
}

// one delivers a letter to bob and returns his result.
func one(t testing.TB, r *Relay) queue.Result {
	t.Helper()
	return deliver(t, r, mail(t, letter, "bob@example.net"))[0]
}

func check(t testing.TB, res queue.Result, outcome queue.Outcome, pause queue.Pause) {
	t.Helper()
	if res.Outcome != outcome || res.Pause != pause {
		t.Errorf("got %v pause=%q, want %v pause=%q: %+v", res.Outcome, res.Pause, outcome, pause, res)
	}
}
