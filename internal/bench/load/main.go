// Command load submits messages with distinct ids to a mail server on this machine and says how
// fast they were accepted.
//
//	go run ./internal/bench/load -to 127.0.0.1:2525 -n 5000 -c 50 -reuse
//	go run ./internal/bench/load -url http://127.0.0.1:20001/send -n 5000 -c 50
//
// # Limits
//
// Loopback only: it refuses every other address.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"dinkymail/internal/rig"
)

func main() {
	var (
		l        rig.Load
		endpoint string
	)
	flag.StringVar(&l.Addr, "to", "127.0.0.1:2525", "host:port of the SMTP server")
	flag.StringVar(&endpoint, "url", "", "a /send endpoint; mail goes there instead")
	flag.IntVar(&l.Messages, "n", 1000, "messages")
	flag.IntVar(&l.Connections, "c", 50, "connections at a time")
	flag.BoolVar(&l.Reuse, "reuse", false, "send many messages over a connection")
	flag.IntVar(&l.Size, "size", 4096, "bytes per message")
	flag.Parse()
	l.Prefix = strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := run(l, endpoint); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(l rig.Load, endpoint string) error {
	target := l.Addr
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil {
			return err
		}
		target = u.Host
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return errors.New(host + " is not a loopback address")
	}
	var done *rig.Loaded
	if endpoint != "" {
		done = l.RunHTTP(endpoint)
	} else {
		done = l.Run()
	}
	fmt.Printf("%d of %d accepted in %v: %.0f/s, p50 %v\n", len(done.Accepted), l.Messages,
		done.Elapsed.Round(time.Millisecond), done.Rate(), done.Median().Round(10*time.Microsecond))
	return done.Err
}
