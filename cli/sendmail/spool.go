package sendmail

import (
	"bytes"
	"errors"
	"io"
	"os"

	"dinkymail/cli/world"
)

// inMemory is how many bytes of a mail are kept in memory; of larger ones the rest is in a
// temporary file without a name.
const inMemory = 1 << 20

// spool keeps what is written to it, to be read as often as need be.
type spool struct {
	head  []byte
	file  *os.File
	size  int64
	limit int64 // zero: none
}

// Write keeps p.
func (s *spool) Write(p []byte) (int, error) {
	if s.limit > 0 && s.size+int64(len(p)) > s.limit {
		return 0, world.Failf(world.ExitUnavailable, "the mail is larger than %d bytes (MESSAGE_MAX_BYTES)", s.limit)
	}
	fits := min(len(p), inMemory-len(s.head))
	s.head = append(s.head, p[:fits]...)
	if fits < len(p) {
		if err := s.open(); err != nil {
			return fits, err
		}
		if n, err := s.file.Write(p[fits:]); err != nil {
			return fits + n, world.Failf(world.ExitOS, "no room for the mail: %w", err)
		}
	}
	s.size += int64(len(p))
	return len(p), nil
}

func (s *spool) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.file, err = os.CreateTemp("", "sendmail-*"); err != nil {
		return world.Failf(world.ExitOS, "no room for the mail: %w", err)
	}
	_ = os.Remove(s.file.Name()) // where a file in use cannot be removed, close does it
	return nil
}

// from reads what was kept, beginning at a byte.
func (s *spool) from(at int64) io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.head[at:])
	}
	rest := max(0, at-inMemory)
	return io.MultiReader(bytes.NewReader(s.head[min(at, inMemory):]), io.NewSectionReader(s.file, rest, s.size-inMemory-rest))
}

func (s *spool) close() {
	if s.file != nil {
		_ = errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	}
}
