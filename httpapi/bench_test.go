package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// null is a queue that keeps nothing.
type null struct{ memory }

func (*null) Submit(_ context.Context, s queue.Submission) (queue.ID, error) {
	_, err := io.Copy(io.Discard, s.Body)
	return s.ID, err
}

var benchMail = `{"to":"Ada <ada@example.net>","subject":"Your order","body":"` +
	strings.Repeat("Some words of a mail, as long as most.\\n", 90) + `"}`

// BenchmarkHandler is one POST /send of 3.6 KB without network and store.
func BenchmarkHandler(b *testing.B) {
	s := New(new(null), config(b), discard)
	b.ReportAllocs()
	for b.Loop() {
		if w := serveOne(s, "POST", "/send", benchMail); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkSend compares what 50 keep-alive connections get through: a bare handler that reads and
// parses the same JSON, the API over a queue that keeps nothing, and the API over a queue on disk.
func BenchmarkSend(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		bare := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var v struct{ To, Subject, Body string }
			if json.NewDecoder(r.Body).Decode(&v) != nil || v.To == "" {
				w.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(w, `{"success":true}`)
		})}
		served := make(chan struct{})
		go func() { bare.Serve(ln); close(served) }()
		load(b, "http://"+ln.Addr().String())
		bare.Close()
		<-served
	})
	b.Run("null", func(b *testing.B) { load(b, start(b, new(null), config(b))) })
	b.Run("disk", func(b *testing.B) {
		store, err := boltstore.Open(b.TempDir(), boltstore.Config{}, discard)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { store.Close() })
		load(b, start(b, queue.New(store, nil, queue.Config{Domain: "example.org"}, discard), config(b)))
	})
}

func load(b *testing.B, base string) {
	transport := &http.Transport{MaxIdleConnsPerHost: 50}
	defer transport.CloseIdleConnections()
	b.SetParallelism(25) // times GOMAXPROCS, which is 2 where the published figures come from
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest("POST", base+"/send", strings.NewReader(benchMail))
			resp, err := transport.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}
