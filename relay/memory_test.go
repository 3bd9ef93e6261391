package relay

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dinkymail/internal/smtptest"
	"dinkymail/queue"
)

// endless is a body of n bytes that needs no memory, and says how far it was read.
type endless struct {
	at, n int64
	read  *atomic.Int64
}

var bodyLine = bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890\r\n"), 512)

func (b *endless) Read(p []byte) (int, error) {
	if b.at >= b.n {
		return 0, io.EOF
	}
	from := int(b.at % int64(len(bodyLine)))
	n := copy(p[:min(int64(len(p)), b.n-b.at)], bodyLine[from:])
	b.at += int64(n)
	b.read.Add(int64(n))
	return n, nil
}

func (b *endless) Seek(to int64, _ int) (int64, error) {
	b.at = to
	return to, nil
}

// heap is the memory in use when all garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one empties the pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// An upstream that stops reading in the middle of a message of 25 MB holds two buffers of ours for
// each connection, and not the message.
func TestSlowUpstreamHoldsLittle(t *testing.T) {
	const connections = 20
	hop := smtptest.New(t, smtptest.Config{Lenient: true})
	hop.Script(smtptest.Rule{Stage: smtptest.Content, Answer: smtptest.Silence()})
	r := start(t, to(hop, Config{Connections: connections, WriteTimeout: time.Minute}))
	before := heap()
	ctx, cancel := context.WithCancel(context.Background())
	var (
		read atomic.Int64
		all  sync.WaitGroup
	)
	for range connections {
		d := mail(t, letter, "bob@example.net")
		d.Body, d.Size = &endless{n: 25_000_000, read: &read}, 25_000_000
		all.Go(func() {
			if res := r.Deliver(ctx, d); res[0].Outcome != queue.Deferred {
				t.Errorf("got %+v", res)
			}
		})
	}
	for last := int64(-1); last < connections*int64(len(bodyLine)) || last != read.Load(); { // until all of them are stuck
		last = read.Load()
		<-time.After(300 * time.Millisecond)
	}
	each := (heap() - before) / connections
	cancel()
	all.Wait()
	if each > 256<<10 {
		t.Errorf("a connection holds %d KiB", each>>10)
	} else {
		t.Logf("a connection holds %d KiB", each>>10)
	}
}
