package smtp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// watched is a Submitter that knows how much of all bodies was read.
type watched struct {
	Submitter
	mu   sync.Mutex
	read int64
	want int64
	seen chan struct{} // closed when want was read
}

func (w *watched) Submit(ctx context.Context, s queue.Submission) (queue.ID, error) {
	s.Body = &watchedBody{s.Body, w}
	return w.Submitter.Submit(ctx, s)
}

type watchedBody struct {
	io.Reader
	w *watched
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	if before := b.w.read; before < b.w.want && before+int64(n) >= b.w.want {
		close(b.w.seen)
	}
	b.w.read += int64(n)
	return n, err
}

// heap is the memory in use when all garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one empties the pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// What a client that stops in the middle can hold is bounded, whatever it has sent by then: a few
// buffers for a conversation, the header up to message.MaxHeader as it came and as it will be, and
// of the body what the store takes before it goes to a file.
func TestSlowClientsHoldLittle(t *testing.T) {
	const clients = 40
	long := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 14_000) // just under a million bytes
	for _, c := range []struct {
		name  string
		begin string // behind DATA
		body  int64  // bytes of it that a Submitter sees
		most  int64  // per client
	}{
		{"conversation", "", 0, 64 << 10},
		{"header", strings.ReplaceAll("X-Long: y\r\n"+long, "\nx", "\n x"), 0, 4 << 20},
		{"body", "Subject: x\r\n\r\n" + strings.Repeat(long, 3), 2_900_000, 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, w := shelf(t)
			begun := int64(len(c.begin))
			w.want, w.seen = clients*max(min(begun, 900_000), c.body), make(chan struct{})
			before := heap()
			for range clients {
				p := dial(t, addr)
				if p.mail(); begun > 0 {
					p.say("DATA", "354")
					p.send(c.begin)
				} else {
					p.send("NOOP " + strings.Repeat("x", 3000))
				}
			}
			if begun > 0 {
				<-w.seen
			}
			if each := (heap() - before) / clients; each > c.most {
				t.Errorf("a client holds %d KiB, want at most %d", each>>10, c.most>>10)
			} else {
				t.Logf("a client holds %d KiB", each>>10)
			}
		})
	}
}

// A client that asks and asks and never reads an answer is not read any more once maxOut of answers
// wait for it.
func TestSlowReadersHoldLittle(t *testing.T) {
	const clients = 20
	addr, _ := shelf(t)
	before := heap()
	var all sync.WaitGroup
	for range clients {
		conn := dialTCP(t, addr)
		if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			var err error
			for ask := []byte(strings.Repeat("NOOP\r\n", 10_000)); err == nil; {
				_, err = conn.Write(ask)
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want a connection that is not read any more", err)
			}
		})
	}
	all.Wait()
	if each := (heap() - before) / clients; each > 128<<10 {
		t.Errorf("a client holds %d KiB", each>>10)
	} else {
		t.Logf("a client holds %d KiB", each>>10)
	}
}

// shelf is a Server with a queue on disk behind it.
func shelf(t *testing.T) (addr string, w *watched) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	w = &watched{Submitter: queue.New(store, queue.One(nowhere{}), queue.Config{}, log), seen: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ln, done := listen(t), make(chan error)
	cfg := Config{Hostname: "mail.example.org", Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		MaxIdleCommands: 1 << 30, Grace: time.Millisecond}
	go func() { done <- New(w, cfg, log).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), w
}
