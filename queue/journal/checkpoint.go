package journal

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Checkpoint is a file beside the segments. It has the number of the segment that was being
// written: with this segment and those behind it, it says all that the owner knew. The zero value
// is none.
type Checkpoint struct {
	Number uint32
	Size   int64
}

const (
	// CheckpointExt ends the name of a checkpoint.
	CheckpointExt = ".checkpoint"
	// unfinished ends it until all of the checkpoint is on the disk.
	unfinished = ".new"
	// checkpointSync is how much is written before it is synced, so that the journal's syncs need
	// not wait for more.
	checkpointSync = 4 << 20
)

// checkpointPath is that of a checkpoint's file.
func (x *Segments) checkpointPath(n uint32) string {
	return filepath.Join(x.dir, fmt.Sprintf("%08d%s", n, CheckpointExt))
}

// FindCheckpoint looks for the newest checkpoint, and deletes what is left of others.
func (x *Segments) FindCheckpoint() (found Checkpoint, err error) {
	begun, err := x.sizes(CheckpointExt + unfinished)
	for n := range begun {
		err = errors.Join(err, os.Remove(x.checkpointPath(n)+unfinished))
	}
	whole, failed := x.sizes(CheckpointExt)
	for _, n := range slices.Sorted(maps.Keys(whole)) {
		err = errors.Join(err, x.RemoveCheckpoint(found))
		found = Checkpoint{n, whole[n]}
	}
	return found, errors.Join(err, failed)
}

// RemoveCheckpoint deletes a checkpoint, if it is one.
func (x *Segments) RemoveCheckpoint(c Checkpoint) error {
	if c.Number == 0 {
		return nil
	}
	return os.Remove(x.checkpointPath(c.Number))
}

// ReadCheckpoint reads the records of a checkpoint. What is behind the last one is damaged, zeros
// too.
func (x *Segments) ReadCheckpoint(c Checkpoint, s *Scan) error {
	f, err := x.disk.Open(x.checkpointPath(c.Number), os.O_RDONLY)
	if err != nil {
		return err
	}
	r, err := newReader(x.format, f, c.Number, x.Salt)
	if err == nil {
		var end int64
		if end, err = r.scan(SegmentHead, s); err == nil && end < r.size {
			err = s.Damaged(r, end, r.size)
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", x.checkpointPath(c.Number), err)
	}
	return nil
}

// CheckpointWriter writes records to a file of which nothing is needed before its End.
type CheckpointWriter struct {
	x      *Segments
	path   string
	number uint32
	f      File
	buf    []byte
	off    int64
	synced int64
}

// BeginCheckpoint begins a checkpoint of all before segment n.
func (x *Segments) BeginCheckpoint(n uint32) (*CheckpointWriter, error) {
	path := x.checkpointPath(n)
	f, err := x.disk.Open(path+unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	return &CheckpointWriter{x: x, path: path, number: n, f: f, buf: x.format.SegmentHeadOf(n, x.Salt)}, nil
}

// Add writes a record, without an inline body.
func (w *CheckpointWriter) Add(e *Entry) error {
	w.buf = w.x.format.AppendRecord(w.buf, w.number, w.x.Salt, 0, e)
	if len(w.buf) < window {
		return nil
	}
	return w.flush(checkpointSync)
}

// flush writes what was added, and syncs it if that is at least so much since the last sync.
func (w *CheckpointWriter) flush(least int64) error {
	if _, err := w.f.WriteAt(w.buf, w.off); err != nil {
		return err
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	if w.off-w.synced < least {
		return nil
	}
	w.synced = w.off
	return w.f.Sync()
}

// End brings the checkpoint to the disk and gives the file its name, or deletes it because of err.
// The one before stays.
func (w *CheckpointWriter) End(err error) (Checkpoint, error) {
	if err == nil {
		err = w.flush(0)
	}
	if err = errors.Join(err, w.f.Close()); err == nil {
		err = w.x.disk.Rename(w.path+unfinished, w.path)
	}
	if err != nil {
		return Checkpoint{}, errors.Join(err, os.Remove(w.path+unfinished))
	}
	return Checkpoint{Number: w.number, Size: w.off}, nil
}
