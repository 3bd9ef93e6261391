package boltstore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"dinkymail/message"
	"dinkymail/queue"
)

// A record that an earlier version let grow to tens of megabytes, in an index that did not count
// what records take, is read, is counted, and shrinks with the next change; what is known of each
// recipient stays.
func TestHugeRecordOfEarlierVersion(t *testing.T) {
	const recipients, attempts = 1000, 60
	dir := t.TempDir()
	s := open(t, dir, Config{})
	id := mustKeep(t, s, "x")
	m, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	m.Envelope.To, m.Results = nil, nil
	a := queue.Attempt{}
	for i := range recipients {
		m.Envelope.To = append(m.Envelope.To, message.Recipient{Address: message.Address{Local: fmt.Sprint(i), Domain: "example.net"}})
		m.Results = append(m.Results, queue.Result{Code: 450, Text: fmt.Sprintf("<%d@example.net> %s", i, strings.Repeat("busy ", 90))})
		a.Answers = append(a.Answers, queue.Answer{Result: m.Results[i], To: []int{i}})
	}
	for n := range attempts {
		a.At = time.Unix(int64(n+1), 0).UTC()
		m.History = append(m.History, a)
	}
	meta, err := encode(&m)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.find(id)
	if err != nil {
		t.Fatal(err)
	}
	c := newChange(kindSet, id, st.now, placeOf(&m, st.now.body))
	c.msg, c.Meta = clone(&m), meta
	if err := s.journal.Append(c); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	inIndex(t, dir, func(tx *bolt.Tx) error {
		p, err := progressIn(tx)
		if err != nil {
			return err
		}
		p.Count.Records = 0
		return putProgress(tx, p)
	})
	s = open(t, dir, Config{})
	if n := s.Stats().Records; n != int64(len(meta)) || n < 16<<20 {
		t.Errorf("records of %d bytes, want %d", n, len(meta))
	}
	if _, err := s.Update(id, func(m *queue.Message) { m.Legs[0].Next = time.Now() }); err != nil {
		t.Fatal(err)
	}
	now, err := s.Get(id)
	if err != nil || s.Stats().Records > 1<<20 || now.History[0].At != m.History[0].At || now.History[len(now.History)-1].At != a.At {
		t.Errorf("%v, records of %d bytes", err, s.Stats().Records)
	}
	for i, r := range now.Results {
		if r != m.Results[i] {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
	shut(t, s)
	s = open(t, dir, Config{})
	defer shut(t, s)
	if n := s.Stats().Records; n <= 0 || n > 1<<20 {
		t.Errorf("records of %d bytes after a restart", n)
	}
}
