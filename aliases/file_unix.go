//go:build unix

package aliases

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openPlain opens a file without waiting for a writer; with here, not through a link either.
func openPlain(name string, here bool) (*os.File, error) {
	flags := os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	if here {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(name, flags, 0)
	if here && errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: it is a link; name the file itself", name)
	}
	return f, err
}
