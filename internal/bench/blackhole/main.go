// Command blackhole is the next hop of a load test: it takes all mail at once, and when it is
// interrupted it says how many messages came, how many of them were different, and which came more
// than once.
//
//	go run ./internal/bench/blackhole -listen 127.0.0.1:2599
//
// # Limits
//
// It remembers every id until it ends. It must not listen on an address that others can reach.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"dinkymail/internal/rig"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:2599", "host:port to listen on")
	delay := flag.Duration("delay", 0, "wait so long before each final reply")
	flag.Parse()
	if err := run(*listen, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "blackhole:", err)
		os.Exit(1)
	}
}

func run(listen string, delay time.Duration) error {
	cfg := rig.SinkConfig{}
	if delay > 0 {
		cfg.Delay = func() time.Duration { return delay }
	}
	sink, err := rig.NewSink(listen, cfg)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s; stop with Ctrl-C\n", sink.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
	err = sink.Close()
	fmt.Printf("%d messages, %d distinct\n", sink.Total(), sink.Distinct())
	for id, a := range sink.Arrivals() {
		if a.Count > 1 {
			fmt.Printf("%s came %d times\n", id, a.Count)
		}
	}
	return err
}
