// Package queuetest is what every queue.Store must pass, whatever it is built on. A store's own
// tests call Suite with a function that opens one.
//
// # What it promises
//
// A store that passes keeps each sentence of queue.Store: what was acknowledged is there after
// Close and open, claims are exclusive, come in order and fairly, records change one after the
// other, lists have all and only what they should. It does not test what only one kind of store can
// suffer, such as damaged files.
//
// # Who runs where
//
// Tests of leases run in a synctest bubble: a store must start its goroutines in open, end them in
// close, and wait on nothing but channels, timers and the disk.
package queuetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// Open opens the store in dir, and gives a function that closes it. It fails the test if it cannot.
type Open = func(t *testing.T, dir string) (store queue.Store, close func())

// Suite runs all tests against what open opens.
func Suite(t *testing.T, open func(t *testing.T, dir string) (store queue.Store, close func())) {
	for name, test := range map[string]func(*testing.T, Open){
		"PutKeepsAll":              putKeepsAll,
		"PutRefusesKnownID":        putRefusesKnownID,
		"PutKeepsNothingOnError":   putKeepsNothingOnError,
		"PutTakesBodiesOfAnySize":  putTakesBodiesOfAnySize,
		"MessagesAreCopies":        messagesAreCopies,
		"UnknownIsNotFound":        unknownIsNotFound,
		"UpdateChanges":            updateChanges,
		"UpdatesDoNotOverwrite":    updatesDoNotOverwrite,
		"FinishedLosesBody":        finishedLosesBody,
		"CapturedKeepsBody":        capturedKeepsBody,
		"RemoveLeavesNoTrace":      removeLeavesNoTrace,
		"TrashKeepsAll":            trashKeepsAll,
		"HeldIsNotClaimed":         heldIsNotClaimed,
		"NotesAreKept":             notesAreKept,
		"ClaimInOrder":             claimInOrder,
		"ClaimTakesTurns":          claimTakesTurns,
		"ClaimIsExclusive":         claimIsExclusive,
		"ClaimEndsWithLease":       claimEndsWithLease,
		"UpdateAndReleaseGiveBack": updateAndReleaseGiveBack,
		"LanesAreApart":            lanesAreApart,
		"LegsSettleApart":          legsSettleApart,
		"LegsAreKept":              legsAreKept,
		"OldClaimIsRefused":        oldClaimIsRefused,
		"RenewedClaimHolds":        renewedClaimHolds,
		"LapsedClaimMayGoOn":       lapsedClaimMayGoOn,
		"UpdateEndsClaims":         updateEndsClaims,
		"SettleLeavesOthers":       settleLeavesOthers,
		"ClaimOneTakesOver":        claimOneTakesOver,
		"ClaimOneWaitsForBegun":    claimOneWaitsForBegun,
		"ClaimOneLapses":           claimOneLapses,
		"RestLetsOthersIn":         restLetsOthersIn,
		"SettlesDoNotOverwrite":    settlesDoNotOverwrite,
		"SharedBySeveral":          sharedBySeveral,
		"NextDue":                  nextDue,
		"ReopenGivesClaimsBack":    reopenGivesClaimsBack,
		"ListPages":                listPages,
		"ExpireForgets":            expireForgets,
		"StatsCount":               statsCount,
		"ClosedSaysSo":             closedSaysSo,
		"RecordsAreBounded":        recordsAreBounded,
		"Hammer":                   hammer,
		"Model":                    model,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// Lane is the lane of the mail in most tests.
const Lane = "upstream"

// Message is a message with something in every field, for one recipient, due at once.
func Message(to string) queue.Message {
	now := time.Now()
	return queue.Message{
		ID: queue.NewID(),
		Envelope: message.Envelope{From: message.Address{Local: "ada", Domain: "example.org"}, UTF8: true, Ret: "HDRS", ID: "env 1",
			To: []message.Recipient{{Address: message.Address{Local: to, Domain: "example.net"},
				Notify: message.NotifyFailure | message.NotifyDelay, Original: "rfc822;" + to + "@example.net"}}},
		Results:  []queue.Result{{Code: 451, Status: "4.3.0", Text: "later\xff", Remote: "mx:25", Stage: "rcpt", Pause: queue.PauseQuota, NoDSN: true}},
		Origin:   queue.Origin{Door: "smtp", Client: "127.0.0.1:9", User: "site"},
		Facts:    message.Facts{Subject: "Grüße", MessageID: "<a@b>", EightBit: true, UTF8Header: true, LongestLine: 78, HeaderSize: 12},
		Accepted: now, NotBefore: now, Legs: []queue.Leg{{Lane: Lane, Next: now, Tries: 1}},
		History: []queue.Attempt{{At: now.Add(-time.Minute), Took: time.Second,
			Answers:  []queue.Answer{{Result: queue.Result{Code: 451, Text: "later"}, To: []int{0}}},
			Dialogue: "C: DATA\nS: 451 later\n"}},
		Tags: []string{"a", "b"}, Metadata: map[string]string{"order": "17"},
	}
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// put accepts m with a body and fails the test if that fails. It returns what the store says it
// keeps.
func put(t failer, s queue.Store, m queue.Message, body string) queue.Message {
	t.Helper()
	got, err := s.Put(bytes.NewReader([]byte(body)), func(size int64) (queue.Message, error) {
		m.Size = size
		return m, nil
	})
	if err != nil {
		t.Fatalf("Put %s: %v", m.ID, err)
	}
	return got
}

// putAt accepts a message that is due at a time.
func putAt(t failer, s queue.Store, due time.Time) queue.ID {
	t.Helper()
	m := Message("bob")
	m.Legs[0].Next = due
	return put(t, s, m, "body of "+string(m.ID)).ID
}

func get(t failer, s queue.Store, id queue.ID) queue.Message {
	t.Helper()
	m, err := s.Get(id)
	if err != nil {
		t.Fatalf("Get %s: %v", id, err)
	}
	return m
}

func body(t failer, s queue.Store, id queue.ID) string {
	t.Helper()
	r, err := s.Body(id)
	if err != nil {
		t.Fatalf("Body %s: %v", id, err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read body %s: %v", id, err)
	}
	return string(b)
}

func update(t failer, s queue.Store, id queue.ID, change func(*queue.Message)) queue.Message {
	t.Helper()
	m, err := s.Update(id, change)
	if err != nil {
		t.Fatalf("Update %s: %v", id, err)
	}
	return m
}

func claim(t failer, s queue.Store, lane string, n int) []queue.Claim {
	t.Helper()
	claims, err := s.Claim(lane, n)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return claims
}

// claimed claims legs on the lane of most tests, and gives the IDs of their messages.
func claimed(t failer, s queue.Store, n int) []queue.ID {
	t.Helper()
	return idsOf(claim(t, s, Lane, n))
}

func idsOf(claims []queue.Claim) []queue.ID {
	out := []queue.ID{}
	for _, c := range claims {
		out = append(out, c.ID)
	}
	return out
}

func claimOne(t failer, s queue.Store, id queue.ID) queue.Claim {
	t.Helper()
	c, err := s.ClaimOne(id)
	if err != nil {
		t.Fatalf("ClaimOne %s: %v", id, err)
	}
	expect(t, "claim on all legs", c.ID == id && c.Leg == queue.AllLegs, true)
	return c
}

func begin(t failer, s queue.Store, c queue.Claim) queue.Message {
	t.Helper()
	m, err := s.Begin(c)
	if err != nil {
		t.Fatalf("Begin %+v: %v", c, err)
	}
	return m
}

func settle(t failer, s queue.Store, c queue.Claim, change func(*queue.Message)) queue.Message {
	t.Helper()
	m, err := s.Settle(c, change)
	if err != nil {
		t.Fatalf("Settle %+v: %v", c, err)
	}
	return m
}

func renew(t failer, s queue.Store, c queue.Claim) {
	t.Helper()
	if err := s.Renew(c); err != nil {
		t.Fatalf("Renew %+v: %v", c, err)
	}
}

// expectOver fails the test unless a claim is over: whoever has it can do nothing with it.
func expectOver(t failer, s queue.Store, c queue.Claim) {
	t.Helper()
	over := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, queue.ErrLost) && !errors.Is(err, queue.ErrNotFound) {
			t.Fatalf("%s of %+v, which is over: %v", what, c, err)
		}
	}
	_, err := s.Begin(c)
	over("Begin", err)
	over("Renew", s.Renew(c))
	_, err = s.Settle(c, func(*queue.Message) { t.Fatal("a claim that is over changes a record") })
	over("Settle", err)
	s.Rest(c)
	s.Release(c)
}

func expectNothingDue(t failer, s queue.Store) {
	t.Helper()
	if at, due := s.NextDue(Lane); due {
		t.Fatalf("something is due at %v", at)
	}
	expect(t, "lanes", len(s.Lanes()), 0)
}

func list(t failer, s queue.Store, f queue.Filter, after queue.ID, limit int) []queue.ID {
	t.Helper()
	ms, err := s.List(f, after, limit)
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return ids(ms)
}

func ids(ms []queue.Message) []queue.ID {
	out := []queue.ID{}
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}

func finish(m *queue.Message) {
	m.Results = []queue.Result{{Outcome: queue.Delivered, Code: 250}}
	m.Finished = time.Now()
	for i := range m.Legs {
		m.Legs[i].Next = time.Time{}
	}
}

func expect[T any](t failer, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func expectError(t failer, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

// same reports whether two messages are the same but for how their times are written.
func same(a, b queue.Message) bool {
	return reflect.DeepEqual(plain(a), plain(b))
}

func plain(m queue.Message) queue.Message {
	for _, t := range []*time.Time{&m.Accepted, &m.Finished, &m.NotBefore, &m.Removed} {
		*t = t.Round(0).UTC()
	}
	m.Legs = slices.Clone(m.Legs)
	for i := range m.Legs {
		m.Legs[i].Next = m.Legs[i].Next.Round(0).UTC()
	}
	m.History = slices.Clone(m.History)
	for i := range m.History {
		m.History[i].At = m.History[i].At.Round(0).UTC()
	}
	return m
}

// reopen closes the store and opens it again.
func reopen(t *testing.T, open Open, dir string, close func()) (queue.Store, func()) {
	t.Helper()
	close()
	return open(t, dir)
}

// Every field of a message and every byte of its body is there after Put, and after closing and
// opening.
func putKeepsAll(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	m := Message("bob")
	text := "Subject: x\r\n\r\n\x00\xff bytes\r\n"
	m.Size = int64(len(text))
	got := put(t, s, m, text)
	for range 2 {
		if !same(got, m) {
			t.Fatalf("got  %+v\nwant %+v", plain(got), plain(m))
		}
		expect(t, "body", body(t, s, m.ID), text)
		s, close = reopen(t, open, dir, close)
		got = get(t, s, m.ID)
	}
	close()
}

// An ID is used once, also when its message is finished, and whatever the index has seen.
func putRefusesKnownID(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	m := Message("bob")
	again := func() error {
		_, err := s.Put(bytes.NewReader(nil), func(int64) (queue.Message, error) { return m, nil })
		return err
	}
	put(t, s, m, "first")
	expectError(t, "waiting", again(), queue.ErrExists)
	expect(t, "body", body(t, s, m.ID), "first")
	s, close = reopen(t, open, dir, close)
	defer func() { close() }()
	expectError(t, "reopened", again(), queue.ErrExists)
	update(t, s, m.ID, finish)
	expectError(t, "finished", again(), queue.ErrExists)
	if err := s.Remove(m.ID); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatalf("after Remove the ID is free: %v", err)
	}
}

// What the body's reader or describe returns comes back as it is, and nothing is kept.
func putKeepsNothingOnError(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	sick := errors.New("sick")
	m := Message("bob")
	for name, r := range map[string]io.Reader{
		"at once": iotest.ErrReader(sick),
		"small":   io.MultiReader(bytes.NewReader(make([]byte, 1000)), iotest.ErrReader(sick)),
		"large":   io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(sick)),
	} {
		_, err := s.Put(r, func(int64) (queue.Message, error) { return m, nil })
		expectError(t, name, err, sick)
	}
	// A body cut off must not pass for a whole one, at any size.
	for _, n := range []int{10, 1 << 20} {
		_, err := s.Put(io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(io.ErrUnexpectedEOF)),
			func(int64) (queue.Message, error) { return m, nil })
		expectError(t, fmt.Sprint("cut off at ", n), err, io.ErrUnexpectedEOF)
	}
	for _, n := range []int{10, 1 << 20} {
		_, err := s.Put(bytes.NewReader(make([]byte, n)), func(int64) (queue.Message, error) { return queue.Message{}, sick })
		expectError(t, "describe", err, sick)
	}
	if _, err := s.Get(m.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("Get after failed Put: %v", err)
	}
	expect(t, "stats", s.Stats(), queue.Stats{})
}

// Bodies of any size come back byte for byte, can be read from anywhere, and their size is told.
func putTakesBodiesOfAnySize(t *testing.T, open Open) {
	dir := t.TempDir()
	s, close := open(t, dir)
	kept := map[queue.ID]string{}
	for _, n := range []int{0, 1, 7, 8, 9, 4096, 16<<10 - 1, 16 << 10, 64<<10 + 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 3<<20 + 5} {
		text := string(bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n])
		m := Message("bob")
		for _, r := range []io.Reader{bytes.NewReader([]byte(text)), iotest.HalfReader(bytes.NewReader([]byte(text)))} {
			m.ID = queue.NewID()
			got, err := s.Put(r, func(size int64) (queue.Message, error) { m.Size = size; return m, nil })
			if err != nil || got.Size != int64(n) {
				t.Fatalf("%d bytes: size %d, %v", n, got.Size, err)
			}
			kept[m.ID] = text
		}
	}
	for range 2 {
		for id, text := range kept {
			if body(t, s, id) != text {
				t.Fatalf("body of %d bytes differs", len(text))
			}
			if len(text) >= 70000 { // TestReader takes time with the square of the size
				continue
			}
			r, err := s.Body(id)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(iotest.TestReader(r, []byte(text)), r.Close()); err != nil {
				t.Fatalf("%d bytes: %v", len(text), err)
			}
		}
		s, close = reopen(t, open, dir, close)
	}
	close()
}

// What is done to a message that was handed in or out does not change the one that is kept.
func messagesAreCopies(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	m := Message("bob")
	m.Legs[0].To = []int{0}
	want := get(t, s, put(t, s, m, "x").ID)
	spoil := func(m queue.Message) {
		m.Envelope.To[0].Local, m.Results[0].Text, m.Tags[0], m.Metadata["order"] = "x", "x", "x", "x"
		m.History[0].Answers[0].To[0], m.History[0].Took = 7, 0
		m.Legs[0].Tries, m.Legs[0].To[0] = 7, 7
	}
	spoil(m)
	spoil(get(t, s, m.ID))
	taken := claim(t, s, Lane, 1)
	spoil(begin(t, s, taken[0]))
	spoil(begin(t, s, taken[0]))
	var kept *queue.Message
	spoil(settle(t, s, taken[0], func(m *queue.Message) { kept = m }))
	spoil(*kept)
	listed, err := s.List(queue.Filter{}, "", 1)
	if err != nil || len(listed) != 1 {
		t.Fatal(listed, err)
	}
	spoil(listed[0])
	spoil(update(t, s, m.ID, func(m *queue.Message) { kept = m }))
	spoil(*kept)
	expect(t, "message", get(t, s, m.ID), want)
}

// Everything about an ID that is not there is ErrNotFound, and releasing it does nothing, as for a
// claim that never was.
func unknownIsNotFound(t *testing.T, open Open) {
	s, close := open(t, t.TempDir())
	defer close()
	id := queue.NewID()
	_, err := s.Get(id)
	expectError(t, "Get", err, queue.ErrNotFound)
	_, err = s.Body(id)
	expectError(t, "Body", err, queue.ErrNotFound)
	_, err = s.Update(id, func(*queue.Message) { t.Error("change of a message that is not there") })
	expectError(t, "Update", err, queue.ErrNotFound)
	expectError(t, "Remove", s.Remove(id), queue.ErrNotFound)
	_, err = s.ClaimOne(id)
	expectError(t, "ClaimOne", err, queue.ErrNotFound)
	expectOver(t, s, queue.Claim{ID: id, Token: 1})
	expect(t, "begun", s.Begun(id), false)
	expect(t, "claimed", claimed(t, s, 10), []queue.ID{})
}

func sorted(m map[queue.ID]bool) []queue.ID { return slices.Sorted(maps.Keys(m)) }
