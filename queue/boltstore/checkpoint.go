package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// A checkpoint is a file beside the segments that holds every note and record as the index has them, with where the bodies are. It
// bears the number of the segment that was being written: with this segment and those behind it, it says everything that the index
// does. So a segment before it is needed for the bodies in it alone, and one behind it is never deleted. It is written once the
// segments that only wait for it are as large as it is itself, or as large as one segment. So the disk holds at most as much again
// for its sake, and twice that while it is written.
type checkpoint struct {
	number uint32 // 0: there is none
	size   int64
	failed time.Time // when it was last tried in vain to write another
}

// checkpointPause is how long nothing is tried after that.
const checkpointPause = 10 * time.Second

// checkpointSync is how much of a checkpoint is written before it is synced, so that the journal's syncs need not wait for more.
const checkpointSync = 4 << 20

// placed is what stands in a checkpoint before a record: where its body is.
const placed = 1 + 4 + 8

// checkpointEnd is the last record of a checkpoint.
type checkpointEnd struct {
	Records int  `cbor:"1,keyasint"`
	Notes   int  `cbor:"2,keyasint"`
	Living  bool `cbor:"3,keyasint,omitempty"` // finished mail was left out, for want of space
}

const checkpointExt = ".checkpoint"

func (s *Store) checkpointPath(n uint32) string {
	return filepath.Join(s.dir, "segments", fmt.Sprintf("%08d%s", n, checkpointExt))
}

// findCheckpoint looks for the newest checkpoint, and deletes what is left of others.
func (s *Store) findCheckpoint() error {
	dir := filepath.Join(s.dir, "segments")
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	s.held = checkpoint{}
	for _, e := range names { // in the order of their numbers
		name, ok := strings.CutSuffix(e.Name(), checkpointExt)
		n, err := strconv.ParseUint(name, 10, 32)
		if ok && err == nil {
			info, err := e.Info()
			if err != nil {
				return err
			}
			if err := s.dropCheckpoint(s.held.number); err != nil {
				return err
			}
			s.held = checkpoint{number: uint32(n), size: info.Size()}
		} else if strings.HasSuffix(e.Name(), unfinished) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) dropCheckpoint(n uint32) error {
	if n == 0 {
		return nil
	}
	return os.Remove(s.checkpointPath(n))
}

// unfinished ends the name of a checkpoint until all of it is on the disk.
const unfinished = ".new"

// writeCheckpoint brings what the index has to a new checkpoint, which takes the place of the one before. Where space is short,
// living leaves out finished mail, of which only the history is lost if the index is.
func (s *Store) writeCheckpoint(living bool) error {
	var w *checkpointWriter
	err := s.index.view(func(tx *bolt.Tx) error {
		p, err := progressIn(tx)
		if err != nil {
			return err
		}
		if w, err = s.newCheckpoint(p.Seg, living); err != nil {
			return err
		}
		return w.fill(tx, p)
	})
	if w == nil {
		return err
	}
	path := s.checkpointPath(w.seg)
	if err = errors.Join(err, w.f.Close()); err == nil {
		err = s.cfg.disk.rename(path+unfinished, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+unfinished))
	}
	old := s.held.number
	s.held, s.bare = checkpoint{number: w.seg, size: w.off}, living
	if old != w.seg {
		err = s.dropCheckpoint(old)
	}
	return err
}

// checkpointWriter writes records to a file of which nothing is needed before its end is synced.
type checkpointWriter struct {
	s      *Store
	seg    uint32
	f      file
	buf    []byte
	off    int64
	synced int64
	end    checkpointEnd
}

func (s *Store) newCheckpoint(seg uint32, living bool) (*checkpointWriter, error) {
	f, err := s.cfg.disk.open(s.checkpointPath(seg)+unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	return &checkpointWriter{s: s, seg: seg, f: f, buf: headOf(seg, s.salt), end: checkpointEnd{Living: living}}, nil
}

func (w *checkpointWriter) fill(tx *bolt.Tx, p progress) error {
	for _, n := range p.Notes {
		b, err := n.encode()
		if err != nil {
			return err
		}
		w.end.Notes++
		if err := w.add(entryHead{kind: kindNote, meta: len(b)}, b); err != nil {
			return err
		}
	}
	for k := waiting; k <= removed; k++ {
		if k == finished && w.end.Living {
			continue
		}
		if err := w.records(tx, k); err != nil {
			return err
		}
	}
	end, err := cbor.Marshal(w.end)
	if err != nil {
		return err
	}
	if err := w.add(entryHead{kind: kindEnd, meta: len(end)}, end); err != nil {
		return err
	}
	return w.flush(true)
}

func (w *checkpointWriter) records(tx *bolt.Tx, k kept) error {
	var meta []byte
	return tx.Bucket(bucketOf[k]).ForEach(func(id, v []byte) error {
		p, record, err := parsePlace(k, v)
		if err != nil && !w.s.carried {
			return nil // set aside by whoever asks for it; an earlier version's index is all there is
		}
		if err != nil || !queue.ID(id).Valid() {
			return fmt.Errorf("%w: record of %s: %w", ErrDamaged, id, errors.Join(err, errRecord))
		}
		meta = append(p.body.append(meta[:0]), record...)
		w.end.Records++
		return w.add(entryHead{kind: kindRecord, id: queue.ID(id), meta: len(meta), body: p.body.n, crc: p.body.crc}, meta)
	})
}

func (w *checkpointWriter) add(h entryHead, meta []byte) error {
	w.buf = appendRecord(w.buf, h, w.seg, w.s.salt, meta, nil)
	if len(w.buf) < window {
		return nil
	}
	select {
	case <-w.s.quit:
		return queue.ErrClosed
	default:
		return w.flush(w.off-w.synced >= checkpointSync)
	}
}

func (w *checkpointWriter) flush(sync bool) error {
	if _, err := w.f.WriteAt(w.buf, w.off); err != nil {
		return err
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	if !sync {
		return nil
	}
	w.synced = w.off
	return w.f.Sync()
}

// append writes where a body is; how long it is and its checksum stand in the head of the record.
func (l location) append(b []byte) []byte {
	b = append(b, byte(l.where))
	b = binary.LittleEndian.AppendUint32(b, l.seg)
	return binary.LittleEndian.AppendUint64(b, uint64(l.off))
}

// parsePlaced takes the meta data of a record of a checkpoint apart.
func parsePlaced(h entryHead, b []byte) (location, []byte, error) {
	if len(b) < placed || where(b[0]) > inLarge {
		return location{}, nil, errRecord
	}
	return location{where: where(b[0]), seg: binary.LittleEndian.Uint32(b[1:]), off: int64(binary.LittleEndian.Uint64(b[5:])),
		n: h.body, crc: h.crc}, b[placed:], nil
}
