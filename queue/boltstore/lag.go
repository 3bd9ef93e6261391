package boltstore

import (
	"maps"

	"dinkymail/queue"
)

// lag is what the journal has and the index has not. It is guarded by Store.mu.
type lag struct {
	fresh    map[queue.ID]*state // changed since the last flush began
	flushing snapshot            // what is being flushed: no states when none is
	flushed  chan struct{}       // closed and replaced whenever a flush ends
	stuck    error               // why the last flush failed
	indexed  snapshot            // what the index has: no states
}

func newLag() lag { return lag{fresh: make(map[queue.ID]*state), flushed: make(chan struct{})} }

// pending is what the index does not know yet of a message; nil when it knows all.
func (l *lag) pending(id queue.ID) *state {
	if st := l.fresh[id]; st != nil {
		return st
	}
	return l.flushing.states[id]
}

// all is what the index does not know yet of all messages.
func (l *lag) all() map[queue.ID]*state {
	all := make(map[queue.ID]*state, len(l.flushing.states)+len(l.fresh))
	maps.Copy(all, l.flushing.states)
	maps.Copy(all, l.fresh)
	return all
}

// take takes in a change.
func (l *lag) take(c *change) {
	id, st := c.id(), &state{base: c.was, now: c.now, msg: c.msg, meta: c.Meta}
	if old := l.fresh[id]; old != nil {
		st.base = old.base
		if c.Kind == kindMove {
			st.msg, st.meta = old.msg, old.meta
		}
	} else if old := l.flushing.states[id]; old != nil {
		st.base = old.now
		if c.Kind == kindMove {
			st.msg, st.meta = old.msg, nil
		}
	}
	if st.base.kept == none && st.now.kept == none {
		delete(l.fresh, id)
	} else {
		l.fresh[id] = st
	}
}

// begin lets what is fresh be flushed, which brings the index to a snapshot. Nothing else is being
// flushed.
func (l *lag) begin(to snapshot) {
	to.states, l.fresh = l.fresh, make(map[queue.ID]*state, len(l.fresh))
	l.flushing = to
}

// end takes in what came of a flush. What failed stays, to be tried again.
func (l *lag) end(err error) {
	l.stuck = err
	if err == nil {
		l.indexed, l.flushing = l.flushing, snapshot{}
		l.indexed.states = nil
	}
	close(l.flushed)
	l.flushed = make(chan struct{})
}
