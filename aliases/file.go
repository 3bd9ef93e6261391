package aliases

import (
	"errors"
	"fmt"
	"io"
)

// Bounds of what is read.
const (
	MaxFile  = 16 << 20 // bytes of one file
	MaxFiles = 64 << 20 // bytes of all files together, included lists as often as they are named
)

// readFile reads a file of at most most bytes. Whatever may wait for a writer, or has no end, is
// refused: mail is waiting meanwhile. With here, so is a link: who may write a list must not choose
// which file is read.
func readFile(name string, most int64, here bool) (string, error) {
	f, err := openPlain(name, here)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: it is no plain file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if int64(len(text)) > most {
		return "", errors.Join(err, fmt.Errorf("%s: larger than %d bytes", name, most))
	}
	return string(text), err
}
