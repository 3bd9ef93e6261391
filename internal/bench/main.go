// Command bench measures Dinkymail against a tuned Postfix, side by side in one run, and then
// variants of Dinkymail's own work against its plain one, and prints the tables of
// docs/performance.md.
//
//	make bench                      the tables
//	go run ./internal/bench -short  small numbers, one round, and Dinkymail alone where there is no Postfix
//
// # What it promises
//
// Rounds are interleaved (one side, the other, and again), figures are medians over the rounds, and
// only their ratios mean anything on another machine. Every message has an id of its own that is
// looked for at the black hole behind the side: a lost or a repeated one fails the run. Both sides
// sync before they accept and log to a file; Dinkymail has its defaults, Postfix is tuned as
// postfixSide says. CPU is that of all processes of a side.
//
// # Limits
//
// Load generator and black hole run in this process and share the machine with what they measure.
// It needs root and Debian's postfix; both sides keep their files under the system's temporary
// directory, which must be on a real disk. The third side, the proxy smtprelay, is fetched for the
// run; where its module cannot be had, or SMTPRELAY_BINARY names no program, its table is left out.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// plan is what one run measures.
type plan struct {
	rounds      int
	messages    int // per round at 50 connections
	sequence    int // per round with one client
	posts       int // per round over HTTP
	connections int
	size        int
	alone       bool // without Postfix
	short       bool
	variants    bool // the second table too
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == bareVerb {
		exit(serveBare(os.Args[2]))
	}
	p := plan{connections: 50, size: 4096}
	flag.BoolVar(&p.short, "short", false, "small numbers and one round: does it work, not how fast is it")
	flag.IntVar(&p.rounds, "rounds", 3, "rounds of each side")
	flag.IntVar(&p.messages, "messages", 5000, "messages per round at 50 connections")
	out := flag.String("o", "", "write the table to this file too")
	flag.BoolVar(&p.alone, "alone", false, "without Postfix")
	flag.BoolVar(&p.variants, "variants", true, "measure the variants too: sizes, recipients, TLS, slow upstreams, memory")
	flag.Parse()
	p.sequence, p.posts = 500, 10000
	if p.short {
		p.rounds, p.messages, p.sequence, p.posts = 1, 500, 100, 500
	}
	exit(run(p, *out))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(p plan, out string) (err error) {
	dir, err := os.MkdirTemp("", "dinkymail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sides, closeSides, err := openSides(dir, p.alone)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSides()) }()
	began := time.Now()
	for round := range p.rounds {
		for _, s := range sides {
			if err := s.round(p, round); err != nil {
				return fmt.Errorf("%s, round %d: %w", s.name, round+1, err)
			}
		}
		logf("round %d of %d done", round+1, p.rounds)
	}
	web, err := compareHTTP(dir, p)
	if err != nil {
		return fmt.Errorf("HTTP: %w", err)
	}
	var v *variants
	if p.variants {
		if v, err = measureVariants(filepath.Join(dir, "variants"), p); err != nil {
			return fmt.Errorf("variants: %w", err)
		}
	}
	return write(p, sides, web, v, time.Since(began), out)
}

func write(p plan, sides []*side, web *httpFigures, v *variants, took time.Duration, out string) error {
	to := io.Writer(os.Stdout)
	if out != "" {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		defer file.Close()
		to = io.MultiWriter(os.Stdout, file)
	}
	if err := table(to, p, sides, web, took); err != nil || v == nil {
		return err
	}
	return v.table(to)
}

func logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
