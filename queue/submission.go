package queue

import (
	"io"
	"time"

	"dinkymail/message"
)

// Submission is a mail as a door hands it in.
type Submission struct {
	ID ID // made by NewID where the door needs to know it before; empty: Submit makes one
	// Envelope's addresses may be without a domain, as programs on this machine write them.
	// Recipients are then those of the Rewriter, or refused; without a Rewriter, and as senders,
	// they are at Config.Domain.
	Envelope message.Envelope
	// Trace says how the mail came in, for its Received field. Submit fills in ID, By, Domain and
	// Time.
	Trace  message.Trace
	Origin Origin
	Body   io.Reader // RFC 5322, lines ending in CRLF

	NotBefore time.Time // do not deliver earlier; zero: at once
	Tags      []string
	Metadata  map[string]string
}

// Status is the queue's health at one moment.
type Status struct {
	Store Stats
	Lanes []LaneStatus
	// Broken is why nothing is delivered any more: the disk refuses results, or the store broke and
	// takes no mail either. Nil when all is well.
	Broken error
	// Counters since start.
	Submitted, Delivered, Failed, Deferred uint64 // messages accepted from doors; recipients by outcome of an attempt
	Bounces                                uint64 // notices queued
	Lost                                   uint64 // notices, and other mail from the null sender, that reached nobody
	// LostLast is when that happened last, restarts included; zero when it did not.
	LostLast time.Time
	Paused   []PauseStatus
}

// LaneState is the state of a lane in one word.
type LaneState string

// A lane is flowing, or waiting while its next hop as a whole takes no mail, and then probed; or an
// operator paused it, and nothing goes out at all.
const (
	LaneFlowing LaneState = "flowing"
	LaneWaiting LaneState = "waiting"
	LanePaused  LaneState = "paused"
)

// LaneStatus is the state of the way to one next hop.
type LaneStatus struct {
	Name      string
	State     LaneState
	Kind      string    // why it waits, as lane.Kind names it; else ""
	Reason    string    // a sentence for the operator: what is wrong and what to do
	Since     time.Time // when it began to wait, or was paused
	NextProbe time.Time // zero when probes would not help
	InFlight  int       // messages being handed over now
	// Concurrency is how many messages may be handed over at a time now: as many as the next hop
	// was found to take, at most Config.Workers.
	Concurrency int
}
