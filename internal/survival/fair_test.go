//go:build crash

package survival

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

const (
	defaultBulk = 120_000
	forms       = 200             // mails of a contact form
	people      = 60              // who write a mail each and wait for its delivery
	fairWindow  = 4 * time.Second // in which deliveries are counted
)

// One sender has BULK (120,000) messages in the queue, of which a slow upstream takes some 500 a
// second. A contact form's mail is delivered within a second nevertheless; a second mailing gets as
// much as the first; and where more people write than the upstream can take, they have the greater
// part of it, and the mailings go on. In the end everything has arrived.
func TestFair(t *testing.T) {
	f := newFair(t)
	bulk := number(t, "BULK", defaultBulk)
	rig.Settles(time.Minute, func() bool { return f.sink.Total() > bulk/100 || f.sink.Total() > 500 })
	waits := f.forms()
	fmt.Println("| what | is | meant to be |\n|---|---|---|")
	fmt.Printf("| mail of one sender that waits meanwhile | %.0f | |\n", f.waiting())
	fmt.Printf("| contact form, %d mails: accepted to delivered, median | %v | |\n", forms, median(waits).Round(time.Millisecond))
	longest := slices.Max(waits)
	fmt.Printf("| the longest of them | %v | at most 1 s |\n", longest.Round(time.Millisecond))
	if longest > time.Second {
		t.Errorf("a contact form's mail was delivered after %v", longest)
	}
	f.load("shop@example.org", "shop", bulk/10)
	shares := f.count(fairWindow)
	fmt.Printf("| second mailing: its share of what is delivered | %.2f | 0.5 |\n", shares["shop"])
	if shares["shop"] < 0.4 || shares["shop"] > 0.6 {
		t.Errorf("of two mailings, the second gets %.2f", shares["shop"])
	}
	end := f.crowd()
	shares = f.count(fairWindow)
	fmt.Printf("| %d people who write one mail after the other: their share | %.2f | 0.75 |\n", people, shares["person"])
	fmt.Printf("| the two mailings' share meanwhile | %.2f, %.2f | 0.12 each |\n", shares["news"], shares["shop"])
	if shares["person"] < 0.6 || shares["news"]+shares["shop"] < 0.15 {
		t.Errorf("people and mailings share by %v", shares)
	}
	end()
	if f.waiting() < people {
		t.Error("the mailings are at their end: this shows nothing")
	}
	f.finish()
}

// fair is an appliance with a mailing in its queue, and an upstream that notes who comes when.
type fair struct {
	t     *testing.T
	a     *rig.Appliance
	sink  *rig.Sink
	told  map[string]bool
	delay atomic.Int64 // of the upstream's answers, a time.Duration

	mu   sync.Mutex // guards what follows
	came map[string]time.Time
}

func newFair(t *testing.T) *fair {
	f := &fair{t: t, told: map[string]bool{}, came: map[string]time.Time{}}
	f.delay.Store(int64(20 * time.Millisecond))
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{Delay: func() time.Duration { return time.Duration(f.delay.Load()) }, Rcpt: f.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	f.sink = sink
	settings := rig.Relayed(sink.Addr())
	settings["LOG_LEVEL"], settings["FORM_RATE_LIMIT"], settings["SMTP_RELAY_CONNECTIONS"] = "warn", "0", "10"
	f.a = launch(t, settings)
	f.load("news@example.org", "news", number(t, "BULK", defaultBulk))
	return f
}

// note is asked at each RCPT, and remembers those of the contact form.
func (f *fair) note(to string) string {
	if strings.HasPrefix(to, "<form") {
		f.mu.Lock()
		f.came[strings.Trim(to, "<>")] = time.Now()
		f.mu.Unlock()
	}
	return ""
}

// load submits n messages of one sender by SMTP.
func (f *fair) load(from, prefix string, n int) {
	f.t.Helper()
	done := rig.Load{Addr: f.a.Submission, Connections: 50, Messages: n, Reuse: true, Size: 1024, From: from, Prefix: prefix}.Run()
	if done.Err != nil {
		f.t.Fatal(done.Err)
	}
	for _, id := range done.Accepted {
		f.told[id] = true
	}
}

func (f *fair) waiting() float64 {
	n, err := f.a.Metric(`dinkymail_queue_messages{status="waiting"}`)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// forms posts mails as a website's visitors do, and returns how long each took from the answer to
// its delivery.
func (f *fair) forms() []time.Duration {
	f.t.Helper()
	accepted := map[string]time.Time{}
	for n := range forms {
		to := fmt.Sprintf("form%d@example.org", n)
		body := fmt.Sprintf(`{"to":%q,"subject":"A question","body":"Are you there?"}`, to)
		req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.a.HTTP+"/send", bytes.NewReader([]byte(body)))
		if err != nil {
			f.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", "https://example.org")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			f.t.Fatalf("a contact form's mail is answered by %s", resp.Status)
		}
		accepted[to] = time.Now()
		<-time.After(20 * time.Millisecond)
	}
	if !rig.Settles(time.Minute, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.came) == forms }) {
		f.t.Fatal("a contact form's mail was not delivered within a minute")
	}
	var waits []time.Duration
	for to, at := range accepted {
		waits = append(waits, max(0, f.came[to].Sub(at)))
	}
	return waits
}

// count is whose mail arrives for a while: the share of each, by the first word of its ids.
func (f *fair) count(window time.Duration) map[string]float64 {
	before := f.sink.Arrivals()
	<-time.After(window)
	shares := map[string]float64{}
	total := 0.0
	for id := range f.sink.Arrivals() {
		if before[id].Count == 0 {
			who, _, _ := strings.Cut(id, "-")
			shares[who]++
			total++
		}
	}
	for who := range shares {
		shares[who] /= total
	}
	return shares
}

// crowd is people who write: each sends a mail, waits until it is delivered, and sends the next,
// until end is called.
func (f *fair) crowd() (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex // guards told
	for n := range people {
		all.Go(func() {
			client, err := rig.Dial(f.a.Submission, nil)
			if err != nil {
				f.t.Error(err)
				return
			}
			defer client.Close()
			name := string([]byte{'a' + byte(n/26), 'a' + byte(n%26)})
			for round := 0; ; round++ {
				id := fmt.Sprintf("person-%s-%d", name, round)
				if _, err := client.Send(name+"@example.org", []string{"bob@example.net"}, rig.Mail(id, 1024), rig.Transfer{}); err != nil {
					f.t.Errorf("%s: %v", id, err)
					return
				}
				mu.Lock()
				f.told[id] = true
				mu.Unlock()
				for !f.sink.Has(id) {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			}
		})
	}
	return func() { close(stop); all.Wait() }
}

// finish lets the upstream be quick, and wants all that was accepted to arrive.
func (f *fair) finish() {
	f.t.Helper()
	f.delay.Store(0)
	arrived(f.t, f.told, f.sink)
	if err := f.a.Stop(); err != nil {
		f.t.Error(err)
	}
}
