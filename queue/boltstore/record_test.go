package boltstore

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/journal"
)

func sample() queue.Message {
	at := time.Date(2026, 11, 5, 12, 30, 0, 123456789, time.UTC)
	return queue.Message{
		ID: "06h00000000000av",
		Envelope: message.Envelope{From: message.Address{Local: "ada", Domain: "example.org"}, UTF8: true, Ret: "FULL", ID: "env",
			To: []message.Recipient{{Address: message.Address{Local: "bob", Domain: "example.net"}, Notify: message.NotifyNever, Original: "rfc822;b@x"},
				{Address: message.Address{Local: "eve", Domain: "example.net"}}}},
		Results: []queue.Result{{Outcome: queue.Failed, Code: 550, Status: "5.1.1", Text: "no such \xff user", Remote: "mx:25", Stage: "rcpt",
			Pause: queue.PauseQuota, NoDSN: true}, {}},
		Origin: queue.Origin{Door: "smtp", Client: "127.0.0.1:5", User: "site"},
		Facts:  message.Facts{Subject: "Grüße", MessageID: "<a@b>", EightBit: true, UTF8Header: true, LongestLine: 78, HeaderSize: 300},
		Size:   4711, Accepted: at, Finished: at.Add(2 * time.Hour), Captured: true,
		History: []queue.Attempt{{At: at, Took: time.Second, Dialogue: "C: DATA\nS: 451 \xff\n",
			Answers: []queue.Answer{{Result: queue.Result{Code: 451}, To: []int{0, 1}}}}},
		Tags: []string{"a"}, Metadata: map[string]string{"k": "v"}, NotBefore: at.Add(-time.Hour),
		Held: "a reason \xff", Removed: at.Add(3 * time.Hour),
		Legs: []queue.Leg{{Lane: "upstream", To: []int{1}, Next: at.Add(time.Hour), Tries: 3},
			{Lane: "lane \xff", Next: at.Add(2 * time.Hour), Tries: 4}, {Lane: "", To: []int{}}},
	}
}

// What a record looks like on the disk does not change by accident, and every field comes back.
// UPDATE=1 writes the golden file anew; do so only for new fields, never for a change of old ones.
func TestRecordFormat(t *testing.T) {
	m := sample()
	b, err := encode(&m)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "record.hex")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(hex.EncodeToString(b)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	old, err := hex.DecodeString(strings.TrimSpace(string(want)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(old)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, m) {
		t.Errorf("read back:\n got %+v\nwant %+v", *got, m)
	}
	if string(old) != string(b) {
		t.Errorf("the record is written differently:\n got %x\nwant %x", b, old)
	}
	if c := clone(&m); !reflect.DeepEqual(*c, m) {
		t.Errorf("clone:\n got %+v\nwant %+v", *c, m)
	}
}

// A record of an earlier version, which knew of no legs, is read as one with a single leg, and one
// of the first version, which knew of nothing held, removed or said either, as one where there is
// none of that. What needs nothing new is written as it was then.
func TestEarlierRecordFormats(t *testing.T) {
	third := sample()
	third.Legs = []queue.Leg{{Lane: firstLane, Next: third.Accepted.Add(time.Hour), Tries: 3}}
	first := *clone(&third)
	first.Held, first.Removed, first.History[0].Dialogue = "", time.Time{}, ""
	for name, m := range map[string]queue.Message{"record-1.hex": first, "record-3.hex": third} {
		golden, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		old, err := hex.DecodeString(strings.TrimSpace(string(golden)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(old)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, m) {
			t.Errorf("%s read back:\n got %+v\nwant %+v", name, *got, m)
		}
		if b, err := encode(&m); err != nil || string(b) != string(old) {
			t.Errorf("%s is written differently:\n got %x\nwant %x (%v)", name, b, old, err)
		}
	}
}

// Every field of queue.Message is in sample, so that a field added there and forgotten here is
// noticed. What an operator can do about a lane is said of the lane and not kept with its mail.
func TestSampleIsComplete(t *testing.T) {
	m := sample()
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		if v.IsZero() && !strings.HasSuffix(path, ".Remedy") {
			t.Errorf("%s is zero", path)
		}
		switch {
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for i := range v.NumField() {
				walk(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		case v.Kind() == reflect.Slice:
			walk(v.Index(0), path+"[0]")
		}
	}
	m.History[0].Answers[0].Result, m.History[0].Answers[0].To[0] = m.Results[0], 1
	walk(reflect.ValueOf(m), "Message")
}

// Times beyond what nanoseconds can count are cut to the nearest that they can, and never become
// none.
func TestFarTimes(t *testing.T) {
	for _, at := range []time.Time{time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0)} {
		if n := nanos(at); n == 0 || moment(n).IsZero() {
			t.Errorf("%v became %d", at, n)
		}
	}
	if nanos(time.Time{}) != 0 || !moment(0).IsZero() {
		t.Error("no time became one")
	}
}

// Whatever stands in the journal, Open neither panics nor hangs, the store works, and a second Open
// finds what was accepted.
func FuzzJournal(f *testing.F) {
	m := sample()
	m.Finished, m.Captured = time.Time{}, false
	trash, err := encode(&m)
	if err != nil {
		f.Fatal(err)
	}
	m.Held, m.Removed = "", time.Time{}
	meta, err := encode(&m)
	if err != nil {
		f.Fatal(err)
	}
	body := []byte("body")
	record := func(kind journal.Kind, meta, body []byte) []byte {
		return format.AppendRecord(nil, 1, 7, 0, &journal.Entry{Kind: kind, ID: string(m.ID), Meta: meta, Body: body, Sum: checksum(body)})
	}
	put, set, away, remove := record(kindPut, meta, body), record(kindSet, meta, nil), record(kindSet, trash, nil), record(kindRemove, nil, nil)
	f.Add([]byte{})
	f.Add(put)
	f.Add(append(put[:len(put):len(put)], set...))
	f.Add(append(append([]byte("rubbish!"), put...), remove...))
	f.Add(append(append(put[:len(put):len(put)], away...), set...))
	f.Add(put[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "segments"), 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "segments", "00000001.seg")
		if err := os.WriteFile(path, append(format.SegmentHeadOf(1, 7), b...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, Config{})
		id, before := mustKeep(t, s, "x"), s.Stats()
		shut(t, s)
		s = open(t, dir, Config{})
		mustRead(t, s, id, "x")
		if after := s.Stats(); after != before {
			t.Errorf("stats %+v, before %+v", after, before)
		}
		shut(t, s)
	})
}

// Whatever bytes a record has, reading it gives a message or an error.
func FuzzRecord(f *testing.F) {
	m := sample()
	b, err := encode(&m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(again); err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, back, m)
		}
	})
}
