package queue

import (
	"context"
	"io"

	"dinkymail/message"
)

// Deliverer hands messages to a next hop.
type Deliverer interface {
	// Ready says why nothing can be delivered at all, such as "no upstream configured", or nil.
	// While it is not nil no attempt is made and all mail waits with that reason. It is cheap and
	// asked often.
	Ready() error
	// Deliver makes one attempt and returns one Result per d.To, in order; they are the caller's to
	// change. There is no error: not getting through is a Result. It ends soon after ctx does.
	Deliver(ctx context.Context, d Delivery) []Result
}

// Delivery is one attempt: a message and those of its recipients who are not settled.
type Delivery struct {
	ID       ID
	Envelope message.Envelope // To has only the recipients to try
	Facts    message.Facts
	Size     int64
	Body     io.ReadSeeker // at its start; the Deliverer does not close it
	// Dialogue is called at most once, with what was said, when something was not delivered. It may
	// be nil. Passwords are left out, the message's own lines too.
	Dialogue func(lines string)
	// Own is called before Deliver returns for each result with a Pause, by its index, that may be
	// about this message alone after all: a reply to MAIL, RCPT, DATA or the end of the message
	// that speaks of our account, login or limit may mean its sender, its recipient or its text. r
	// is what the result is then, without Pause, and without advice about the account. Whether it
	// is so another message shows. It may be nil.
	Own func(i int, r Result)
}
