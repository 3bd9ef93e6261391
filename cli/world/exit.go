package world

import (
	"errors"
	"fmt"
	"syscall"
)

// The exit statuses of sysexits.h.
const (
	ExitUsage        = 64 // the command line is wrong
	ExitData         = 65 // the input is wrong
	ExitNoInput      = 66 // there is no such message, or nothing to read
	ExitNoUser       = 67 // an address that is none
	ExitUnavailable  = 69 // the appliance or its next hop cannot do it
	ExitSoftware     = 70 // a mistake of this program
	ExitOS           = 71 // the system does not do its part
	ExitCantCreate   = 73 // a file cannot be made
	ExitInput        = 74 // reading or writing failed
	ExitTempFail     = 75 // try later
	ExitNoPermission = 77 // no right to
	ExitConfig       = 78 // wrong settings
)

// Exit is an error with the exit status it means. Without Err all has been said already.
type Exit struct {
	Code int
	Err  error
}

// Error is the text of Err.
func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives Err.
func (e *Exit) Unwrap() error { return e.Err }

// Failf makes an Exit of a sentence.
func Failf(code int, format string, args ...any) *Exit {
	return &Exit{code, fmt.Errorf(format, args...)}
}

// Ended is the error of a command that has said everything, and ends with a status: nil for 0.
func Ended(status int) error {
	if status == 0 {
		return nil
	}
	return &Exit{Code: status}
}

// Status is the exit status that an error means, and other where it means none.
func Status(err error, other int) int {
	if exit, ok := errors.AsType[*Exit](err); ok {
		return exit.Code
	}
	return other
}

// Cause is the innermost part of an error of the system, without the path, which the message has
// already.
func Cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// Said reports whether nothing is left to say of an error.
func Said(err error) bool {
	exit, ok := errors.AsType[*Exit](err)
	return ok && exit.Err == nil
}
