package queue

import (
	"maps"
	"slices"
	"time"

	"dinkymail/message"
	"dinkymail/queue/lane"
)

// Message is the record of one accepted mail: its envelope, what became of each recipient, and what
// was tried. Its body is in the Store under the same ID.
type Message struct {
	ID       ID
	Envelope message.Envelope
	Results  []Result // one per Envelope.To, in order: the latest of each
	Origin   Origin
	Facts    message.Facts
	Size     int64 // bytes of the body, as it will be sent

	Accepted  time.Time
	NotBefore time.Time // not to be delivered earlier; zero: at once
	Legs      []Leg     // the ways its recipients take; none of captured mail
	History   []Attempt // oldest first, at most MaxHistory; see Bound
	Finished  time.Time // zero while a recipient is deferred

	// Captured mail was accepted in development mode. It is kept with its body to be looked at, and
	// never leaves the machine, whatever the settings say later.
	Captured bool

	// Held is why an operator holds the message back; empty while nobody does. It is not tried
	// meanwhile, nor does it expire.
	Held string
	// Removed is when an operator removed the message: it lies in the trash until
	// Config.TrashRetention is over. Messages removed by one action have the same time. Zero
	// otherwise.
	Removed time.Time

	Tags     []string          // the submitter's own words, given back by the API
	Metadata map[string]string // likewise
}

// Clone is a copy that shares nothing with m.
func (m Message) Clone() Message {
	m.Envelope.To = slices.Clone(m.Envelope.To)
	m.Results = slices.Clone(m.Results)
	m.Legs = slices.Clone(m.Legs)
	for i := range m.Legs {
		m.Legs[i].To = slices.Clone(m.Legs[i].To)
	}
	m.History = slices.Clone(m.History)
	for i := range m.History {
		m.History[i].Answers = slices.Clone(m.History[i].Answers)
		for j := range m.History[i].Answers {
			m.History[i].Answers[j].To = slices.Clone(m.History[i].Answers[j].To)
		}
	}
	m.Tags = slices.Clone(m.Tags)
	m.Metadata = maps.Clone(m.Metadata)
	return m
}

// MaxHistory bounds Message.History, in attempts. Its bytes are bounded, too; see Message.Bound for
// what makes room.
const MaxHistory = 100

// The ways in, as Origin.Door names them.
const (
	DoorSMTP     = "smtp"
	DoorHTTP     = "http"
	DoorForm     = "form"     // a visitor over HTTP
	DoorSendmail = "sendmail" // a user of this machine
	DoorBounce   = "bounce"   // a notice of ours
)

// Origin is how a mail came in.
type Origin struct {
	Door   string
	Client string // peer address, host:port
	User   string // the account or key it came with; empty without
}

// Outcome is the state of one recipient. The zero value is Deferred: forgetting delays mail, it
// never loses it.
type Outcome uint8

// A recipient is Deferred until it is Delivered, Failed or Dropped. Only Deferred is ever tried
// again.
const (
	Deferred Outcome = iota
	Delivered
	Failed
	Dropped // taken off by an operator, who may have put another one behind it; nobody is told
)

// String is the word used in the log, the API and the documents.
func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	case Dropped:
		return "dropped"
	default:
		return "deferred"
	}
}

// Result is what one attempt did for one recipient.
type Result struct {
	Outcome Outcome
	Code    int    // the SMTP reply code; 0 when there was none
	Status  string // the enhanced status code such as "5.1.1" (RFC 3463); may be empty
	Text    string // the reply's text, or what went wrong, for the operator and the bounce
	Remote  string // the next hop, host:port; empty when nothing was reached
	Stage   string // the command that was answered: connect, greeting, ehlo, starttls, auth, mail, rcpt, data, body
	Pause   Pause  // set when this says something of the lane and nothing of the message
	Remedy  string // what the operator can do, with a Pause; empty: the lane has general advice
	NoDSN   bool   // delivered to a next hop without the DSN extension, so nobody further on will report (RFC 3461, 5.2.2)
}

// Pause says why a whole lane should wait. A Result with one does not count as an attempt of its
// message.
type Pause = lane.Kind

// NoPause is about the message. The others are about the lane: nobody answers there, our
// credentials are refused, a sending quota is used up, or the next hop wants fewer connections at a
// time, which lowers the concurrency before it stops the lane.
const (
	NoPause          = lane.None
	PauseUnreachable = lane.Unreachable
	PauseCredentials = lane.Credentials
	PauseQuota       = lane.Quota
	PauseBusy        = lane.Busy
)

// Attempt is one try to hand a message to the next hop: what each of the recipients tried was
// answered. Recipients that were answered alike share an Answer.
type Attempt struct {
	At      time.Time
	Took    time.Duration
	Answers []Answer
	// Dialogue is what was said, where something was not delivered: lines beginning "C: " or "S: ",
	// at most MaxDialogue bytes. The newest attempts alone keep theirs.
	Dialogue string
}

// MaxDialogue bounds Attempt.Dialogue, in bytes.
const MaxDialogue = 4096

// Answer is one reply and the recipients it was for, as indexes into Envelope.To.
type Answer struct {
	Result
	To []int
}

// State is a message's state in one word, derived from its record.
type State string

// A message is queued before its first attempt and deferred after it, until every recipient is
// settled; then it is delivered, failed (all of them) or partial; Dropped recipients do not count.
// Captured mail was taken in development mode. Held mail waits for an operator to release it. Mail
// that waits for its lane is queued or deferred; Queue.State gives the reason.
const (
	StateQueued    State = "queued"
	StateDeferred  State = "deferred"
	StateHeld      State = "held"
	StateDelivered State = "delivered"
	StateFailed    State = "failed"
	StatePartial   State = "partial"
	StateCaptured  State = "captured"
	StateActive    State = "active"  // being handed over now; the record does not say so, Queue.State does
	StateRemoved   State = "removed" // by an operator; in the trash
)

// State derives the message's state.
func (m *Message) State() State {
	switch {
	case !m.Removed.IsZero():
		return StateRemoved
	case m.Captured:
		return StateCaptured
	}
	var delivered, failed bool
	for _, r := range m.Results {
		switch r.Outcome {
		case Deferred:
			return m.waiting()
		case Delivered:
			delivered = true
		case Failed:
			failed = true
		}
	}
	switch {
	case delivered && failed:
		return StatePartial
	case failed:
		return StateFailed
	default:
		return StateDelivered
	}
}

// waiting is the state of a message with a recipient that is not settled.
func (m *Message) waiting() State {
	switch {
	case m.Held != "":
		return StateHeld
	case m.Tries() == 0:
		return StateQueued
	default:
		return StateDeferred
	}
}
