package rig

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a load submits arrives once each, whether connections are kept or not.
func TestLoadArrives(t *testing.T) {
	sink := open(t, SinkConfig{})
	for _, l := range []Load{
		{Prefix: "kept", Connections: 5, Messages: 100, Reuse: true, Size: 4096},
		{Prefix: "fresh", Connections: 5, Messages: 50, Size: 4096},
	} {
		sink.Reset()
		l.Addr = sink.Addr()
		done := l.Run()
		if done.Err != nil {
			t.Fatal(done.Err)
		}
		if len(done.Accepted) != l.Messages || sink.Distinct() != l.Messages || sink.Total() != l.Messages {
			t.Errorf("%s: accepted %d, distinct %d, total %d, want %d of each", l.Prefix, len(done.Accepted), sink.Distinct(),
				sink.Total(), l.Messages)
		}
	}
}

// A repeated id is counted, not hidden.
func TestSinkCountsRepeats(t *testing.T) {
	sink := open(t, SinkConfig{})
	c := dial(t, sink)
	for range 2 {
		if _, err := c.Send("a@example.org", []string{"b@example.net"}, Mail("again", 500), Transfer{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := sink.Arrivals()["again"].Count; n != 2 {
		t.Errorf("counted %d, want 2", n)
	}
}

// A sink that keeps mail has it byte for byte, dots and lines longer than any buffer included.
func TestSinkKeepsBytes(t *testing.T) {
	sink := open(t, SinkConfig{Keep: true})
	c := dial(t, sink)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for name, body := range map[string]string{
		"dots":  ".\r\n..\r\n.a\r\n\r\n.\r\n",
		"long":  strings.Repeat("x", 200_000) + "\r\n." + strings.Repeat("y", 70_000) + "\r\n",
		"empty": "",
	} {
		want := []byte("Subject: " + name + "\r\n\r\n" + body)
		if _, err := c.Send("a@example.org", []string{"b@example.net", "c@example.net"}, want, Transfer{}); err != nil {
			t.Fatal(err)
		}
		got, err := sink.Wait(ctx, "Subject: "+name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Data, want) {
			t.Errorf("%s: %d bytes came of %d", name, len(got.Data), len(want))
		}
		if len(got.To) != 2 || got.From != "<a@example.org>" {
			t.Errorf("%s: envelope %q → %q", name, got.From, got.To)
		}
	}
}

func open(t *testing.T, cfg SinkConfig) *Sink {
	t.Helper()
	sink, err := NewSink("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

func dial(t *testing.T, sink *Sink) *Client {
	t.Helper()
	c, err := Dial(sink.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Quit() })
	return c
}

// A sink with TLS takes mail from those alone who speak TLS and have logged in, and counts every
// recipient.
func TestSinkAsksForLogin(t *testing.T) {
	certs, err := NewCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err1 := certs.ServerTLS()
	client, err2 := certs.ClientTLS()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	sink := open(t, SinkConfig{TLS: server, Login: [2]string{"ada", "secret"}})
	c := dial(t, sink)
	if _, err := c.Command(5, "MAIL FROM:<a@example.org>"); err != nil {
		t.Error(err)
	}
	if err := c.StartTLS(client); err != nil {
		t.Fatal(err)
	}
	if c.AuthPlain("ada", "wrong") == nil {
		t.Error("a wrong password was taken")
	}
	if err := c.AuthPlain("ada", "secret"); err != nil {
		t.Fatal(err)
	}
	to := []string{"b@example.net", "c@example.net"}
	if _, err := c.Send("a@example.org", to, Mail("secured", 500), Transfer{}); err != nil {
		t.Fatal(err)
	}
	if sink.Total() != 1 || sink.Recipients() != 2 {
		t.Errorf("%d messages for %d recipients", sink.Total(), sink.Recipients())
	}
}
