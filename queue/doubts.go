package queue

import (
	"slices"
	"strings"
	"time"

	"dinkymail/message"
	"dinkymail/queue/lane"
)

// How replies are dealt with that speak of our account, login or limit and may be about one message
// alone.
const (
	maxDoubted  = 64               // messages that wait for a verdict; of more, the oldest is simply tried again
	maxAtLarge  = 4                // of those, while the lane flows because the like of them were found to be the cause
	lookAt      = 64               // waiting messages looked at to find one that differs
	lookEvery   = time.Second      // a waiting lane is looked at for one, at most so often
	freshFor    = 30 * time.Second // what is older proves nothing of now; shorter than the first wait for a limit
	knownFor    = 10 * time.Minute // how long a sender or domain is remembered to have been the cause
	busyMost    = 5                // times that one message is told that the next hop is busy while it takes others
	maxRecalled = 1000             // messages, and senders and domains, remembered
)

// contrast is in what a message differs from those in doubt.
type contrast uint8

const (
	otherMessage contrast = 1 << iota
	otherDomain           // of the recipients
	otherSender           // in the envelope
)

// doubts are the messages that wait for a verdict. The dispatcher owns them. They stay claimed, so
// that the store gives out others. All of it is in memory: after a restart they are tried again.
type doubts struct {
	list   []*suspect // oldest first, at most maxDoubted
	same   contrast   // how those differed from them that were told the same
	probe  contrast   // how the probe differs that is under way
	shared bool       // several senders were told the same while the lane waits: it was rather the lane
	looked time.Time  // when one that differs was last looked for
	good   time.Time  // when a message was last delivered
	// strikes is how often a message was told that the next hop is busy, or busyMost when others
	// got through after it was refused and it is asked once more.
	strikes map[ID]int
	known   map[string]time.Time // senders, and domains after "@", that were found to be the cause, and when
}

// suspect is an attempt whose replies may be about the lane, or about its message alone.
type suspect struct {
	a     *attempt
	seq   uint64 // the latest attempt that was begun when it was heard
	heard time.Time
	said  lane.Report // with of whom it was said
}

func newDoubts() doubts { return doubts{strikes: map[ID]int{}, known: map[string]time.Time{}} }

// from and domain are whom a suspect's reply may be about.
func (s *suspect) from() string { return s.a.m.Envelope.From.String() }

func (s *suspect) domain() string {
	for i, at := range s.a.tried {
		if _, ok := s.a.own[i]; ok {
			return s.a.m.Envelope.To[at].Domain
		}
	}
	return ""
}

// lenient reports whether a message that was taken at about the same time speaks against it, and
// not only one begun after its reply: a limit may have been reached in between, and must fail
// nobody.
func (s *suspect) lenient() bool {
	for i, r := range s.a.own {
		if r.Outcome == Failed && s.a.results[i].Pause != PauseCredentials {
			return false
		}
	}
	return true
}

// before reports whether all that is in doubt was found to be the message's own at an earlier
// attempt. A limit that fails a message is weighed each time.
func (s *suspect) before() bool {
	for i, r := range s.a.own {
		old := &s.a.m.Results[s.a.tried[i]]
		if r.Outcome == Failed || old.Code != r.Code || old.Status != r.Status || old.Stage != r.Stage {
			return false
		}
	}
	return true
}

// sendsTo reports whether a recipient of m is at the domain.
func (m *Message) sendsTo(domain string) bool {
	return slices.ContainsFunc(m.Envelope.To, func(to message.Recipient) bool { return strings.EqualFold(to.Domain, domain) })
}

// promise is how much a probe with m would show: little, with the like of those that were the cause
// before.
func (d *doubts) promise(m *Message, now time.Time) contrast {
	c := d.differs(m)
	if d.strikes[m.ID] > 0 || d.knows(m.Envelope.From.String(), now) {
		c &= otherMessage
	}
	return c
}

// differs is how m differs from all in doubt.
func (d *doubts) differs(m *Message) contrast {
	if len(d.list) == 0 {
		return 0
	}
	c, from := otherMessage|otherDomain|otherSender, m.Envelope.From.String()
	for _, s := range d.list {
		if s.from() == from {
			c &^= otherSender
		}
		if c&otherDomain != 0 && m.sendsTo(s.domain()) {
			c &^= otherDomain
		}
	}
	return c
}

// several reports whether messages of different senders are in doubt.
func (d *doubts) several() bool {
	return slices.ContainsFunc(d.list, func(s *suspect) bool { return s.from() != d.list[0].from() })
}

func (d *doubts) knows(key string, now time.Time) bool {
	at, ok := d.known[key]
	return ok && now.Sub(at) < knownFor
}

// alike reports whether a suspect's sender or domain was found to be the cause before.
func (d *doubts) alike(s *suspect, now time.Time) bool {
	return d.knows(s.from(), now) || d.knows("@"+strings.ToLower(s.domain()), now)
}

// strike remembers that a message was refused; nothing is lost when that is forgotten.
func (d *doubts) strike(id ID, n int) {
	if len(d.strikes) >= maxRecalled {
		clear(d.strikes)
	}
	d.strikes[id] = n
}

func (d *doubts) note(s *suspect, now time.Time) {
	if len(d.known) >= maxRecalled {
		clear(d.known)
	}
	d.known[s.from()], d.known["@"+strings.ToLower(s.domain())] = now, now
}

// drop takes a leg out, and returns it if it was in.
func (d *doubts) drop(c Claim) *suspect {
	i := slices.IndexFunc(d.list, func(s *suspect) bool { return s.a.claim.ID == c.ID && s.a.claim.Leg == c.Leg })
	if i < 0 {
		return nil
	}
	old := d.list[i]
	d.list = slices.Delete(d.list, i, i+1)
	return old
}

// open reports whether there may be a message of which nothing like it was told the same.
func (d *doubts) open() bool {
	return len(d.list) > 0 && d.same != otherMessage|otherDomain|otherSender
}
