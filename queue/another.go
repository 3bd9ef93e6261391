package queue

import "time"

// mayLook reports whether a message that differs may be looked for in a lane that waits, before its next probe is due.
func (d *dispatcher) mayLook(now time.Time) bool {
	return d.doubts.open() && !d.lane.probing && !d.lane.probe.IsZero() && now.Sub(d.doubts.looked) >= lookEvery
}

// another claims the message for a probe that shows most: from another sender, else to another domain, else any other. It looks at
// lookAt messages, and since senders take turns (see Store.Claim) those of another sender are among them. Before the lane's next
// probe is due it must differ in something from all that were told the same; then, when there is no other, it is the oldest of those.
func (d *dispatcher) another(now time.Time) ([]Message, error) {
	d.unbench()
	batch, err := d.q.store.Claim(lookAt, lease)
	if err != nil {
		return nil, err
	}
	if d.lane.doubt == NoPause {
		d.doubts.looked = now
	}
	best, how := d.pick(batch, now)
	scheduled := d.lane.doubt == NoPause && d.lane.mayProbe(now)
	if !scheduled && how&^d.doubts.same == 0 {
		best = -1
	}
	for i := range batch {
		if _, busy := d.inflight[batch[i].ID]; i != best && !busy {
			d.q.store.Release(batch[i].ID)
		}
	}
	d.doubts.probe = how
	switch {
	case best >= 0:
		return batch[best : best+1], nil
	case d.lane.doubt != NoPause && d.begun == 0:
		d.lane.confirm(now)
	case scheduled && len(d.doubts.list) > 0:
		d.doubts.probe = 0
		return d.oldest(now), nil
	}
	return nil, nil
}

// oldest takes the message out that has been in doubt for longest, as it is now, to be tried again.
func (d *dispatcher) oldest(now time.Time) []Message {
	s := d.doubts.list[0]
	m, err := d.q.store.Get(s.a.m.ID)
	if err != nil || m.waits() != nil || m.Held != "" || m.NextAttempt.After(now) {
		d.tryAgain(s) // the store knows what is to become of it
		if len(d.doubts.list) == 0 && d.lane.kind == s.pause.String() {
			d.lane.open(now) // nothing speaks against it any more
		}
		return nil
	}
	d.doubts.drop(m.ID)
	return []Message{m}
}

// pick is the one of a batch that shows most, and how it differs; -1 when there is none.
func (d *dispatcher) pick(batch []Message, now time.Time) (best int, how contrast) {
	best = -1
	for i := range batch {
		if _, busy := d.inflight[batch[i].ID]; busy {
			d.inflight[batch[i].ID] = true
			continue
		}
		d.doubts.drop(batch[i].ID) // an operator gave it back
	}
	for i := range batch {
		if _, busy := d.inflight[batch[i].ID]; busy || batch[i].Captured {
			continue
		}
		if c := d.doubts.promise(&batch[i], now); best < 0 || c > how {
			best, how = i, c
		}
	}
	return best, how
}
