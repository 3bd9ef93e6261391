package queue

import (
	"errors"
	"io"
	"time"
)

// Errors of a Store and of Submit. They say what an answer to the submitter depends on; everything
// else is an internal error.
var (
	ErrNotFound = errors.New("no such message")
	ErrExists   = errors.New("message exists already")
	// ErrNoSpace: the disk is full. Nothing of the message was kept; try again later.
	ErrNoSpace = errors.New("no space left for mail")
	// ErrFull: QUEUE_MAX_MESSAGES or QUEUE_MAX_BYTES is reached. Try again later.
	ErrFull = errors.New("queue is full")
	// ErrTooLarge: the message is larger than MESSAGE_MAX_BYTES, or its record than MaxNewRecord.
	ErrTooLarge = errors.New("message too large")
	// ErrTooManyRecipients: more recipients than Config.MaxRecipients.
	ErrTooManyRecipients = errors.New("too many recipients")
	// ErrNoMailbox: a recipient without a domain who has no alias, while nobody is named for such
	// mail.
	ErrNoMailbox = errors.New("nobody has this name: give it an alias in ALIASES_FILE, or set DEFAULT_TO")
	// ErrNoRecipients: an envelope without a recipient.
	ErrNoRecipients = errors.New("no recipients")
	// ErrBroken: a write to the store failed in a way that makes its state doubtful. No mail is
	// taken until a restart.
	ErrBroken = errors.New("the queue's disk failed; restart once it is mended")
	// ErrClosed: the store is shut.
	ErrClosed = errors.New("queue is shut down")
	// ErrPaused: an operator paused taking mail in. Try again later.
	ErrPaused = errors.New("taking mail in is paused by the operator")
	// ErrActive: the message is being handed over at this moment. Try again when that is done.
	ErrActive = errors.New("message is being delivered at this moment")
	// ErrSettled: all recipients of the message are settled, so there is nothing to do.
	ErrSettled = errors.New("message is settled already")
	// ErrSelection: a filter of a Selection makes no sense, or an unknown lane was named. The error
	// says which.
	ErrSelection = errors.New("bad selection")
)

// Claim is the right to work on a leg of a message, or on all of it. A claim is the only lock there
// is: who holds none may look at a message and change its record, but not try it.
type Claim struct {
	ID    ID
	Leg   int    // number of the leg; AllLegs for a claim of ClaimOne
	Token uint64 // a fencing token: a newer claim on the same leg has another, and what comes with an old one is refused
}

// AllLegs is the Leg of a claim on a whole message.
const AllLegs = -1

// ClaimTime is how long a claim holds that is not renewed. Then somebody else may get the leg.
const ClaimTime = time.Minute

// ErrLost: the claim is over, because somebody else has the leg, an operator changed the message
// before the attempt began, or the leg waits no more.
var ErrLost = errors.New("the claim on the message is lost")

// Store keeps messages. A nil error means: it is on the disk and survives kill -9 and power loss.
// All methods may be called from any goroutine, and by several queues at once. Messages handed out
// are the caller's own copies.
//
// Every Store passes queuetest.Suite.
type Store interface {
	// Put reads body to its end, calls describe with its size, and keeps both. The message that
	// describe returns must have a fresh ID (else ErrExists). An error from body or describe is
	// returned as it is and nothing is kept. It may take less memory than the body has bytes: large
	// ones stream to the disk.
	Put(body io.Reader, describe func(size int64) (Message, error)) (Message, error)
	// Get returns the record of a message, waiting, captured, finished or removed; ErrNotFound
	// otherwise.
	Get(id ID) (Message, error)
	// Body opens a message's body. Finished messages have none (ErrNotFound), captured ones do.
	Body(id ID) (io.ReadSeekCloser, error)
	// Update changes a record on the disk, whoever has claims on it. Claims that nobody has begun
	// are over; those begun go on. The change function sees the record as it is now, and may be
	// called more than once. A record whose Finished becomes non-zero loses its body, unless it is
	// Captured. One whose Removed is set keeps it, and is in the trash: it counts as neither
	// waiting, finished nor captured until Removed is zero. The records that Put, Update and Settle
	// write are bounded (Message.Bound) and have at most MaxRecord bytes; ErrTooLarge otherwise.
	Update(id ID, change func(*Message)) (Message, error)
	// Remove deletes a message and every trace of it, claims included. ErrNotFound if it is not
	// there.
	Remove(id ID) error

	// Claim returns claims on at most n legs of a lane whose Next is not after now, and fewer only
	// when there are no more. All of them or, with an error, none. Those of held and removed
	// messages are not among them, whatever their Next, and NextDue does not speak of them. Those
	// of one Message.Sender come soonest first, by ID where that is the same. The senders take
	// turns: one of whom few legs are due waits for a few of the others, not for all of them; of
	// those with many, each gets the like of the others, and never nothing. It costs about the same
	// however many wait. Nobody else gets what was claimed until it is settled or released, or
	// ClaimTime is over since it was claimed, begun or renewed last. A claim need not be on a disk:
	// a crash may give all of them back.
	Claim(lane string, n int) ([]Claim, error)
	// ClaimOne returns a claim on all legs of a message, for an operator or the janitor. Claims
	// that nobody has begun are over. Those begun go on to their end, and no leg is claimed anew
	// until this claim ends too. ErrActive when such a claim of somebody else is begun;
	// ErrNotFound.
	ClaimOne(id ID) (Claim, error)
	// Begin returns the record as it is now, of a claim that still holds, and keeps operators from
	// taking the claim over until Rest, Release or Settle. ErrLost when the claim is over, or
	// ErrActive of one on all legs while an attempt of one goes on; ErrNotFound.
	Begin(c Claim) (Message, error)
	// Renew lets a claim hold for ClaimTime from now. ErrLost when it is over.
	Renew(c Claim) error
	// Rest keeps a claim of which nothing goes on for now: operators may take it over, and Begin
	// begins it again.
	Rest(c Claim)
	// Settle is Update by the holder of a claim, and ends it. ErrLost when the claim is over;
	// nothing is changed then. Whether a message is finished is for change to decide, since other
	// legs may have been settled meanwhile.
	Settle(c Claim, change func(*Message)) (Message, error)
	// Release ends claims with the records unchanged. What is due may be claimed again at once.
	Release(claims ...Claim)
	// Begun reports whether a leg of the message has a claim that was begun.
	Begun(id ID) bool
	// NextDue is when the next leg of a lane that nobody has claimed will be due; false when there
	// is none. When some are due already it is when one of them was.
	NextDue(lane string) (time.Time, bool)
	// Lanes returns the lanes of all legs that NextDue speaks of, in no order.
	Lanes() []string

	// List returns a page of at most limit messages that pass filter, in the order of their IDs,
	// beginning behind after ("" for the start).
	List(filter Filter, after ID, limit int) ([]Message, error)
	// Expire removes at most limit messages: finished ones that finished before old, captured ones
	// accepted before old, and those in the trash that were removed before trash. It returns how
	// many it removed.
	Expire(old, trash time.Time, limit int) (int, error)
	// SetNote keeps a short text under a name, in place of the one that was there; an empty one
	// deletes it. It is for what seldom changes.
	SetNote(name, text string) error
	// Notes returns all notes. It reads no disk.
	Notes() map[string]string
	// Stats counts what is kept. It is cheap: a scrape may call it.
	Stats() Stats
	// Check proves that the store can be written, by writing.
	Check() error
}

// Filter selects messages for List. The zero value selects all.
type Filter struct {
	Waiting  bool // not finished, captured or removed
	Finished bool
	Captured bool
	Removed  bool // in the trash, whatever it was before; none of the four set: all of them
	Newest   bool // newest first: after is then the upper bound
}

// Stats counts what a Store keeps.
type Stats struct {
	Waiting  int   // messages with a recipient that is not settled, held ones included
	Bytes    int64 // bytes of their bodies
	Records  int64 // bytes of their records
	Finished int
	Captured int
	Held     int       // of Waiting: those an operator holds, or that have no leg with a Next
	Removed  int       // in the trash
	Trash    int64     // bytes of the bodies there
	Oldest   time.Time // when the oldest waiting message was accepted; zero without one
	Damaged  int       // records set aside because they could not be read, bodies of nobody knows whom, and messages whose body could not be read
}
