package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table writes the figures as docs/performance.md shows them.
func table(w io.Writer, p plan, sides []*side, web *httpFigures, took time.Duration) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "Commit %s, %s, `%s`, %d cores, %s, %d rounds, %d messages of %d bytes each, %v.\n\n",
		commit(), time.Now().UTC().Format("2006-01-02"), command(), runtime.NumCPU(), runtime.Version(), p.rounds, p.messages,
		p.size, took.Round(time.Second))
	b.WriteString("| what | Dinkymail | Postfix, tuned | ratio |\n|---|---|---|---|\n")
	ours, theirs := named(sides, dinkymailName), named(sides, postfixName)
	arrived := func(f figures) float64 { return f.arrived }
	accepted := func(f figures) float64 { return f.accepted }
	cpu := func(f figures) time.Duration { return f.cpu }
	rate(b, fmt.Sprintf("end to end, %d connections reused, messages/s", p.connections), ours.reused, theirs.reused, arrived)
	rate(b, "— accepted/s", ours.reused, theirs.reused, accepted)
	rate(b, fmt.Sprintf("end to end, %d connections, one message per connection, messages/s", p.connections),
		ours.single, theirs.single, arrived)
	rate(b, "— accepted/s", ours.single, theirs.single, accepted)
	rate(b, "end to end, one client in sequence, messages/s", ours.alone, theirs.alone, arrived)
	span(b, "— p50 from MAIL to the 250", ours.alone, theirs.alone, func(f figures) time.Duration { return f.p50 })
	span(b, fmt.Sprintf("from MAIL to upstream, p50, %d connections reused", p.connections), ours.reused, theirs.reused,
		func(f figures) time.Duration { return f.through })
	span(b, "CPU per message, connections reused", ours.reused, theirs.reused, cpu)
	span(b, "CPU per message, one message per connection", ours.single, theirs.single, cpu)
	row(b, "start to listening", ours.start.Round(time.Millisecond).String(), theirs.start.Round(time.Millisecond).String(),
		over(float64(theirs.start), float64(ours.start)))
	row(b, "idle RSS, all processes", megabytes(ours.idle), megabytes(theirs.idle), over(float64(theirs.idle), float64(ours.idle)))
	row(b, "peak RSS, all processes", megabytes(ours.peak), megabytes(theirs.peak), over(float64(theirs.peak), float64(ours.peak)))
	send, bare := median(web.send), median(web.bare)
	fmt.Fprintf(b, "\n| HTTP, %d connections, %d bytes of JSON | `/send`, on disk | bare net/http handler | ratio |\n|---|---|---|---|\n",
		p.connections, jsonSize)
	row(b, "requests/s", fmt.Sprintf("%.0f", send), fmt.Sprintf("%.0f", bare), over(send, bare))
	if proxy := named(sides, smtprelayName); len(proxy.reused) > 0 {
		b.WriteString("\n| against a proxy without a queue | Dinkymail | smtprelay | ratio |\n|---|---|---|---|\n")
		rate(b, fmt.Sprintf("end to end, %d connections reused, messages/s", p.connections), ours.reused, proxy.reused, arrived)
		rate(b, fmt.Sprintf("end to end, %d connections, one message per connection, messages/s", p.connections),
			ours.single, proxy.single, arrived)
		rate(b, "end to end, one client in sequence, messages/s", ours.alone, proxy.alone, arrived)
		span(b, "CPU per message, connections reused", ours.reused, proxy.reused, cpu)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// named is the side of that name, or one without figures.
func named(sides []*side, name string) *side {
	for _, s := range sides {
		if s.name == name {
			return s
		}
	}
	return &side{}
}

// table writes the variants' figures.
func (v *variants) table(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString("\n| Dinkymail alone, 50 connections reused | messages/s | MB/s | CPU per message | rate against the first |\n" +
		"|---|---|---|---|---|\n")
	arrived := func(f figures) float64 { return f.arrived }
	first := median(each(v.all[0].got, arrived))
	for _, one := range v.all {
		rate := median(each(one.got, arrived))
		line(b, one.name, fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.1f", rate*float64(one.load.Size)/1e6),
			milliseconds(median(each(one.got, func(f figures) time.Duration { return f.cpu }))), over(rate, first))
	}
	fmt.Fprintf(b, "\n| upstream that waits %v before each reply, connections | messages/s | linear would be | ratio |\n"+
		"|---|---|---|---|\n", pause)
	for _, s := range v.slow {
		rate := median(s.rates)
		line(b, strconv.Itoa(s.connections), fmt.Sprintf("%.1f", rate), fmt.Sprintf("%.0f", s.linear()), over(rate, s.linear()))
	}
	b.WriteString("\n| size | |\n|---|---|\n")
	fmt.Fprintf(b, "| peak memory beyond idle per message of %d MB, %d in flight | %.1f MB |\n", bigSize/1_000_000, inFlight,
		float64(v.big.peak-v.big.idle)/inFlight/1e6)
	fmt.Fprintf(b, "| binary, stripped | %.1f MB |\n", float64(v.binary)/1e6)
	_, err := io.WriteString(w, b.String())
	return err
}

// rate is a row of figures where more is better.
func rate(b *strings.Builder, what string, ours, theirs []figures, of func(figures) float64) {
	x, y := median(each(ours, of)), median(each(theirs, of))
	row(b, what, fmt.Sprintf("%.0f", x), fmt.Sprintf("%.0f", y), over(x, y))
}

// span is a row of times, where less is better: the ratio says how many times less.
func span(b *strings.Builder, what string, ours, theirs []figures, of func(figures) time.Duration) {
	x, y := median(each(ours, of)), median(each(theirs, of))
	row(b, what, milliseconds(x), milliseconds(y), over(float64(y), float64(x)))
}

func row(b *strings.Builder, what, ours, theirs, ratio string) {
	if ratio == "–" {
		theirs = "–"
	}
	line(b, what, ours, theirs, ratio)
}

func line(b *strings.Builder, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func each[T any](all []figures, of func(figures) T) []T {
	values := make([]T, 0, len(all))
	for _, f := range all {
		values = append(values, of(f))
	}
	return values
}

// median is the middle value, the upper one of an even number; zero of none.
func median[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func over(x, y float64) string {
	if x == 0 || y == 0 {
		return "–"
	}
	if ratio := x / y; ratio >= 10 {
		return fmt.Sprintf("%.0f", ratio)
	}
	return fmt.Sprintf("%.2f", x/y)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// commit names what was measured; a star says that the work tree differs from it.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(out))
	if changes, err := exec.Command("git", "status", "--porcelain").Output(); err == nil && len(changes) > 0 {
		name += "*"
	}
	return name
}

// command is what was typed, as far as it can be known.
func command() string {
	if typed := os.Getenv("BENCH_COMMAND"); typed != "" {
		return typed
	}
	return strings.TrimSpace("go run ./internal/bench " + strings.Join(os.Args[1:], " "))
}
