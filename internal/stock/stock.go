// Package stock is a queue with a bit of everything in it, for tests of what shows a queue and acts
// on it.
//
//	synctest.Test(t, func(t *testing.T) {
//		s := stock.Mixed(t)
//		… s.Client …
//	})
//
// # What it promises
//
// It is a real queue on a real disk, asked as operators of an appliance that does not run ask. In a
// bubble of testing/synctest everything about it is the same every time: IDs, times, sizes.
//
// # Who runs where
//
// The queue's goroutines end with the test.
package stock

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

// IDs of the messages of Mixed.
const (
	Deferred queue.ID = "00000000000001d0" // some recipients wait, for different reasons; one is delivered
	Bounce   queue.ID = "00000000000002b0" // has no sender; deferred
	Held     queue.ID = "00000000000003h0" // by the operator, before its first attempt
	Evil     queue.ID = "00000000000004e0" // the next hop's reply is meant for a terminal
	Later    queue.ID = "00000000000005l0" // not to be delivered before tomorrow
	Active   queue.ID = "00000000000006a0" // is being handed over until the test ends
)

// Stock is a queue and the way to it.
type Stock struct {
	Queue  *queue.Queue
	Client operate.Operator

	t    testing.TB
	next *hop
}

// hop is a next hop that answers by the recipient's domain.
type hop struct{ down bool }

func (*hop) Ready() error { return nil }

// Deliver answers for each recipient.
func (h *hop) Deliver(ctx context.Context, d queue.Delivery) []queue.Result {
	results := make([]queue.Result, len(d.Envelope.To))
	for i, to := range d.Envelope.To {
		results[i] = answers[to.Domain]
		if h.down {
			results[i] = queue.Result{Stage: "connect", Pause: queue.PauseUnreachable,
				Text: "connect to mx.example.net:587: connection refused"}
		}
		if to.Domain == "slow.example" {
			<-ctx.Done()
		}
	}
	if d.Dialogue != nil {
		d.Dialogue("C: MAIL FROM:<ada@example.org>\nS: 250 2.1.0 ok\n")
	}
	return results
}

// answers are given to recipients of these domains. Others are deferred without a word.
var answers = map[string]queue.Result{
	"good.example": {Outcome: queue.Delivered, Code: 250, Status: "2.0.0", Text: "taken",
		Remote: "mx.example.net:587", Stage: "body"},
	"grey.example": {Code: 451, Status: "4.7.1", Text: "Greylisted, try again", Remote: "mx.example.net:587", Stage: "rcpt"},
	"dead.example": {Text: "the connection broke: read: connection reset by peer", Remote: "mx.example.net:587", Stage: "body"},
	"evil.example": {Code: 450, Text: "one\r\ntwo \x1b[31mred) 0000000000000000 (\u202e",
		Remote: "mx.example.net:587", Stage: "rcpt"},
}

// Open is an empty queue, which delivers nothing before Start. cfg.Capture makes it capture.
func Open(t testing.TB, cfg queue.Config) *Stock {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := boltstore.Open(t.TempDir(), boltstore.Config{}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg.Hostname, cfg.Domain = "mail.example.org", "example.org"
	s := &Stock{t: t, next: new(hop)}
	s.Queue = queue.New(store, queue.One(s.next), cfg, log)
	s.Client = operate.New(s.Queue, operate.Parts{})
	return s
}

// Start delivers until the test ends.
func (s *Stock) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Queue.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// Down makes the next hop one that nobody reaches. It must be called before Start.
func (s *Stock) Down() { s.next.down = true }

// Put accepts a mail.
func (s *Stock) Put(id queue.ID, text, from string, to ...string) {
	s.t.Helper()
	s.put(queue.Submission{ID: id, Origin: queue.Origin{Door: "smtp", Client: "192.0.2.7:40001", User: "ada"}}, text, from, to...)
}

func (s *Stock) put(sub queue.Submission, text, from string, to ...string) {
	s.t.Helper()
	if from != "" {
		sub.Envelope.From = s.address(from)
	}
	for _, one := range to {
		sub.Envelope.To = append(sub.Envelope.To, message.Recipient{Address: s.address(one)})
	}
	sub.Body = strings.NewReader(text)
	if _, err := s.Queue.Submit(s.t.Context(), sub); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Stock) address(text string) message.Address {
	s.t.Helper()
	a, err := message.ParseAddress(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// Letter is a mail with this subject and as many lines in its body.
func Letter(subject string, lines int) string {
	var b strings.Builder
	b.WriteString("From: Ada <ada@example.org>\r\nTo: Bob <bob@grey.example>\r\nCc: carol@dead.example\r\n" +
		"Reply-To: desk@example.org\r\nSubject: " + subject + "\r\nX-Folded: one\r\n two\r\n\r\n")
	for range lines {
		b.WriteString("The quick brown fox jumps over the lazy dog.\r\n")
	}
	return b.String()
}

// Mixed has all the messages whose IDs are named above, accepted in this order within four hours,
// and tried once where they may be. It must be called in a bubble, whose time it moves, and returns
// when nothing happens any more.
func Mixed(t testing.TB) *Stock {
	t.Helper()
	s := Open(t, queue.Config{})
	s.Put(Deferred, Letter("Two wait", 300), "ada@example.org", "bob@grey.example", "carol@dead.example", "dave@good.example")
	<-time.After(3 * time.Hour)
	s.Put(Bounce, Letter("Returned", 5), "", "zoe@grey.example")
	<-time.After(50 * time.Minute)
	s.Put(Held, Letter("Held", 1), "grace@example.org", "bob@good.example", "eve@good.example")
	if err := s.Queue.Hold(Held, "is this spam?"); err != nil {
		t.Fatal(err)
	}
	<-time.After(5 * time.Minute)
	s.Put(Evil, Letter("Evil", 2), "ada@example.org", "mallory@evil.example")
	s.put(queue.Submission{ID: Later, NotBefore: time.Now().Add(24 * time.Hour),
		Origin: queue.Origin{Door: "http", Client: "127.0.0.1:4000"}},
		Letter("Later", 2), "ada@example.org", "bob@good.example")
	<-time.After(4 * time.Minute)
	s.Put(Active, Letter("Active", 2), "heidi@example.org", "ivan@slow.example")
	s.Start()
	<-time.After(20 * time.Second) // before the first retry
	return s
}
