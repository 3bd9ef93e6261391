package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// A checkpoint holds every note and record as the index has them, with where the bodies are.
// Together with the segments from its own number on it says everything that the index does. So a
// segment before it is needed for the bodies in it alone, and one behind it is never deleted. It is
// written once the segments that only wait for it are as large as it is itself, or as large as one
// segment. So the disk holds at most as much again for its sake, and twice that while it is
// written.

// checkpoints is the newest checkpoint, and what there is to know for the next. It is of Open, then
// of the goroutine that looks after segments.
type checkpoints struct {
	held   journal.Checkpoint
	failed time.Time // when it was last tried in vain to write another
	bare   bool      // the journal does not carry everything by itself: a checkpoint must be written
}

// checkpointPause is how long nothing is tried after that.
const checkpointPause = 10 * time.Second

// placed is what stands in a checkpoint before a record: where its body is.
const placed = 1 + 4 + 8

// checkpointEnd is the last record of a checkpoint.
type checkpointEnd struct {
	Records int  `cbor:"1,keyasint"`
	Notes   int  `cbor:"2,keyasint"`
	Living  bool `cbor:"3,keyasint,omitempty"` // finished mail was left out, for want of space
}

// writeCheckpoint brings what the index has to a new checkpoint, which takes the place of the one
// before. Where space is short, living leaves out finished mail, of which only the history is lost
// if the index is.
func (s *Store) writeCheckpoint(living bool) error {
	var w *journal.CheckpointWriter
	err := s.index.view(func(tx *bolt.Tx) error {
		p, err := progressIn(tx)
		if err != nil {
			return err
		}
		if w, err = s.journal.BeginCheckpoint(p.Seg); err != nil {
			return err
		}
		f := filling{w: w, quit: s.quit, strict: s.index.carried, end: checkpointEnd{Living: living}}
		return f.fill(tx, p)
	})
	if w == nil {
		return err
	}
	held, err := w.End(err)
	if err != nil {
		return err
	}
	old := s.held
	s.held, s.bare = held, living
	if old.Number == held.Number {
		return nil
	}
	return s.journal.RemoveCheckpoint(old)
}

// filling is a checkpoint that is being written.
type filling struct {
	w      *journal.CheckpointWriter
	quit   <-chan struct{} // closed: it is given up
	strict bool            // a record that cannot be read is an error
	end    checkpointEnd
}

func (f *filling) fill(tx *bolt.Tx, p progress) error {
	for _, n := range p.Notes {
		b, err := n.encode()
		if err != nil {
			return err
		}
		f.end.Notes++
		if err := f.w.Add(&journal.Entry{Kind: kindNote, Meta: b}); err != nil {
			return err
		}
	}
	for k := waiting; k <= removed; k++ {
		if k == finished && f.end.Living {
			continue
		}
		if err := f.records(tx, k); err != nil {
			return err
		}
	}
	end, err := cbor.Marshal(f.end)
	if err != nil {
		return err
	}
	return f.w.Add(&journal.Entry{Kind: kindEnd, Meta: end})
}

func (f *filling) records(tx *bolt.Tx, k kept) error {
	var meta []byte
	return tx.Bucket(bucketOf[k]).ForEach(func(id, v []byte) error {
		select {
		case <-f.quit:
			return queue.ErrClosed
		default:
		}
		p, record, err := parsePlace(k, v)
		if err != nil && !f.strict {
			return nil // set aside by whoever asks for it; an earlier version's index is all there is
		}
		if err != nil || !queue.ID(id).Valid() {
			return fmt.Errorf("%w: record of %s: %w", ErrDamaged, id, errors.Join(err, errRecord))
		}
		meta = append(p.body.append(meta[:0]), record...)
		f.end.Records++
		return f.w.Add(&journal.Entry{Kind: kindRecord, ID: string(id), Meta: meta, Size: p.body.n, Sum: p.body.crc})
	})
}

// append writes where a body is; how long it is and its checksum stand in the head of the record.
func (l location) append(b []byte) []byte {
	b = append(b, byte(l.where))
	b = binary.LittleEndian.AppendUint32(b, l.seg)
	return binary.LittleEndian.AppendUint64(b, uint64(l.off))
}

// parsePlaced takes the meta data of a record of a checkpoint apart.
func parsePlaced(h journal.Head, b []byte) (location, []byte, error) {
	if len(b) < placed || where(b[0]) > inLarge {
		return location{}, nil, errRecord
	}
	return location{where: where(b[0]), seg: binary.LittleEndian.Uint32(b[1:]), off: int64(binary.LittleEndian.Uint64(b[5:])),
		n: h.Body, crc: h.Sum}, b[placed:], nil
}
