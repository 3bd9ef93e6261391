//go:build crash

package survival

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

const defaultSoak = time.Minute

// Who gets the mail of the soak: the upstream takes it, takes it after a few tries, or refuses it
// for good.
const (
	taken   = "bob@example.net"
	later   = "later@example.net"
	refused = "nobody@example.net"
)

// For DURATION (1m) mail comes in by SMTP and HTTP while the upstream is slow, defers, refuses,
// hangs up, is stopped and started, and the settings are read again and again. In the end
// everything that was acknowledged has arrived or was refused for good and its sender told, and the
// appliance holds no more memory, goroutines and descriptors than after the warm-up.
func TestSoak(t *testing.T) {
	up := &upstream{t: t}
	up.start("127.0.0.1:0")
	t.Cleanup(up.stop)
	settings := rig.Relayed(up.addr)
	maps.Copy(settings, map[string]string{
		"QUEUE_RETRY": "1s,1s,2s", "HISTORY_RETENTION": "10s", "DEFAULT_TO": "ada@example.org", "LOG_LEVEL": "error",
	})
	a := launch(t, settings)
	total := duration(t)
	fmt.Println("| | messages | RSS | of it no file's | goroutines | descriptors |\n|---|---|---|---|---|---|")
	told := map[string]bool{}
	warm := soak(t, a, up, "warm", max(15*time.Second, total/10), told)
	row("after warm-up", len(told), warm)
	begin := time.Now()
	end := soak(t, a, up, "soak", total, told)
	row("at the end", len(told), end)
	up.settled(t, a, told, time.Since(begin))
	if end.Anon > warm.Anon+warm.Anon/2+32<<20 {
		t.Errorf("memory grew from %s to %s", mib(warm.Anon), mib(end.Anon))
	}
	if end.Goroutines > warm.Goroutines+20 || end.Descriptors > warm.Descriptors+20 {
		t.Errorf("goroutines and descriptors grew: %+v after warm-up, %+v at the end", warm, end)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}

func row(when string, messages int, v rig.Vitals) {
	fmt.Printf("| %s | %d | %s | %s | %d | %d |\n", when, messages, mib(v.RSS), mib(v.Anon), v.Goroutines, v.Descriptors)
}

func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DURATION")
	if text == "" {
		return defaultSoak
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("DURATION=%s is no duration", text)
	}
	return d
}

// soak sends mail for d among faults, notes in told what was acknowledged, drains, and returns how
// the appliance is then.
func soak(t *testing.T, a *rig.Appliance, up *upstream, prefix string, d time.Duration, told map[string]bool) rig.Vitals {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	good := send(a, prefix, func() string {
		switch n := rand.IntN(100); {
		case n < 2:
			return refused
		case n < 10:
			return later
		}
		return taken
	})
	for fault := 0; ctx.Err() == nil; fault++ {
		select {
		case <-ctx.Done():
		case <-time.After(3 * time.Second):
			up.fault(a, fault)
		}
	}
	maps.Copy(told, good.end())
	if n := good.failed.Load(); n > 0 {
		t.Errorf("%d messages were refused, such as %v", n, good.first)
	}
	up.drain(t, a)
	var v rig.Vitals
	low := rig.Vitals{Anon: 1 << 60, Goroutines: 1 << 30, Descriptors: 1 << 30}
	rig.Settles(15*time.Second, func() bool { // idle connections close and the collector passes meanwhile: the lowest counts
		var err error
		if v, err = a.Vitals(); err != nil {
			t.Fatal(err)
		}
		low.RSS = v.RSS
		low.Anon, low.Goroutines = min(low.Anon, v.Anon), min(low.Goroutines, v.Goroutines)
		low.Descriptors = min(low.Descriptors, v.Descriptors)
		return false
	})
	return low
}

// upstream is a next hop with moods. Stopped and started, it goes on at its address; sinks are all
// its lives.
type upstream struct {
	t     *testing.T
	addr  string
	sinks []*rig.Sink
	down  bool

	mu   sync.Mutex // guards slow
	slow time.Duration
}

func (u *upstream) start(addr string) {
	sink, err := rig.NewSink(addr, rig.SinkConfig{
		Delay: func() time.Duration { u.mu.Lock(); defer u.mu.Unlock(); return u.slow },
		Drop:  func() bool { return rand.IntN(500) == 0 },
		Rcpt: func(to string) string {
			switch {
			case to == "<"+refused+">":
				return "550 5.1.1 no such user"
			case to == "<"+later+">" && rand.IntN(2) == 0:
				return "451 4.3.0 try later"
			}
			return ""
		},
	})
	if err != nil {
		u.t.Fatal(err)
	}
	u.addr, u.down = sink.Addr(), false
	u.sinks = append(u.sinks, sink)
}

func (u *upstream) stop() {
	u.down = true
	_ = u.sinks[len(u.sinks)-1].Close()
}

// fault does the n-th mischief; after four it begins again.
func (u *upstream) fault(a *rig.Appliance, n int) {
	switch n % 4 {
	case 0:
		u.delay(20 * time.Millisecond)
	case 1:
		u.delay(0)
		u.stop()
	case 2:
		u.start(u.addr)
		_ = a.WriteEnv("SMTP_RELAY_CONNECTIONS=" + strconv.Itoa(5+rand.IntN(10)) + "\n")
		_ = a.Reload()
	case 3:
		_ = a.Reload()
	}
}

func (u *upstream) delay(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.slow = d
}

// drain is the end of all faults, and waits until nothing waits any more.
func (u *upstream) drain(t *testing.T, a *rig.Appliance) {
	t.Helper()
	u.delay(0)
	if u.down {
		u.start(u.addr)
	}
	if err := a.Reload(); err != nil {
		t.Fatal(err)
	}
	if !rig.Settles(4*time.Minute, func() bool {
		n, err := a.Metric(`dinkymail_queue_messages{status="waiting"}`)
		return err == nil && n == 0
	}) {
		t.Fatalf("mail still waits\n%s", a.LogTail())
	}
}

// settled checks that all that was acknowledged arrived, or was refused for good and bounced.
func (u *upstream) settled(t *testing.T, a *rig.Appliance, told map[string]bool, took time.Duration) {
	t.Helper()
	arrive := map[string]bool{}
	failed := 0
	for key := range told {
		if len(key) > len(refused) && key[len(key)-len(refused):] == refused {
			failed++
			continue
		}
		arrive[key] = true
	}
	arrived(t, arrive, u.sinks...)
	total := 0
	for _, s := range u.sinks {
		total += s.Total()
	}
	outcomes := map[string]float64{}
	for _, name := range []string{`dinkymail_recipients_total{outcome="delivered"}`, `dinkymail_recipients_total{outcome="failed"}`,
		`dinkymail_recipients_total{outcome="deferred"}`, "dinkymail_bounces_total"} {
		n, err := a.Metric(name)
		if err != nil {
			t.Fatal(err)
		}
		outcomes[name] = n
	}
	bounces := outcomes["dinkymail_bounces_total"]
	fmt.Printf("\n%v, %d lives of the upstream: %d acknowledged, %d to arrive, %d to be refused; %.0f bounces, %.0f deferrals, "+
		"%d came to the upstream, repeats and bounces included\n", took.Round(time.Second), len(u.sinks), len(told), len(arrive), failed,
		bounces, outcomes[`dinkymail_recipients_total{outcome="deferred"}`], total)
	if int(bounces) != failed {
		t.Errorf("%.0f bounces for %d messages that were refused", bounces, failed)
	}
}
