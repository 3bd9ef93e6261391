package httpapi

import (
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"dinkymail/queue"
)

// shutter is a queue that keeps nothing and takes no mail before it is opened.
type shutter struct {
	null
	asked chan struct{}
	open  chan struct{}
}

func (g *shutter) Submit(ctx context.Context, s queue.Submission) (queue.ID, error) {
	g.asked <- struct{}{}
	<-g.open
	return g.null.Submit(ctx, s)
}

// heap is the memory in use when all garbage is gone.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one empties the pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// A request of 35 MiB, most of it an attachment, holds little more than the attachment's own bytes
// while its mail is written, and however many come, all of them together hold no more than
// MaxBuffered.
func TestLargeRequestsHoldLittle(t *testing.T) {
	g := &shutter{asked: make(chan struct{}), open: make(chan struct{})}
	cfg := config(t)
	url := start(t, g, cfg)
	size := cfg.withDefaults().MaxBody
	content := base64.StdEncoding.EncodeToString(make([]byte, (size-1000)/4*3))
	request := `{"to":"ada@example.net","subject":"x","body":"y","attachments":[{"filename":"z","content":"` + content + `"}]}`
	before := heap()
	var (
		mu      sync.Mutex
		answers = map[int]int{}
		clients sync.WaitGroup
	)
	const many = 6
	done := make(chan struct{}, many)
	for range many {
		clients.Go(func() {
			resp, err := http.Post(url+"/send", "application/json", strings.NewReader(request))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			mu.Lock()
			answers[resp.StatusCode]++
			mu.Unlock()
			done <- struct{}{}
		})
	}
	taken, refused := 0, 0
	for taken+refused < many {
		select {
		case <-g.asked:
			taken++
		case <-done:
			refused++
		}
	}
	held := heap() - before
	close(g.open)
	clients.Wait()
	if answers[http.StatusOK] != taken || answers[http.StatusServiceUnavailable] != refused || taken == 0 {
		t.Errorf("%d taken, %d refused: %v", taken, refused, answers)
	}
	if each := held / int64(taken); each > size || held > cfg.withDefaults().MaxBuffered {
		t.Errorf("%d requests of %d MiB hold %d MiB, %d MiB each", taken, size>>20, held>>20, each>>20)
	} else {
		t.Logf("%d requests of %d MiB hold %d MiB, %d MiB each; %d were refused", taken, size>>20, held>>20, each>>20, refused)
	}
}

// A client that stops in the middle of a request holds the buffer of what came, and not of what it
// announced.
func TestSlowRequestsHoldLittle(t *testing.T) {
	const clients = 40
	url := start(t, new(null), config(t))
	before := heap()
	for range clients {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 30000000\r\n" +
			"Expect: 100-continue\r\n\r\n"
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		var reply [12]byte
		if _, err := io.ReadFull(conn, reply[:]); err != nil || !strings.HasSuffix(string(reply[:]), "100") {
			t.Fatalf("got %q, %v", reply, err)
		}
		if _, err := io.WriteString(conn, `{"to":"`+strings.Repeat("x", 60<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if each := (heap() - before) / clients; each > 256<<10 {
		t.Errorf("a client holds %d KiB", each>>10)
	} else {
		t.Logf("a client holds %d KiB", each>>10)
	}
}
