package smtp

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"dinkymail/message"
	"dinkymail/queue"
)

// sink reads every mail as the queue would, and keeps nothing.
type sink struct{}

func (sink) Submit(_ context.Context, s queue.Submission) (queue.ID, error) {
	s.Trace.ID = "0000000000000000"
	_, err := io.Copy(io.Discard, message.Accept(s.Body, s.Trace))
	return "0000000000000000", err
}

// BenchmarkSubmit is one mail of 4 KB over one of 50 connections: pipelined, one command at a time,
// and with a connection for each mail.
func BenchmarkSubmit(b *testing.B) {
	body := "Subject: hello\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 52) + ".\r\n"
	pipelined := []string{"MAIL FROM:<ada@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n", body}
	stepwise := []string{"MAIL FROM:<ada@example.org>\r\n", "RCPT TO:<bob@example.net>\r\n", "DATA\r\n", body}
	single := append([]string{"", "EHLO client\r\n"}, append(stepwise, "QUIT\r\n")...)
	b.Run("pipelined", func(b *testing.B) { submit(b, pipelined, false) })
	b.Run("stepwise", func(b *testing.B) { submit(b, stepwise, false) })
	b.Run("single", func(b *testing.B) { submit(b, single, true) })
}

func submit(b *testing.B, steps []string, fresh bool) {
	ctx, cancel := context.WithCancel(context.Background())
	ln := listen(b)
	served := make(chan error)
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	go func() { served <- New(sink{}, Config{Trusted: trusted}, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error)
	b.ResetTimer()
	const connections = 50
	for range connections {
		go func() { done <- sendMails(ln.Addr().String(), steps, fresh, &left) }()
	}
	for range connections {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.StopTimer()
	cancel()
	<-served
}

func sendMails(addr string, steps []string, fresh bool, left *atomic.Int64) error {
	var c net.Conn
	buf := make([]byte, 4096)
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for left.Add(-1) >= 0 {
		if c == nil || fresh {
			var err error
			if c, err = net.Dial("tcp", addr); err != nil {
				return err
			}
			if !fresh {
				if err := step(c, "", buf); err != nil {
					return err
				}
				if err := step(c, "EHLO client\r\n", buf); err != nil {
					return err
				}
			}
		}
		for _, s := range steps {
			if err := step(c, s, buf); err != nil {
				return err
			}
		}
		if fresh {
			c.Close()
		}
	}
	return nil
}

// step sends and reads the answer, which is one packet.
func step(c net.Conn, s string, buf []byte) error {
	if s != "" {
		if _, err := io.WriteString(c, s); err != nil {
			return err
		}
	}
	_, err := c.Read(buf)
	return err
}
