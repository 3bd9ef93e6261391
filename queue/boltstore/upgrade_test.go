package boltstore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
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
		for _, name := range [][]byte{bucketOf[removed], orderOf[removed], notes} {
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

// A store in which something is held, removed or noted is not for earlier versions, which would deliver it; any other is.
func TestSchemaFollowsContents(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	id := mustKeep(t, s, "first")
	for _, step := range []struct {
		name string
		do   func() error
		want int
	}{
		{"plain", func() error { return nil }, schemaPlain},
		{"held", changing(&s, id, func(m *queue.Message) { m.Held = "wait" }), schema},
		{"released", changing(&s, id, func(m *queue.Message) { m.Held = "" }), schemaPlain},
		{"removed", changing(&s, id, func(m *queue.Message) { m.Removed = time.Now() }), schema},
		{"restored", changing(&s, id, func(m *queue.Message) { m.Removed = time.Time{} }), schemaPlain},
		{"noted", func() error { return s.SetNote("a", "b") }, schema},
		{"not noted", func() error { return s.SetNote("a", "") }, schemaPlain},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		shut(t, s)
		var p progress
		inIndex(t, dir, func(tx *bolt.Tx) error { return cbor.Unmarshal(tx.Bucket(meta).Get(stateKey), &p) })
		if p.Schema != step.want {
			t.Errorf("%s: schema %d, want %d", step.name, p.Schema, step.want)
		}
		s = open(t, dir, Config{})
	}
	shut(t, s)
}

func changing(s **Store, id queue.ID, how func(*queue.Message)) func() error {
	return func() error {
		_, err := (*s).Update(id, how)
		return err
	}
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
