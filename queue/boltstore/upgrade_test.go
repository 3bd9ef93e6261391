package boltstore

import (
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// A store of the first version, which had no trash and no notes, opens, and all of it is there.
func TestFirstStoreOpens(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	id := mustKeep(t, s, "first")
	shut(t, s)
	inIndex(t, dir, func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketOf[removed], orderOf[removed]} {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	s = open(t, dir, Config{})
	if st := s.Stats(); st.Waiting != 1 || st.Removed != 0 {
		t.Errorf("%+v", st)
	}
	if _, err := s.Update(id, func(m *queue.Message) { m.Removed = time.Now() }); err != nil {
		t.Error(err)
	}
	if err := s.SetNote("a", "b"); err != nil {
		t.Error(err)
	}
	shut(t, s)
}

func inIndex(t *testing.T, dir string, f func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "queue.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
