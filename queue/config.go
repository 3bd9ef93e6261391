package queue

import (
	"slices"
	"time"

	"dinkymail/message"
)

// MaxWorkers bounds Config.Workers, and the attempts at a time on all lanes together.
const MaxWorkers = 1000

// Config holds the queue's settings. Of what is zero, the default named here applies.
type Config struct {
	// Retry is how long to wait after the first, second … attempt; the last one repeats. Each wait
	// is varied by a tenth, so that mail deferred together does not come back together. Default:
	// 1m, 2m, 5m, 10m, 20m, 40m, 1h.
	Retry []time.Duration
	// Lifetime is how long a recipient is tried before it fails. Default: 5 days.
	Lifetime time.Duration
	// HistoryRetention is how long records of finished and of captured mail stay. Default: 30 days.
	HistoryRetention time.Duration

	// TrashRetention is how long removed mail can be restored. Default: 24 hours.
	TrashRetention time.Duration

	MaxBytes        int64 // of all that waits, bodies and records; default 10 GiB
	MaxMessages     int   // waiting; default 1,000,000
	MaxMessageBytes int64 // of one message as submitted; default 25 MiB
	MaxRecipients   int   // of one message; default 1,000
	Workers         int   // attempts at a time, at most; default 10, and never more than MaxWorkers

	Hostname string // our name in Received fields and notices; default "localhost"
	Domain   string // right-hand side of the Message-IDs and of the notices' From; default Hostname

	// Self is the address the appliance itself sends from. Nobody reads bounces there, so they go
	// to Notices instead.
	Self message.Address
	// Author is who a mail without From is from that has no envelope sender either; the zero value:
	// Self.
	Author message.Mailbox
	// Notices is who is told when a sender cannot be. The zero value: nobody but the log.
	Notices message.Address

	// Lanes are the ways out that are always there, the default one first. Default: Upstream alone.
	Lanes []string
	// Router says which recipients take which lane; nil: all take the first of Lanes. A leg keeps
	// its lane when the Router is another later, unless the lane is gone or an operator changes the
	// recipients.
	Router Router

	// Rewriter changes whom mail is from and to before it is kept; nil: nobody.
	Rewriter Rewriter

	// Capture keeps all mail on the machine: what is submitted is captured to be looked at, and
	// what already waits stays here.
	Capture bool
	// MaxCaptured is how many captured messages are kept; the oldest make room. Default: 1,000.
	MaxCaptured int

	// Grace is how long attempts in flight may go on after Run's context ends. Zero means not at
	// all.
	Grace time.Duration
}

// Rewriter says who an address really is. Its methods may be called from any goroutine.
type Rewriter interface {
	// Recipients replaces those who have an alias. One without a domain who still has none
	// afterwards is nobody.
	Recipients(to []message.Recipient) []message.Recipient
	// Sender is the envelope's sender as it goes out.
	Sender(from message.Address) message.Address
	// From is the value of a From field as it goes out; false when it stays.
	From(value string) (string, bool)
}

func (c Config) withDefaults() Config {
	if len(c.Retry) == 0 {
		m := time.Minute
		c.Retry = []time.Duration{m, 2 * m, 5 * m, 10 * m, 20 * m, 40 * m, time.Hour}
	}
	orElse(&c.Lifetime, 5*24*time.Hour)
	orElse(&c.HistoryRetention, 30*24*time.Hour)
	orElse(&c.TrashRetention, 24*time.Hour)
	orElse(&c.MaxBytes, 10<<30)
	orElse(&c.MaxMessages, 1_000_000)
	orElse(&c.MaxMessageBytes, 25<<20)
	orElse(&c.MaxRecipients, 1000)
	orElse(&c.Workers, 10)
	c.Workers = min(c.Workers, MaxWorkers)
	orElse(&c.MaxCaptured, 1000)
	if len(c.Lanes) == 0 {
		c.Lanes = []string{Upstream}
	}
	if c.Hostname == "" {
		c.Hostname = "localhost"
	}
	if c.Domain == "" {
		c.Domain = c.Hostname
	}
	if c.Author.Address.IsNull() {
		c.Author.Address = c.Self
	}
	return c
}

// always reports whether a lane is there whether or not something is due on it.
func (c *Config) always(lane string) bool { return slices.Contains(c.Lanes, lane) }

// orElse replaces a setting that makes no sense.
func orElse[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}
