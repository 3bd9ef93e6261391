package boltstore

import (
	"maps"
	"time"

	"github.com/fxamacker/cbor/v2"

	"dinkymail/queue"
	"dinkymail/queue/journal"
)

// totals is what is known of all messages together. It is guarded by Store.mu.
type totals struct {
	pos     journal.Position // everything before is applied
	written time.Time        // when that was last more
	count   counters
	live    map[uint32]int64 // bytes of each segment that are needed
	notes   map[string]string
	maxID   queue.ID // the greatest ID the index may have
}

func newTotals() totals { return totals{live: make(map[uint32]int64), notes: make(map[string]string)} }

// move follows a message from one place to another.
func (t *totals) move(was, now place) {
	t.count.add(was, -1)
	t.count.add(now, 1)
	t.use(was.body, -1)
	t.use(now.body, 1)
}

// use counts bytes of a segment as needed, or not any more. The head counts too, so that an empty
// body is not nothing.
func (t *totals) use(l location, n int64) {
	if l.where != inSegment {
		return
	}
	t.live[l.seg] += n * (l.n + journal.RecordHead)
	if t.live[l.seg] == 0 {
		delete(t.live, l.seg)
	}
}

// note changes a note as the journal says.
func (t *totals) note(b []byte) error {
	var n note
	if err := cbor.Unmarshal(b, &n); err != nil {
		return err
	}
	if len(n.Text) == 0 {
		delete(t.notes, string(n.Name))
	} else {
		t.notes[string(n.Name)] = string(n.Text)
	}
	return nil
}

// snapshot is what the index says of all messages together once it has all that there is now.
func (t *totals) snapshot(salt uint64, partial bool) snapshot {
	return snapshot{live: maps.Clone(t.live), to: progress{Schema: schema, Salt: salt, Seg: t.pos.Segment, Off: t.pos.Offset,
		Count: t.count, Notes: listed(t.notes), Partial: partial}}
}
