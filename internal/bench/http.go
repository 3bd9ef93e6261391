package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dinkymail/internal/rig"
)

// bareVerb makes this program serve the handler that /send is compared with, in a process of its
// own.
const bareVerb = "bare-http"

// jsonSize is the size of a request over HTTP in bytes.
const jsonSize = 3600

// httpFigures are requests per second, one per round.
type httpFigures struct {
	send, bare []float64
}

// serveBare answers every POST with 200 as soon as its body is read, until it is killed. It prints
// its address first.
func serveBare(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"success":true}`)
		}),
	}
	return server.Serve(ln)
}

// compareHTTP measures POST /send, stored and held (no upstream is configured), against the bare
// handler, in turns.
func compareHTTP(dir string, p plan) (*httpFigures, error) {
	binary, err := rig.Build(dir)
	if err != nil {
		return nil, err
	}
	bare, stopBare, err := startBare()
	if err != nil {
		return nil, err
	}
	defer stopBare()
	f := &httpFigures{}
	for round := range p.rounds {
		l := rig.Load{Connections: p.connections, Messages: p.posts, Size: jsonSize, Prefix: "http-" + strconv.Itoa(round)}
		rate, err := sendRate(binary, filepath.Join(dir, "http-"+strconv.Itoa(round)), l)
		if err != nil {
			return nil, err
		}
		f.send = append(f.send, rate)
		done := l.RunHTTP("http://" + bare + "/send")
		if done.Err != nil {
			return nil, done.Err
		}
		f.bare = append(f.bare, done.Rate())
		logf("HTTP       %5d requests, %2d connections: /send %.0f/s, bare handler %.0f/s", p.posts, p.connections, rate, done.Rate())
	}
	return f, nil
}

// sendRate is how many requests per second a fresh appliance answers.
func sendRate(binary, dir string, l rig.Load) (rate float64, err error) {
	a, err := rig.NewAppliance(binary, dir, map[string]string{"ENVIRONMENT": "production"})
	if err != nil {
		return 0, err
	}
	if _, err := a.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	done := l.RunHTTP("http://" + a.HTTP + "/send")
	return done.Rate(), done.Err
}

func startBare() (addr string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, bareVerb, "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the bare handler did not start: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}
