package queue_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dinkymail/message"
	"dinkymail/queue"
	"dinkymail/queue/boltstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore opens the real store in dir; the test shuts it, unless shut has been called before.
func openStore(t testing.TB, dir string) (s queue.Store, shut func()) {
	t.Helper()
	b, err := boltstore.Open(dir, boltstore.Config{SettleDelay: -1}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	shut = sync.OnceFunc(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	t.Cleanup(shut)
	return b, shut
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// hop is a next hop whose answers the test writes. The zero value delivers everything.
type hop struct {
	mu     sync.Mutex
	down   error                                                           // what Ready says
	answer func(ctx context.Context, d queue.Delivery, n int) queue.Result // to each recipient at a message's n-th attempt
	each   func(d queue.Delivery, n int) []queue.Result                    // instead of answer
	tries  []try
	count  map[queue.ID]int
}

// try is one attempt as the hop saw it.
type try struct {
	id     queue.ID
	at     time.Time
	from   string
	to     []string
	body   string
	answer []queue.Result
}

func (h *hop) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

func (h *hop) Deliver(ctx context.Context, d queue.Delivery) []queue.Result {
	body, err := io.ReadAll(d.Body)
	if err != nil {
		return nil
	}
	h.mu.Lock()
	if h.count == nil {
		h.count = make(map[queue.ID]int)
	}
	h.count[d.ID]++
	n, answer, each := h.count[d.ID], h.answer, h.each
	y := try{id: d.ID, at: time.Now(), from: d.Envelope.From.String(), body: string(body)}
	for _, to := range d.Envelope.To {
		y.to = append(y.to, to.String())
	}
	at := len(h.tries)
	h.tries = append(h.tries, y)
	h.mu.Unlock()
	var results []queue.Result
	switch {
	case each != nil:
		results = each(d, n)
	case answer != nil:
		for range d.Envelope.To {
			results = append(results, answer(ctx, d, n))
		}
	default:
		results = slices.Repeat([]queue.Result{delivered}, len(d.Envelope.To))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries[at].answer = results
	return results
}

// set changes the script while the queue runs.
func (h *hop) set(change func(*hop)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// seen is every attempt so far.
func (h *hop) seen() []try {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.tries)
}

// of is every attempt of one message so far.
func (h *hop) of(id queue.ID) []try {
	return slices.DeleteFunc(h.seen(), func(y try) bool { return y.id != id })
}

// notices is every attempt of a message from the null sender so far.
func (h *hop) notices() []try {
	return slices.DeleteFunc(h.seen(), func(y try) bool { return y.from != "" })
}

var (
	delivered = queue.Result{Outcome: queue.Delivered, Code: 250, Status: "2.0.0", Text: "ok", Remote: "mx.example.net:25"}
	refused   = queue.Result{Outcome: queue.Failed, Code: 550, Status: "5.1.1", Text: "no such user", Remote: "mx.example.net:25"}
	later     = queue.Result{Code: 451, Status: "4.3.0", Text: "try later", Remote: "mx.example.net:25"}
	silent    = queue.Result{Text: "connection refused", Remote: "mx.example.net:25", Stage: "connect",
		Pause: queue.PauseUnreachable}
)

func always(r queue.Result) func(context.Context, queue.Delivery, int) queue.Result {
	return func(context.Context, queue.Delivery, int) queue.Result { return r }
}

// book collects the log.
type book struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// lines are the log lines that contain all of what.
func (b *book) lines(what ...string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for l := range strings.Lines(b.b.String()) {
		if !slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(l, w) }) {
			found = append(found, l)
		}
	}
	return found
}

// rig is a queue that runs.
type rig struct {
	*queue.Queue
	t     testing.TB
	store queue.Store
	log   *book
	stop  func() // ends Run and waits for it
}

// settings are what the tests begin with.
func settings() queue.Config {
	return queue.Config{
		Hostname: "mail.example.org",
		Domain:   "example.org",
		Workers:  4,
		Grace:    10 * time.Second,
	}
}

// run starts a queue; it is stopped when the test ends.
func run(t testing.TB, s queue.Store, h queue.Deliverer, cfg queue.Config) *rig {
	t.Helper()
	return runLanes(t, s, queue.One(h), cfg)
}

// runLanes is run with the lanes of a test's own.
func runLanes(t testing.TB, s queue.Store, lanes func(string) (queue.Deliverer, error), cfg queue.Config) *rig {
	t.Helper()
	g := &rig{t: t, store: s, log: &book{}}
	g.Queue = queue.New(s, lanes, cfg, slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(g.stop)
	return g
}

// bubble runs test with a queue in a bubble of its own time.
func bubble(t *testing.T, h *hop, cfg queue.Config, test func(t *testing.T, g *rig)) {
	t.Helper()
	bubbleIn(t, t.TempDir(), h, cfg, test)
}

// bubbleIn is bubble with a store that may have been used before.
func bubbleIn(t *testing.T, dir string, h *hop, cfg queue.Config, test func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, _ := openStore(t, dir)
		test(t, run(t, s, h, cfg))
	})
}

// pass lets d of the bubble's time go by and everything come to rest.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func address(t testing.TB, s string) message.Address {
	t.Helper()
	if s == "" {
		return message.Address{}
	}
	a, err := message.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// letter is a mail from ada to the addresses given.
func letter(t testing.TB, to ...string) queue.Submission {
	t.Helper()
	s := queue.Submission{
		Envelope: message.Envelope{From: address(t, "ada@example.com")},
		Origin:   queue.Origin{Door: "smtp", Client: "127.0.0.1:4242"},
		Trace:    message.Trace{Protocol: "ESMTP", Client: "127.0.0.1", Helo: "there"},
		Body:     strings.NewReader(text),
	}
	for _, a := range to {
		s.Envelope.To = append(s.Envelope.To, message.Recipient{Address: address(t, a)})
	}
	return s
}

const text = "From: ada@example.com\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello, Bob.\r\n"

// send submits a letter and lets everything come to rest.
func (g *rig) send(s queue.Submission) queue.ID {
	g.t.Helper()
	id, err := g.Submit(context.Background(), s)
	if err != nil {
		g.t.Fatal(err)
	}
	synctest.Wait()
	return id
}

// record is the message's record.
func (g *rig) record(id queue.ID) queue.Message {
	g.t.Helper()
	m, err := g.Get(id)
	if err != nil {
		g.t.Fatalf("record of %s: %v", id, err)
	}
	return m
}

// wantState checks what an operator is told.
func (g *rig) wantState(id queue.ID, want queue.State, reason string) {
	g.t.Helper()
	m := g.record(id)
	if got, why := g.State(&m); got != want || !strings.Contains(why, reason) || (reason == "") != (why == "") {
		g.t.Errorf("message %s is %s (%q), want %s (%q)", id, got, why, want, reason)
	}
}

// wantLog checks how many lines of the log contain all of what.
func (g *rig) wantLog(n int, what ...string) {
	g.t.Helper()
	if got := g.log.lines(what...); len(got) != n {
		g.t.Errorf("%d log lines with %q, want %d:\n%s", len(got), what, n, strings.Join(got, ""))
	}
}

// sick is a store in which a test breaks something.
type sick struct {
	queue.Store
	mu     sync.Mutex
	put    error
	update error
	calls  []string // Put and Update in the order in which they succeeded
}

func (s *sick) set(put, update error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put, s.update = put, update
}

func (s *sick) Put(r io.Reader, describe func(int64) (queue.Message, error)) (queue.Message, error) {
	s.mu.Lock()
	err := s.put
	s.mu.Unlock()
	if err != nil {
		return queue.Message{}, err
	}
	m, err := s.Store.Put(r, describe)
	s.note("put", m.Envelope.From.String(), err)
	return m, err
}

func (s *sick) Settle(c queue.Claim, change func(*queue.Message)) (queue.Message, error) {
	s.mu.Lock()
	err := s.update
	s.mu.Unlock()
	if err != nil {
		return queue.Message{}, err
	}
	m, err := s.Store.Settle(c, change)
	s.note("update", m.Envelope.From.String(), err)
	return m, err
}

func (s *sick) note(what, from string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.calls = append(s.calls, fmt.Sprintf("%s <%s>", what, from))
	}
}

// sickBubble is bubble with a store that can be broken.
func sickBubble(t *testing.T, h *hop, cfg queue.Config, test func(t *testing.T, g *rig, s *sick)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, _ := openStore(t, dir)
		s := &sick{Store: b}
		test(t, run(t, s, h, cfg), s)
	})
}
