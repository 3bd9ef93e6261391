package journal

import "errors"

// zerosAhead is how far the segment is filled with zeros before it is needed: a sync that need not
// also record a new file size takes about two thirds of the time. Writes of manyBytes and more are
// not worth it.
const (
	zerosAhead = 1 << 20
	manyBytes  = 64 << 10
)

// tail is the segment that is being written.
type tail struct {
	f      File
	at     Position // the end of what is synced
	filled int64    // zeros are written up to here
	limit  int64    // where to begin a new segment
	zeros  []byte
}

// begin goes on in a file at a position.
func (t *tail) begin(f File, at Position, limit int64) {
	t.f, t.at, t.filled, t.limit = f, at, at.Offset, limit
}

// write puts b at the end. It counts only once advance is called.
func (t *tail) write(b []byte) error {
	if end := t.at.Offset + int64(len(b)); end > t.filled && len(b) < manyBytes {
		if _, err := t.f.WriteAt(t.zeros, t.filled); err == nil {
			t.filled += int64(len(t.zeros))
		} else if !NoSpace(err) {
			return err
		}
	}
	if _, err := t.f.WriteAt(b, t.at.Offset); err != nil {
		return err
	}
	t.filled = max(t.filled, t.at.Offset+int64(len(b)))
	return nil
}

// undo cuts off what was written since the last advance.
func (t *tail) undo() error {
	t.filled = t.at.Offset
	return t.f.Truncate(t.at.Offset)
}

// seal gives up the zeros behind the end and closes the file.
func (t *tail) seal() error {
	f := t.f
	t.f = nil
	return errors.Join(f.Truncate(t.at.Offset), f.Close())
}
