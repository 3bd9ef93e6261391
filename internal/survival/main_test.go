//go:build crash

package survival

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

const messageSize = 4096

// launch lays out an appliance, starts it, and kills it when the test ends.
func launch(t *testing.T, settings map[string]string) *rig.Appliance {
	t.Helper()
	binary, err := rig.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := rig.NewAppliance(binary, t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Kill)
	return a
}

// number is an environment variable's value, or what stands for it.
func number(t *testing.T, name string, or int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no number", name, text)
	}
	return n
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// clients are well-behaved: each sends a message, rests, and sends the next, over SMTP connections
// that are kept, over new ones, and over HTTP.
type clients struct {
	stop   chan struct{}
	all    sync.WaitGroup
	sent   atomic.Int64
	failed atomic.Int64

	mu    sync.Mutex // guards what follows
	told  map[string]bool
	first error
}

// pause is the rest of a client between two messages.
const pause = 20 * time.Millisecond

// send starts four clients of each kind. to is asked for each message's recipient.
func send(a *rig.Appliance, prefix string, to func() string) *clients {
	c := &clients{stop: make(chan struct{}), told: map[string]bool{}}
	for n := range 4 {
		for kind, begin := range map[string]func(*rig.Appliance) (submit func(id, to string) error, end func()){
			"kept": kept, "fresh": fresh, "http": post,
		} {
			c.all.Go(func() { c.run(fmt.Sprintf("%s-%s%d", prefix, kind, n), a, begin, to) })
		}
	}
	return c
}

func (c *clients) run(prefix string, a *rig.Appliance,
	begin func(*rig.Appliance) (submit func(id, to string) error, end func()), to func() string,
) {
	submit, end := begin(a)
	defer func() { end() }()
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(pause):
		}
		recipient := to()
		id := prefix + "-" + strconv.Itoa(n)
		if err := submit(id, recipient); err != nil {
			c.failed.Add(1)
			c.note(func() { c.first = fmt.Errorf("%s: %w", id, err) })
			end()
			submit, end = begin(a)
			continue
		}
		c.sent.Add(1)
		c.note(func() { c.told[id+" "+recipient] = true })
	}
}

func (c *clients) note(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

// end stops the clients. told are the ids they were told are accepted, each followed by a space and
// its recipient.
func (c *clients) end() (told map[string]bool) {
	close(c.stop)
	c.all.Wait()
	return c.told
}

// rate is how many messages a second are accepted during d.
func (c *clients) rate(d time.Duration) float64 {
	begin, before := time.Now(), c.sent.Load()
	<-time.After(d)
	return float64(c.sent.Load()-before) / time.Since(begin).Seconds()
}

func kept(a *rig.Appliance) (submit func(id, to string) error, end func()) {
	var client *rig.Client
	return func(id, to string) (err error) {
			if client == nil {
				if client, err = rig.Dial(a.Submission, nil); err != nil {
					return err
				}
			}
			_, err = client.Send("ada@example.org", []string{to}, rig.Mail(id, messageSize), rig.Transfer{})
			return err
		}, func() {
			if client != nil {
				client.Close()
			}
		}
}

func fresh(a *rig.Appliance) (submit func(id, to string) error, end func()) {
	return func(id, to string) error {
		client, err := rig.Dial(a.Plain, nil)
		if err != nil {
			return err
		}
		if _, err := client.Send("ada@example.org", []string{to}, rig.Mail(id, messageSize), rig.Transfer{}); err != nil {
			client.Close()
			return err
		}
		return client.Quit()
	}, func() {}
}

func post(a *rig.Appliance) (submit func(id, to string) error, end func()) {
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	return func(id, to string) error {
		return rig.PostTo(client, "http://"+a.HTTP+"/send", id, to, messageSize)
	}, transport.CloseIdleConnections
}
