package journal

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrDamaged: bytes are not what was written, or not there any more.
var ErrDamaged = errors.New("damaged")

// Errors are what the journal answers, in the words of its owner, whose callers need no others.
type Errors struct {
	Closed  error // nothing is taken any more
	NoSpace error // the disk is full, and nothing of the record was kept
	Broken  error // a write or a sync failed before; it is wrapped together with the cause
}

// Fault is why nothing is written any more. It is set once, by the first who finds out, and stays.
type Fault struct {
	broken error
	tell   func(err error)
	err    atomic.Pointer[error]
}

// NewFault returns a fault that is not set. Its error will wrap broken; tell is called with it
// once.
func NewFault(broken error, tell func(err error)) *Fault { return &Fault{broken: broken, tell: tell} }

// Err is why nothing is written any more, or nil.
func (f *Fault) Err() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Set makes cause the reason, unless there is one already, and returns Err.
func (f *Fault) Set(cause error) error {
	err := fmt.Errorf("%w: %w", f.broken, cause)
	if f.err.CompareAndSwap(nil, &err) {
		f.tell(err)
	}
	return f.Err()
}
