package queue

import (
	"time"
)

// Selection says which messages an operator means: those named in IDs, or those that pass every
// filter that is set. The zero value selects everything that waits, captured mail included; IDs
// that are there and empty select nothing.
//
// A text filter without a wildcard matches anywhere, in any case; with * or ? it matches the whole
// as a shell's pattern does; between slashes it is a regular expression (RE2), in any case. "<>" as
// From selects bounces.
type Selection struct {
	IDs     []ID    `json:"ids,omitzero"`
	From    string  `json:"from,omitempty"`     // the envelope's sender
	To      string  `json:"to,omitempty"`       // any recipient that is not settled, or any at all of a finished message
	Domain  string  `json:"domain,omitempty"`   // the domain of such a recipient, exactly; "*.example.com" has its subdomains
	Subject string  `json:"subject,omitempty"`  //
	Error   string  `json:"error,omitempty"`    // the last reply of such a recipient, as "550 5.1.1 no such user"
	Lane    string  `json:"lane,omitempty"`     // exactly
	States  []State `json:"statuses,omitempty"` // any of them

	Older   time.Duration `json:"older,omitempty"`   // accepted longer ago; nanoseconds in JSON
	Younger time.Duration `json:"younger,omitempty"` // accepted since

	// All selects finished and removed messages too. Naming IDs or States does so by itself.
	All bool `json:"all,omitempty"`
	// Newest puts the newest first.
	Newest bool `json:"newest,omitempty"`
}

// Page is a part of what a Selection selects.
type Page struct {
	Messages []Message
	// Next is where the next page begins, to be given as after; empty when this was the last. A
	// page may be short, or empty, and not be the last: a Selection that matches little is searched
	// a stretch at a time.
	Next ID
}

// Event is something that just happened, for those who watch.
type Event struct {
	At   time.Time `json:"at"`
	Kind EventKind `json:"kind"`
	ID   ID        `json:"id,omitempty"`
	From string    `json:"from,omitempty"` // the envelope's sender; "<>" for none
	To   string    `json:"to,omitempty"`   // one recipient, and how many more: "ada@example.com +3"
	Text string    `json:"text,omitempty"` // a reply of the next hop, or the reason
	Size int64     `json:"size,omitempty"`
	Next time.Time `json:"next,omitzero"` // of a deferred message: the next attempt
	Lane string    `json:"lane,omitempty"`
}

// EventKind is what happened.
type EventKind string

// Kinds of events. Queued is a message's acceptance; Delivered, Deferred and Failed are what an
// attempt did for recipients; the operator's verbs and what happens to a lane have theirs.
const (
	EventQueued    EventKind = "queued"
	EventDelivered EventKind = "delivered"
	EventDeferred  EventKind = "deferred"
	EventFailed    EventKind = "failed"
	EventHeld      EventKind = "held"
	EventReleased  EventKind = "released"
	EventRetried   EventKind = "retried"
	EventRemoved   EventKind = "removed"
	EventRestored  EventKind = "restored"
	EventEdited    EventKind = "edited"
	EventLaneWaits EventKind = "lane waits"
	EventLaneFlows EventKind = "lane flows"
	EventPaused    EventKind = "paused"
	EventResumed   EventKind = "resumed"
)

// Intake is the name under which taking in mail is paused; Everything means it and every lane.
const (
	Intake     = "intake"
	Everything = "all"
)

// PauseStatus is one thing that an operator paused.
type PauseStatus struct {
	What   string    `json:"what"` // Intake or a lane's name
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"` // who paused it last
}
