package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dinkymail/operate"
)

func dial(t *testing.T, base string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// Who sends a header or a body too slowly, or says nothing, is cut off.
func TestSlowClientsAreCutOff(t *testing.T) {
	q := new(memory)
	cfg := config(t)
	cfg.HeaderTimeout, cfg.ReadTimeout, cfg.IdleTimeout = 50*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	base := start(t, q, cfg)
	for name, text := range map[string]string{
		"silent":      "",
		"half header": "POST /send HTTP/1.1\r\nHost: localhost\r\nX-",
		"half body":   "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"to\":",
		"idle":        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, base)
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(c)
			if err != nil {
				t.Fatalf("not cut off: %v", err)
			}
			if name == "half body" && !strings.Contains(string(answer), "Invalid request format: ") {
				t.Errorf("answer = %s", answer)
			}
		})
	}
	if q.count() != 0 {
		t.Error("half a request was sent")
	}
}

// Headers beyond the limit are refused by 431, a chunked body beyond its limit by 413.
func TestOversizeIsRefused(t *testing.T) {
	cfg := config(t)
	cfg.MaxHeaderBytes, cfg.MaxBody = 4<<10, 10<<10
	base := start(t, new(memory), cfg)
	if resp, _ := ask(t, "GET", base+"/health", "", "X-Long: "+strings.Repeat("a", 20<<10)); resp.StatusCode != 431 {
		t.Errorf("long header = %d", resp.StatusCode)
	}
	c := dial(t, base)
	fmt.Fprintf(c, "POST /send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
		20<<10, strings.Repeat(" ", 20<<10))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	wantRefusal(t, resp, string(text), 413, "Invalid request format: …", operate.CodeTooLarge)
}

// One client cannot take all connections, and a place is free again when its connection ends.
func TestConnectionsPerClient(t *testing.T) {
	cfg := outside(t)
	cfg.MaxConnectionsPerClient = 2
	base := start(t, new(memory), cfg)
	healthy := func(c net.Conn) bool {
		io.WriteString(c, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err == nil && resp.StatusCode == 200
	}
	a, b := dial(t, base), dial(t, base)
	if !healthy(a) || !healthy(b) {
		t.Fatal("the first two are not served")
	}
	if healthy(dial(t, base)) {
		t.Error("the third is served")
	}
	a.Close()
	for !healthy(dial(t, base)) { // until the server has noticed; the test's own deadline ends this
		if t.Context().Err() != nil {
			t.Fatal("no place came free")
		}
	}
}

// A full house waits, and what waits is served when somebody leaves.
func TestConnectionsInAll(t *testing.T) {
	cfg := config(t)
	cfg.MaxConnections = 1
	base := start(t, new(memory), cfg)
	first, second := dial(t, base), dial(t, base)
	io.WriteString(second, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	io.WriteString(first, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	for _, c := range []net.Conn{first, second} {
		if text, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") {
			t.Errorf("answer = %s, %v", text, err)
		}
	}
}

// When Serve is told to end, a request in flight is answered and nothing new is taken.
func TestShutdownIsGraceful(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	q := &memory{hook: func() { close(entered); <-leave }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- New(q, config(t), discard).Serve(ctx, ln) }()
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post("http://"+ln.Addr().String()+"/send", "", strings.NewReader(plainMail))
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-entered
	cancel()
	for { // until the listener is closed
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(leave)
	if got := <-answered; got != 200 {
		t.Errorf("request in flight = %d", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A request that does not end within Grace is cut off, and so is one end before the other has
// begun.
func TestGraceEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Grace = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	log := new(logged)
	served := make(chan error, 1)
	go func() { served <- New(new(memory), cfg, slog.New(slog.NewTextHandler(log, nil))).Serve(ctx, ln) }()
	c := dial(t, "http://"+ln.Addr().String())
	io.WriteString(c, "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	if err := <-served; err != nil || !strings.Contains(log.String(), "cut off") {
		t.Errorf("Serve = %v, log = %s", err, log)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	ln, _ = net.Listen("tcp", "127.0.0.1:0")
	if err := New(new(memory), cfg, discard).Serve(ctx, ln); err != nil {
		t.Errorf("Serve after the end = %v", err)
	}
}

// A listener that fails is an error of Serve.
func TestServeFails(t *testing.T) {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	ln.Close()
	if err := New(new(memory), config(t), discard).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v", err)
	}
}
