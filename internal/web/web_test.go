package web

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves h until the returned func is called, which waits for the end.
func serve(t *testing.T, h http.Handler) (base string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	limits := Socket(func() time.Duration { return 10 * time.Second })
	go func() { served <- Serve(ctx, ln, h, limits, slog.New(slog.DiscardHandler)) }()
	return "http://" + ln.Addr().String(), func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-served
	}
}

// A panic before the answer is answered, and one in the middle of it cuts the connection: half an
// answer is none.
func TestPanics(t *testing.T) {
	ended := make(chan int, 2)
	guard := Guard{
		Log: slog.New(slog.DiscardHandler),
		Failed: func(w http.ResponseWriter, _ *http.Request, id string) {
			http.Error(w, "see "+id, http.StatusInternalServerError)
		},
		Done: func(_ *http.Request, status int, _ time.Duration) { ended <- status },
	}
	base, stop := serve(t, guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			io.WriteString(w, strings.Repeat("half ", 10_000))
		}
		panic("no such thing")
	})))
	resp, err := http.Get(base + "/early")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 500 || !strings.HasPrefix(string(text), "see ") || <-ended != 500 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if resp, err = http.Get(base + "/late"); err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks whole")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// An answer that goes on for ever is told of the end, and Serve waits for it.
func TestStopping(t *testing.T) {
	began := make(chan struct{})
	base, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if Conn(r) == nil {
			t.Error("there is no connection")
		}
		if name, address := User(r); name != "" || address != "unix" {
			t.Errorf("%q at %q, on TCP", name, address)
		}
		close(began)
		<-Stopping(r)
		io.WriteString(w, "whole")
	}))
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(base)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answer <- string(text)
	}()
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "whole" {
		t.Errorf("answer = %q", got)
	}
}
