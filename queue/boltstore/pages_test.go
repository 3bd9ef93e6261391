package boltstore

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// Whatever bytes of an index are replaced, it is found not to be sound, without a panic, or bbolt
// reads from it what was written.
func FuzzGarbledIndex(f *testing.F) {
	dir := f.TempDir()
	s := open(f, dir, Config{FlushRecords: 20})
	for i := range 60 {
		id := mustKeep(f, s, strings.Repeat("x", i))
		if i%3 == 0 {
			if _, err := s.Update(id, done); err != nil {
				f.Fatal(err)
			}
		}
	}
	shut(f, s)
	path := filepath.Join(dir, "queue.db")
	want := dump(f, path)
	used := usedOf(f, dir)
	f.Add(uint32(0), make([]byte, 4096))
	f.Add(uint32(3*4096+10), []byte{0, 0})
	f.Add(uint32(5*4096), []byte{5, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, at uint32, with []byte) {
		path := filepath.Join(t.TempDir(), "queue.db")
		b := bytes.Clone(used)
		copy(b[at%uint32(len(b)):], with)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		m, ok := readMeta(file)
		if !ok || soundIndex(file, m, true) != nil {
			return
		}
		if got := dump(t, path); got != want {
			t.Errorf("%d bytes at %d: %s", len(with), at, firstDifference(got, want))
		}
	})
}

// dump is all messages that an index has, by bucket.
func dump(t testing.TB, path string) string {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b strings.Builder
	err = db.View(func(tx *bolt.Tx) error {
		for k := waiting; k <= removed; k++ {
			b.Write(bucketOf[k])
			if err := tx.Bucket(bucketOf[k]).ForEach(func(id, v []byte) error {
				b.WriteString("\n" + string(id) + string(v))
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
