// Package queue keeps accepted mail until every recipient is settled, and remembers what became of
// it.
//
// Doors hand mail in with Submit. Run tries it until each recipient is delivered or failed. Where
// mail is kept is the Store's business. The recipients of a message that take one way out are a leg
// with attempts of its own; a way out is a lane, with a Deliverer, a dispatcher and a state of its
// own (package lane).
//
// # What it promises
//
//   - Accepted means on disk: Submit returns nil only after Store.Put has.
//   - At least once, never zero times. A recipient is settled by an answer of the next hop or by
//     the end of Config.Lifetime, each one for itself. The only window for a repeat is a crash
//     between the next hop's answer and our write of it: see Window.
//   - The notice of a failure is on disk before the message is finished. There is no bounce for a
//     bounce: what the null sender's mail meets goes out again from Config.Self, once, and what
//     reaches nobody all the same is told to Config.Notices.
//   - A result that cannot be written stops delivery until it is: nothing is sent in a loop because
//     a disk is full.
//   - Trouble of a way spends no message's attempts: its lane waits and is probed. A reply of which
//     only another message can show whether it is about the lane or about its own message alone
//     (Delivery.Own) leaves that one in doubt until then: see doubts.
//   - A claim is the only lock. No leg is tried by two at a time, in this process or in another one
//     on the same Store, but after a holder slept for longer than ClaimTime; what such a one heard
//     is not recorded.
//   - Senders take turns (Store.Claim). Whoever hands in mail does not run far ahead of a next hop
//     that is quick: see inflow.
//   - A leg keeps its lane, unless an operator changes the recipients. When the lane is gone it
//     gets the one that the Router wants for it now, and where that is none the message is held
//     with the lane's name.
//   - Captured mail (Config.Capture) never leaves the machine, whatever the settings say later.
//   - What an operator does is on disk when the method returns, and an attempt that goes on
//     meanwhile neither undoes it nor is forgotten. No attempt begins afterwards that does not know
//     of it. Held mail is not tried and does not expire; what is paused stays so across restarts.
//     Removed mail can be restored until Config.TrashRetention is over.
//
// # Limits
//
// Submit refuses more than Config.MaxRecipients, MaxMessageBytes, MaxMessages and MaxBytes, and a
// record larger than MaxNewRecord. The two of the whole queue are compared when a message begins to
// come in, so messages coming in together may pass them by their own number; the queue's own
// notices always may. Message.Bound bounds a record. MaxLegs bounds the ways of one message.
//
// # Who runs where
//
// Run starts a dispatcher for each lane of Config.Lanes and for each on which something is due; the
// latter end when nothing was to be done for idleTime. A dispatcher claims a few legs at a time and
// makes each attempt in a goroutine of its own, which writes the result too, at most MaxUnwritten
// of them at a time. The janitor looks every minute for mail that outlived its lifetime on a lane
// that waits, and every hour for what need not be kept. An operator's verbs run in the goroutine
// that calls them. All of them end before Run returns. Every other method may be called from any
// goroutine, whether Run runs or not.
package queue

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"dinkymail/internal/events"
)

// MaxUnwritten bounds the results that wait to be written. When so many do, workers wait for the
// store.
const MaxUnwritten = 64

// Queue is the appliance's one queue. It is made by New.
type Queue struct {
	store Store
	next  func(lane string) (Deliverer, error)
	now   atomic.Pointer[Config] // replaced as a whole by Use
	log   *slog.Logger

	nudge     chan struct{} // holds one: a lane that is not in use may have something due
	slots     chan struct{} // a place per attempt, on whatever lane
	unwritten chan struct{} // a place per result that is not written yet
	lanes     lanes
	fault     fault
	fill      filling
	trimming  sync.Mutex // held while surplus captured messages are removed
	count     counters
	meter     meter

	pauses pauses
	losses losses
	hub    events.Hub[Event]
}

type counters struct {
	submitted, delivered, failed, deferred, bounces atomic.Uint64
}

// New makes a queue on s. Lanes gives the Deliverer of a lane by its name, or an error that says
// why there is no such lane; it is asked again when settings change, and from any goroutine. New
// starts nothing, and reads nothing but the notes of s. Lanes may be nil with cfg.Capture, and for
// a queue that never runs.
func New(s Store, lanes func(name string) (Deliverer, error), cfg Config, log *slog.Logger) *Queue {
	q := &Queue{
		store:     s,
		next:      lanes,
		log:       log,
		nudge:     make(chan struct{}, 1),
		slots:     make(chan struct{}, MaxWorkers),
		unwritten: make(chan struct{}, MaxUnwritten),
	}
	q.lanes.of = make(map[string]*dispatcher)
	cfg = cfg.withDefaults()
	q.now.Store(&cfg)
	for _, name := range cfg.Lanes {
		if _, err := q.open(name); err != nil {
			log.Error("lane cannot be used", "lane", name, "err", err)
		}
	}
	q.recallPauses()
	q.recallLosses()
	return q
}

// Upstream is the name of the lane that a queue has without Config.Lanes.
const Upstream = "upstream"

// One is a function for New when all lanes are one Deliverer.
func One(next Deliverer) func(string) (Deliverer, error) {
	return func(string) (Deliverer, error) { return next, nil }
}

// deliverer is who delivers on a lane.
func (q *Queue) deliverer(lane string) (Deliverer, error) {
	if q.cfg().Capture || q.next == nil {
		return nil, nil //nolint:nilnil // nothing is delivered
	}
	return q.next(lane)
}

// cfg is the settings in force.
func (q *Queue) cfg() *Config { return q.now.Load() }

// Use makes cfg the settings from now on: also of mail that waits, and of a held lane, which is
// tried at once. What is being accepted or tried just now may end with the ones before. Capture
// stays as New had it.
func (q *Queue) Use(cfg Config) {
	cfg.Capture = q.cfg().Capture
	cfg = cfg.withDefaults()
	q.now.Store(&cfg)
	q.Wake()
}

// Window is the greatest number of messages that a crash can cause to be delivered a second time.
func (q *Queue) Window() int {
	return min(q.cfg().Workers*len(q.lanes.all()), MaxWorkers) + MaxUnwritten
}

// Get returns the record of a message, or ErrNotFound.
func (q *Queue) Get(id ID) (Message, error) { return q.store.Get(id) }

// Body opens a message's body. A finished message has none: ErrNotFound.
func (q *Queue) Body(id ID) (io.ReadSeekCloser, error) { return q.store.Body(id) }

// List returns a page of at most limit messages that pass f, in the order of acceptance, beginning
// behind after.
func (q *Queue) List(ctx context.Context, f Filter, after ID, limit int) ([]Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return q.store.List(f, after, limit)
}

// State is the message's state as an operator should see it: Message.State, but active while it is
// being handed over. The reason is that of an operator who holds it, or, of a queued or deferred
// one, what its lane or the whole queue waits for; else it is empty.
func (q *Queue) State(m *Message) (State, string) {
	s := m.State()
	if s != StateQueued && s != StateDeferred && s != StateHeld {
		return s, ""
	}
	if q.Active(m.ID) {
		return StateActive, ""
	}
	if s == StateHeld {
		return s, m.Held
	}
	if err := q.fault.err(); err != nil {
		return s, "waits for the disk: " + err.Error()
	}
	for leg := range m.Legs {
		if d := q.lanes.get(m.Legs[leg].Lane); d != nil && len(m.openOf(leg)) > 0 {
			if why := d.now().waitsFor(); why != "" {
				return s, why
			}
		}
	}
	return s, ""
}

// Active reports whether a message is being handed over now, or was, and the result is not written
// yet.
func (q *Queue) Active(id ID) bool { return q.store.Begun(id) }

// Lane is the name of the lane that the message takes, or took, or of those where there are
// several, with commas. Captured mail has none.
func (q *Queue) Lane(m *Message) string {
	if len(m.Legs) == 1 {
		return m.Legs[0].Lane
	}
	var names []string
	for i := range m.Legs {
		if name := m.Legs[i].Lane; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// takes reports whether a leg of the message takes a lane.
func (m *Message) takes(lane string) bool {
	return slices.ContainsFunc(m.Legs, func(l Leg) bool { return l.Lane == lane })
}

// laneStatuses is the state of all lanes in use: those of the settings first, then the others by
// name.
func (q *Queue) laneStatuses() []LaneStatus {
	var all []LaneStatus
	for _, d := range q.lanes.all() {
		all = append(all, d.now())
	}
	rank := func(l LaneStatus) int {
		if i := slices.Index(q.cfg().Lanes, l.Name); i >= 0 {
			return i
		}
		return len(q.cfg().Lanes)
	}
	slices.SortFunc(all, func(a, b LaneStatus) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a.Name, b.Name)) })
	return all
}

// laneNames is the names of all lanes in use.
func (q *Queue) laneNames() []string {
	var names []string
	for _, l := range q.laneStatuses() {
		names = append(names, l.Name)
	}
	return names
}

// Status is the queue's health now. It reads no disk.
func (q *Queue) Status() Status {
	lost, latest := q.losses.told()
	return Status{
		Store:     q.store.Stats(),
		Lanes:     q.laneStatuses(),
		Broken:    q.fault.err(),
		Submitted: q.count.submitted.Load(),
		Delivered: q.count.delivered.Load(),
		Failed:    q.count.failed.Load(),
		Deferred:  q.count.deferred.Load(),
		Bounces:   q.count.bounces.Load(),
		Lost:      lost,
		LostLast:  latest,
		Paused:    slices.Clone(q.pauses.all()),
	}
}

// Check says why mail cannot be taken or delivered for the sake of the disk, or nil. It writes to
// the store to find out. A waiting lane is no reason: mail is safe then.
func (q *Queue) Check() error {
	if err := q.fault.err(); err != nil {
		return err
	}
	if err := q.store.Check(); err != nil {
		return fmt.Errorf("write to the queue: %w", err)
	}
	return nil
}

// Wake tells the queue that settings of the next hops changed: waiting lanes are probed at once and
// their waits begin anew.
func (q *Queue) Wake() {
	for _, d := range q.lanes.all() {
		poke(d.wake)
	}
	poke(q.nudge)
}

// poke leaves a token in c, which holds one, without waiting.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
