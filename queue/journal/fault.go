package journal

import (
	"errors"
	"sync/atomic"
)

// Errors of the journal. The first three are answers of Append.
var (
	// ErrClosed: the journal takes nothing any more.
	ErrClosed = errors.New("the journal is closed")
	// ErrNoSpace: the disk is full, and nothing of the record was kept.
	ErrNoSpace = errors.New("no space left for the journal")
	// ErrBroken: a write or a sync failed before; Fault.Cause says which.
	ErrBroken = errors.New("the journal is broken")
	// ErrDamaged: bytes are not what was written.
	ErrDamaged = errors.New("damaged")
)

// Fault is why nothing is written any more. It is set once, by the first who finds out, and stays.
type Fault struct {
	tell  func(cause error)
	cause atomic.Pointer[error]
}

// NewFault returns a fault that is not set yet. tell is called once, when it is.
func NewFault(tell func(cause error)) *Fault { return &Fault{tell: tell} }

// Cause is what was set, or nil.
func (f *Fault) Cause() error {
	if cause := f.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

// Set makes cause the reason, unless there is one already.
func (f *Fault) Set(cause error) {
	if f.cause.CompareAndSwap(nil, &cause) {
		f.tell(cause)
	}
}
