package rig

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Vitals is how an appliance is at one moment.
type Vitals struct {
	RSS, Anon   int64 // bytes of resident memory, and those of it that are no file's
	Goroutines  int
	Descriptors int
}

// Vitals asks the kernel and GET /metrics. It may be called while the appliance runs, from any
// goroutine.
func (a *Appliance) Vitals() (v Vitals, err error) {
	pid := a.PID()
	rss, err1 := RSS(pid)
	anon, err2 := AnonRSS(pid)
	descriptors, err3 := Descriptors(pid)
	goroutines, err4 := a.Metric("go_goroutines")
	return Vitals{rss, anon, int(goroutines), descriptors}, errors.Join(err1, err2, err3, err4)
}

// Metric is the value that GET /metrics gives for name, which includes the labels, such as
// `dinkymail_queue_messages{status="waiting"}`.
func (a *Appliance) Metric(name string) (float64, error) {
	client := &http.Client{Timeout: replyLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + a.HTTP + "/metrics")
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("read metrics: %s: no %s: %w", resp.Status, name, errors.Join(lines.Err()))
}

// Settles waits until done, asked four times a second, is true. It reports whether that came to
// pass within the time.
func Settles(within time.Duration, done func() bool) bool {
	for end := time.Now().Add(within); time.Now().Before(end); <-time.After(250 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return done()
}
