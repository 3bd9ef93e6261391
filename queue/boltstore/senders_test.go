package boltstore

import (
	"bytes"
	"errors"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
	"dinkymail/queue/queuetest"
)

func putAs(t testing.TB, s *Store, user string, due time.Time) queue.ID {
	t.Helper()
	m := queuetest.Message("bob")
	m.Origin.User, m.Legs[0].Next = user, due
	if _, err := s.Put(bytes.NewReader([]byte("x")), func(int64) (queue.Message, error) { return m, nil }); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

// The sender is known again after opening, also of a message whose body was moved meanwhile; a
// store from before senders took turns, with nothing behind the times, opens as it is, and learns
// the sender with the first attempt.
func TestSendersAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	start := time.Now()
	for range 40 {
		putAs(t, s, "mailing", start)
	}
	form := putAs(t, s, "form", start)
	shut(t, s)
	s = open(t, dir, Config{})
	if got := s.claimSome(t, 4); !got[form] {
		t.Error("the form waits for the mailing")
	}
	shut(t, s)
	if err := forgetSenders(s.index.path); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Config{})
	if got := s.claimSome(t, 40); len(got) != 40 || got[form] {
		t.Error("in an old store the order is that of time")
	}
	for id := range s.claimSome(t, 1) {
		if id != form {
			t.Error("the last is not the form")
		}
		if _, err := s.Update(id, func(m *queue.Message) { m.Legs[0].Tries++ }); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, s)
	s = open(t, dir, Config{})
	defer shut(t, s)
	if got := s.claimSome(t, 2); !got[form] {
		t.Error("the form's sender was not learned")
	}
}

func (s *Store) claimSome(t *testing.T, n int) map[queue.ID]bool {
	t.Helper()
	ms, err := s.Claim(firstLane, n)
	if err != nil {
		t.Fatal(err)
	}
	got := map[queue.ID]bool{}
	for i := range ms {
		got[ms[i].ID] = true
	}
	return got
}

// forgetSenders makes an index what it was before senders took turns.
func forgetSenders(path string) error {
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(orderOf[waiting])
		var keys [][]byte
		if err := b.ForEach(func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil }); err != nil {
			return err
		}
		for _, k := range keys {
			if err := b.Put(k, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}
