package queue

import "time"

// mayLook reports whether a message that differs may be looked for in a lane that waits, before its
// next probe is due.
func (d *dispatcher) mayLook(now time.Time) bool {
	return d.doubts.open() && now.Sub(d.doubts.looked) >= lookEvery
}

// another claims the message for a probe that shows most: from another sender, else to another
// domain, else any other. It looks at lookAt messages, and since senders take turns (see
// Store.Claim) those of another sender are among them. Before the lane's next probe is due it must
// differ in something from all that were told the same; then, when there is no other, it is the
// oldest of those.
func (d *dispatcher) another(now time.Time) ([]Claim, error) {
	d.hold.forgetLast()
	batch, err := d.q.store.Claim(d.name, lookAt)
	if err != nil {
		return nil, err
	}
	if !d.lane.InDoubt() {
		d.doubts.looked = now
	}
	best, how := d.pick(batch, now)
	scheduled := !d.lane.InDoubt() && d.lane.MayProbe(now)
	if !scheduled && how&^d.doubts.same == 0 {
		best = -1
	}
	for i, c := range batch {
		if i != best {
			d.q.store.Release(c)
		}
	}
	d.doubts.probe = how
	switch {
	case best >= 0:
		return batch[best : best+1], nil
	case d.lane.InDoubt() && d.begun() == 0:
		d.lane.Confirm(now)
	case scheduled && len(d.doubts.list) > 0:
		d.doubts.probe = 0
		return d.oldest(now), nil
	}
	return nil, nil
}

// oldest takes the message out that has been in doubt for longest, as it is now, to be tried again.
func (d *dispatcher) oldest(now time.Time) []Claim {
	s := d.doubts.list[0]
	c := s.a.claim
	if d.q.store.Renew(c) == nil {
		d.doubts.drop(c)
		return []Claim{c}
	}
	d.tryAgain(s) // the store knows what is to become of it
	if len(d.doubts.list) == 0 && d.lane.Kind == s.said.Kind {
		d.lane.Open(now) // nothing speaks against it any more
	}
	return nil
}

// pick is the one of a batch that shows most, and how it differs; -1 when there is none.
func (d *dispatcher) pick(batch []Claim, now time.Time) (best int, how contrast) {
	best = -1
	for _, c := range batch {
		d.regained(c)
	}
	for i, c := range batch {
		m, err := d.q.store.Get(c.ID)
		if err != nil || m.Captured {
			continue
		}
		if c := d.doubts.promise(&m, now); best < 0 || c > how {
			best, how = i, c
		}
	}
	return best, how
}
