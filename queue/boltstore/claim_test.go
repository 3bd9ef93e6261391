package boltstore

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

// withLegs accepts a message with two legs on one lane that are due now.
func withLegs(t *testing.T, s *Store) queue.ID {
	t.Helper()
	m := queuetest.Message("bob")
	m.Legs = append(m.Legs, queue.Leg{Lane: firstLane, To: []int{}, Next: m.Accepted})
	if _, err := s.Put(strings.NewReader("x"), func(int64) (queue.Message, error) { return m, nil }); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// While the index cannot be read nothing that was claimed is lost: to begin it is an error,
// released it is given out at once, and nobody seems to work on it.
func TestClaimsOutliveIndexFault(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, noFlush)
	ids := []queue.ID{mustKeep(t, s, "a"), mustKeep(t, s, "b"), mustKeep(t, s, "c")}
	shut(t, s)
	s = open(t, dir, noFlush)
	defer shut(t, s)
	claims, err := s.Claim(firstLane, 10)
	if err != nil || len(claims) != 3 {
		t.Fatal(claims, err)
	}
	if _, err := s.Begin(claims[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.index.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(claims[0]); err != nil {
		t.Errorf("what was read already: %v", err)
	}
	for _, c := range claims[1:] {
		if _, err := s.Begin(c); err == nil || errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrLost) || s.Begun(c.ID) {
			t.Errorf("Begin: %v, begun %v", err, s.Begun(c.ID))
		}
	}
	if _, err := s.ClaimOne(ids[1]); err == nil {
		t.Error("claimed what cannot be read")
	}
	if err := s.Renew(claims[1]); err != nil {
		t.Errorf("Renew: %v", err)
	}
	s.Release(claims...)
	again, err := s.Claim(firstLane, 10)
	if err != nil || len(again) != 3 {
		t.Fatal(again, err)
	}
	if err := s.index.open(); err != nil {
		t.Fatal(err)
	}
	for i, c := range again {
		if m, err := s.Begin(c); err != nil || m.ID != ids[i] {
			t.Errorf("Begin: %v", err)
		}
	}
}

// What cannot be written settles nothing, and its claim goes on until it is.
func TestSettleOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &sickDisk{}
		s := open(t, t.TempDir(), Config{disk: d})
		defer shut(t, s)
		mustKeep(t, s, "a")
		claims, err := s.Claim(firstLane, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Begin(claims[0]); err != nil {
			t.Fatal(err)
		}
		d.sicken(on(syscall.ENOSPC, "/segments/", "write"))
		if _, err := s.Settle(claims[0], done); !errors.Is(err, queue.ErrNoSpace) {
			t.Fatalf("Settle: %v", err)
		}
		pass(queue.ClaimTime - time.Second)
		if got, err := s.Claim(firstLane, 1); len(got) != 0 || err != nil {
			t.Fatalf("claimed by two: %v %v", got, err)
		}
		pass(time.Second)
		again, err := s.Claim(firstLane, 1)
		if err != nil || len(again) != 1 {
			t.Fatalf("a minute later: %v %v", again, err)
		}
		d.heal()
		if _, err := s.Settle(claims[0], done); !errors.Is(err, queue.ErrLost) {
			t.Errorf("Settle of what another one has: %v", err)
		}
		if m, err := s.Settle(again[0], done); err != nil || m.Finished.IsZero() {
			t.Fatal(err)
		}
		if n := len(s.claims.held); n != 0 {
			t.Errorf("%d messages with claims are kept", n)
		}
	})
}

// A claim does not lapse while its result is being written, however long that takes: nobody begins
// what is being settled.
func TestSlowSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), Config{})
		defer shut(t, s)
		mustKeep(t, s, "a")
		claims, err := s.Claim(firstLane, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Settle(claims[0], func(m *queue.Message) {
			pass(2 * queue.ClaimTime)
			if got, err := s.Claim(firstLane, 1); len(got) != 0 || err != nil {
				t.Errorf("claimed by two: %v %v", got, err)
			}
			done(m)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What happens to a message while its record is read for the first time is not overlooked: neither
// a change, nor that its body was moved, nor the end of the claim.
func TestChangeWhileBeginning(t *testing.T) {
	m, now := sample(), time.Now()
	m.Captured, m.Held, m.Removed, m.Finished = false, "", time.Time{}, time.Time{}
	old := state{now: placeOf(&m, location{where: inSegment, seg: 1}), msg: &m}
	begun := func() (claims, queue.Claim) {
		c := newClaims()
		c.changed(m.ID, place{}, old.now, &m, 0)
		taken := c.take(firstLane, 1, now.Add(1000*time.Hour))
		if msg, err := c.begin(taken[0], now); msg != nil || err != nil {
			t.Fatal(msg, err)
		}
		return c, taken[0]
	}
	c, of := begun()
	c.moved(m.ID, location{where: inSegment, seg: 2})
	if msg, err := c.learn(of, old); msg != &m || err != nil || c.known(m.ID).now.body.seg != 2 {
		t.Errorf("moved: %v, %+v", err, c.known(m.ID))
	}
	c, of = begun()
	newer := clone(&m)
	c.changed(m.ID, old.now, old.now, newer, 0)
	if msg, err := c.learn(of, old); msg != newer || err != nil {
		t.Errorf("changed: %v", err)
	}
	c, of = begun()
	c.changed(m.ID, old.now, place{}, nil, 0)
	if _, err := c.learn(of, old); !errors.Is(err, queue.ErrLost) {
		t.Errorf("removed: %v", err)
	}
}

// What stands in the order of time without a record, or with one that cannot be read, is claimed
// once and then forgotten, with all of its legs, and an index without it agrees with itself.
func TestLegsWithoutRecord(t *testing.T) {
	for name, spoil := range map[string]func(b *bolt.Bucket, id []byte) error{
		"gone":       func(b *bolt.Bucket, id []byte) error { return b.Delete(id) },
		"unreadable": func(b *bolt.Bucket, id []byte) error { return b.Put(id, []byte("rubbish")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, noFlush)
			bad := withLegs(t, s)
			good := withLegs(t, s)
			shut(t, s)
			s = open(t, dir, noFlush)
			err := s.index.update(func(tx *bolt.Tx) error { return spoil(tx.Bucket(bucketOf[waiting]), []byte(bad)) })
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // all, then what is left
				claims, err := s.Claim(firstLane, 10)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range claims {
					if _, err := s.Begin(c); c.ID == bad && !errors.Is(err, queue.ErrNotFound) && !errors.Is(err, queue.ErrLost) ||
						c.ID == good && err != nil {
						t.Errorf("Begin of %+v: %v", c, err)
					}
				}
				s.Release(claims...)
			}
			claims, err := s.Claim(firstLane, 10)
			if err != nil || len(claims) != 2 || claims[0].ID != good || claims[1].ID != good {
				t.Errorf("left: %+v, %v", claims, err)
			}
			if err := s.lastFlush(); err != nil {
				t.Fatal(err)
			}
			err = s.index.view(func(tx *bolt.Tx) error {
				if n := tx.Bucket(orderOf[waiting]).Stats().KeyN; n != 2 {
					t.Errorf("%d legs in the order of time", n)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			shut(t, s)
		})
	}
}

// An index with legs behind the first is sound after a crash, too, and who sent what was read from
// it is known again when it is given back.
func TestLegsInIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, noFlush)
	id := withLegs(t, s)
	shut(t, s)
	remove(t, dir, "sum")
	s, log := logged(t, dir)
	defer shut(t, s)
	if log != "" {
		t.Errorf("log: %s", log)
	}
	for range 2 {
		claims, err := s.Claim(firstLane, 1)
		if err != nil || len(claims) != 1 || claims[0].ID != id {
			t.Fatal(claims, err)
		}
		m, err := s.Begin(claims[0])
		if err != nil || s.claims.held[id].now.sender != m.Sender() || s.claims.held[id].grants[0].sender != m.Sender() {
			t.Errorf("%v, claims %+v", err, s.claims.held[id])
		}
		s.Release(claims...)
	}
}
