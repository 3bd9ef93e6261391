package relay

import (
	"context"
	"strings"
	"testing"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// BenchmarkDeliver is one 4 KB message to one recipient after another, over kept connections on
// loopback, the next hop included.
func BenchmarkDeliver(b *testing.B) {
	text := letter + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 63)
	ca := smtptest.NewCA(b)
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		b.Run(name, func(b *testing.B) {
			cfg := smtptest.Config{Take: func(smtptest.Received) {}}
			if secure {
				cfg.TLS = ca.Server("127.0.0.1")
			}
			hop := smtptest.New(b, cfg)
			r := start(b, to(hop, Config{UseTLS: secure, VerifyTLS: true, RootCAs: ca.Pool(), Connections: 50}))
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				d := mail(b, text, "bob@example.net")
				for pb.Next() {
					if res := r.Deliver(context.Background(), d)[0]; res.Outcome != queue.Delivered {
						b.Errorf("got %+v", res)
						return
					}
				}
			})
		})
	}
}
