package boltstore

import "dinkymail/queue"

// lag is what the journal has and the index has not. It is guarded by Store.mu.
type lag struct {
	fresh    map[queue.ID]*state // changed since the last flush began
	flush    map[queue.ID]*state // being flushed; nil when none is
	flushing snapshot            // what that flush writes
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
	return l.flush[id]
}

// take takes in a change.
func (l *lag) take(c *change) {
	id, st := c.id(), &state{base: c.was, now: c.now, msg: c.msg, meta: c.Meta}
	if old := l.fresh[id]; old != nil {
		st.base = old.base
		if c.Kind == kindMove {
			st.msg, st.meta = old.msg, old.meta
		}
	} else if old := l.flush[id]; old != nil {
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

// begin lets what is fresh be flushed, which brings the index to a snapshot. Nothing else is being flushed.
func (l *lag) begin(to snapshot) {
	l.flush, l.fresh = l.fresh, make(map[queue.ID]*state, len(l.fresh))
	to.states = l.flush
	l.flushing = to
}

// end takes in what came of a flush. What failed stays, to be tried again.
func (l *lag) end(err error) {
	l.stuck = err
	if err == nil {
		l.indexed = snapshot{to: l.flushing.to, live: l.flushing.live}
		l.flush, l.flushing = nil, snapshot{}
	}
	close(l.flushed)
	l.flushed = make(chan struct{})
}
