//go:build crash

package survival

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"dinkymail/internal/rig"
	"dinkymail/queue/boltstore"
)

const (
	defaultWaiting = 500_000
	scaleRounds    = 3
	scaleLoad      = 5000 // messages of one measurement of the rate
)

// WAITING (500,000) messages come in by SMTP while the upstream cannot be reached. Then rate and
// memory are compared with an appliance next to it whose queue is small, in turns; start is timed
// after a clean stop and after kill -9, pages of the list are timed in both stores, and half of the
// large one is removed. All messages are still there after each start, and all others after the
// removal.
func TestScale(t *testing.T) {
	waiting := number(t, "WAITING", defaultWaiting)
	settings := rig.Relayed(rig.Nowhere)
	settings["LOG_LEVEL"], settings["QUEUE_MAX_MESSAGES"] = "warn", strconv.Itoa(waiting+100_000)
	large, small := launch(t, settings), launch(t, settings)
	took := fill(t, large, waiting)
	rates := compareRates(t, large, small)
	big, little := vitals(t, large), vitals(t, small)
	clean, killed := restart(t, large, waiting+scaleRounds*scaleLoad)
	fmt.Printf("%d messages of 1 KiB by SMTP in %v (%.0f/s)\n\n", waiting, took.Round(time.Second), float64(waiting)/took.Seconds())
	fmt.Printf("| what | %d waiting | %d waiting | ratio | meant to be |\n|---|---|---|---|---|\n",
		waiting+scaleRounds*scaleLoad, scaleRounds*scaleLoad)
	fmt.Printf("| accepted per second, median of %d | %.0f | %.0f | %.2f | at least 0.95 |\n", scaleRounds, rates.large, rates.small, rates.ratio)
	fmt.Printf("| RSS (of it no file's) | %s (%s) | %s (%s) | | at most 120 MB for 500,000 |\n",
		mib(big.RSS), mib(big.Anon), mib(little.RSS), mib(little.Anon))
	fmt.Printf("| start to listening after a clean stop | %v | | | at most 0.3 s for 500,000 |\n", clean.Round(time.Millisecond))
	fmt.Printf("| start to listening after kill -9 | %v | | | |\n", killed.Round(time.Millisecond))
	store := stopped(t, large)
	comparePages(t, store, stopped(t, small))
	purge(t, store, large.Data)
}

// fill submits n messages.
func fill(t *testing.T, a *rig.Appliance, n int) time.Duration {
	t.Helper()
	const part = 50_000 // what the load generator remembers at a time
	begin := time.Now()
	for done := 0; done < n; done += part {
		submit(t, a, fmt.Sprint("fill-", done), min(part, n-done))
	}
	return time.Since(begin)
}

func submit(t *testing.T, a *rig.Appliance, prefix string, n int) (rate float64) {
	t.Helper()
	done := rig.Load{Addr: a.Submission, Connections: 50, Messages: n, Reuse: true, Size: 1024, Prefix: prefix}.Run()
	if done.Err != nil {
		t.Fatal(done.Err)
	}
	return done.Rate()
}

// rates are medians, in messages per second.
type rates struct{ large, small, ratio float64 }

func compareRates(t *testing.T, large, small *rig.Appliance) rates {
	t.Helper()
	var with, without, ratios []float64
	for n := range scaleRounds {
		one, other := submit(t, large, fmt.Sprint("rate-", n), scaleLoad), submit(t, small, fmt.Sprint("rate-", n), scaleLoad)
		with, without, ratios = append(with, one), append(without, other), append(ratios, one/other)
	}
	return rates{median(with), median(without), median(ratios)}
}

func vitals(t *testing.T, a *rig.Appliance) rig.Vitals {
	t.Helper()
	v, err := a.Vitals()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// restart times a start after a clean stop, and one after kill -9, and wants all messages to be
// there after each.
func restart(t *testing.T, a *rig.Appliance, want int) (clean, killed time.Duration) {
	t.Helper()
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	clean = again(t, a, want)
	a.Kill()
	killed = again(t, a, want)
	return clean, killed
}

func again(t *testing.T, a *rig.Appliance, want int) time.Duration {
	t.Helper()
	took, err := a.Start()
	if err != nil {
		t.Fatal(err)
	}
	n, err := a.Metric(`dinkymail_queue_messages{status="waiting"}`)
	if err != nil {
		t.Fatal(err)
	}
	if int(n) != want {
		t.Errorf("%.0f messages wait after a start, want %d", n, want)
	}
	return took
}

// stopped ends the appliance and opens its store.
func stopped(t *testing.T, a *rig.Appliance) *boltstore.Store {
	t.Helper()
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(a.Data, boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
