package boltstore

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"

	"dinkymail/queue"
)

// fieldsOf says how many fields the record types have, by schema.
var fieldsOf = map[int]int{1: 45, 2: 48, 3: 48, 4: 53}

// A version that does not know a field would lose it when it writes the record anew. So a record
// type with another number of fields is another schema, and every version before refuses the store.
func TestNewFieldIsNewSchema(t *testing.T) {
	fields := 0
	for _, kind := range []any{record{}, address{}, recipient{}, result{}, attempt{}, answer{}, leg{}} {
		for i := range reflect.TypeOf(kind).NumField() {
			if reflect.TypeOf(kind).Field(i).Name != "_" {
				fields++
			}
		}
	}
	if fieldsOf[schema] != fields {
		t.Errorf("the record types have %d fields, those of schema %d have %d: raise schema, add a line to fieldsOf, and keep a store "+
			"of the last version in testdata", fields, schema, fieldsOf[schema])
	}
}

// A store of every schema there was is opened with all that is in it: mail that waits, was tried,
// is finished or captured, small and large bodies, what is only in the journal, notes. What was
// removed stays away, and the schema is this version's at once, so that no version before takes the
// store for its own. From then on the journal alone gives all of it back, also where the version
// before had deleted segments with records in them.
func TestOlderStores(t *testing.T) {
	names, err := filepath.Glob("testdata/store-*.tar.gz")
	if err != nil || len(names) <= schema {
		t.Fatalf("%d schemas, and stores %v, %v", schema, names, err)
	}
	for _, archive := range names {
		name := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			unpack(t, archive, dir)
			s := open(t, dir, Config{})
			got := describe(t, s)
			golden := filepath.Join("testdata", name+".txt")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if is := schemaIn(t, s); is != schema {
				t.Errorf("schema %d after Open, want %d", is, schema)
			}
			notes := s.Notes()
			if name == "store-2-compacted" && !maps.Equal(notes, map[string]string{"pause:intake": "since noon", "pause:x": "\x00\xff"}) {
				t.Errorf("notes %q", notes)
			}
			shut(t, s)
			remove(t, dir, "queue.db") // the journal carries it all by now
			s = open(t, dir, Config{})
			if got := describe(t, s); got != string(want) || !maps.Equal(s.Notes(), notes) {
				t.Errorf("without the index: %s\n%v, before %v", firstDifference(got, string(want)), s.Notes(), notes)
			}
			mustRead(t, s, mustKeep(t, s, "new"), "new")
			shut(t, s)
		})
	}
}

// A schema that is raised is on the disk before anything else is, and is not raised again.
func TestSchemaIsRaisedAtOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Config{})
	id := mustKeep(t, s, "kept")
	shut(t, s)
	db, err := bolt.Open(filepath.Join(dir, "queue.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		p, err := progressIn(tx)
		p.Schema = schema - 1
		return errors.Join(err, putProgress(tx, p))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, dir, noFlush)
		if is := schemaIn(t, s); is != schema {
			t.Errorf("schema %d after Open, want %d", is, schema)
		}
		mustRead(t, s, id, "kept")
		crash(t, s)
	}
}

func schemaIn(t *testing.T, s *Store) int {
	t.Helper()
	var p progress
	err := s.index.view(func(tx *bolt.Tx) (err error) { p, err = progressIn(tx); return err })
	if err != nil {
		t.Fatal(err)
	}
	return p.Schema
}

// describe lists what a store holds: the record of each message as it would be written now, in
// CBOR's diagnostic notation, and a checksum of its body.
func describe(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	st := s.Stats()
	fmt.Fprintf(&b, "%d waiting with %d bytes, %d finished, %d captured, %d removed, %d damaged\n", st.Waiting, st.Bytes, st.Finished, st.Captured, st.Removed, st.Damaged)
	list, err := s.List(queue.Filter{}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		for i := range m.Results { // the notation has only UTF-8
			m.Results[i].Text = strings.ToValidUTF8(m.Results[i].Text, "?")
		}
		record, err := encode(&m)
		if err != nil {
			t.Fatal(err)
		}
		text, err := cbor.Diagnose(record)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&b, text)
		body, err := s.Body(m.ID)
		if err != nil {
			fmt.Fprintf(&b, " %v\n", err)
			continue
		}
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, " body: %d bytes, %08x\n", n, sum.Sum32())
	}
	return b.String()
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(plain); ; {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(head.Name))
		if head.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var content []byte
			content, err = io.ReadAll(files)
			err = errors.Join(err, os.WriteFile(path, content, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
