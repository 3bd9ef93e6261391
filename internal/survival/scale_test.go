//go:build crash

package survival

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"dinkymail/internal/rig"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

const (
	defaultWaiting = 500_000
	scaleRounds    = 3
	scaleLoad      = 5000 // messages of one measurement of the rate
	pageSize       = 100
)

// WAITING (500,000) messages come in by SMTP while the upstream cannot be reached. Then rate and memory are compared with an
// appliance next to it whose queue is as good as empty, in turns; start is timed after a clean stop and after kill -9, and so
// are pages of a list. All messages are still there in the end.
func TestScale(t *testing.T) {
	waiting := number(t, "WAITING", defaultWaiting)
	hop, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	settings := rig.Relayed(hop)
	settings["LOG_LEVEL"] = "warn"
	full, empty := launch(t, settings), launch(t, settings)
	count := 0
	submit := func(a *rig.Appliance, n int) float64 {
		count++
		done := rig.Load{Addr: a.Submission, Connections: 50, Messages: n, Reuse: true, Size: 1024,
			Prefix: "scale-" + strconv.Itoa(count)}.Run()
		if done.Err != nil {
			t.Fatal(done.Err)
		}
		return done.Rate()
	}
	begin := time.Now()
	const part = 50_000 // what the load generator remembers at a time
	for left := waiting; left > 0; left -= part {
		submit(full, min(part, left))
	}
	took := time.Since(begin)
	var rates, base, ratios []float64
	for range scaleRounds {
		rates, base = append(rates, submit(full, scaleLoad)), append(base, submit(empty, scaleLoad))
		ratios = append(ratios, rates[len(rates)-1]/base[len(base)-1])
	}
	want := waiting + scaleRounds*scaleLoad
	big, small := vitals(t, full), vitals(t, empty)
	clean, killed := restart(t, full, want)
	first, middle := pages(t, full)
	fmt.Printf("%d messages of 1 KiB by SMTP in %v (%.0f/s)\n\n", waiting, took.Round(time.Second), float64(waiting)/took.Seconds())
	fmt.Println("| what | full | empty | full against empty | floor | aim |\n|---|---|---|---|---|---|")
	fmt.Printf("| accepted per second, median of %d | %.0f | %.0f | %.2f | 0.7 | 0.95 |\n", scaleRounds, median(rates), median(base), median(ratios))
	fmt.Printf("| RSS (of it no file's) | %s (%s) | %s (%s) | | 250 MB | 120 MB |\n", mib(big.RSS), mib(big.Anon), mib(small.RSS), mib(small.Anon))
	fmt.Printf("| start to listening after a clean stop | %v | | | 2 s | 0.3 s |\n", clean.Round(time.Millisecond))
	fmt.Printf("| start to listening after kill -9 | %v | | | | |\n", killed.Round(time.Millisecond))
	fmt.Printf("| first page of %d messages, from the store | %v | | | | |\n", pageSize, first.Round(time.Microsecond))
	fmt.Printf("| the same, 5,000 messages on | %v | | | | |\n", middle.Round(time.Microsecond))
}

func vitals(t *testing.T, a *rig.Appliance) rig.Vitals {
	t.Helper()
	v, err := a.Vitals()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// restart times a start after a clean stop, and one after kill -9, and wants all messages to be there after each.
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
	n, err := a.Metric(`dinkymail_queue_messages{state="waiting"}`)
	if err != nil {
		t.Fatal(err)
	}
	if int(n) != want {
		t.Errorf("%.0f messages wait after a start, want %d", n, want)
	}
	return took
}

// pages stops the appliance and times two pages of the list of what waits.
func pages(t *testing.T, a *rig.Appliance) (first, middle time.Duration) {
	t.Helper()
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(a.Data, boltstore.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	page := func(after queue.ID) (time.Duration, queue.ID) {
		begin := time.Now()
		list, err := store.List(queue.Filter{}, after, pageSize)
		if err != nil || len(list) != pageSize {
			t.Fatalf("a page of %d messages has %d: %v", pageSize, len(list), err)
		}
		return time.Since(begin), list[pageSize-1].ID
	}
	first, last := page("")
	for range 50 {
		middle, last = page(last)
	}
	return first, middle
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
