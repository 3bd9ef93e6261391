package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"dinkymail/message"
)

// What the operator is told of notices that reach nobody.
const (
	maxLosses   = 50              // named in one mail; of more only the number
	lossesWait  = 2 * time.Second // for others that come together with the first
	lossesEvery = time.Hour       // between two such mails
	noteLosses  = "lost notices"  // the note with the state of losses
)

// losses are the notices, and other mail from the null sender, that could not be delivered: nobody
// may be sent a notice about them. Config.Notices gets one mail about all that were lost, at most
// every lossesEvery.
type losses struct {
	mu   sync.Mutex // guards what follows
	list []string   // one line each, at most maxLosses
	n    uint64     // that are not told yet
	all  uint64     // since the start
	kept lossNote
	old  bool          // some of before the start are not told yet
	news chan struct{} // holds one: the janitor has something to tell
}

// lossNote is what a restart must not forget.
type lossNote struct {
	Latest time.Time `json:"latest"` // when a notice was lost, to within lossesEvery
	Told   time.Time `json:"told"`   // when the operator was sent a mail
	Open   bool      `json:"open"`   // some are not told yet
}

// recallLosses reads what was lost before the start.
func (q *Queue) recallLosses() {
	l := &q.losses
	l.news = make(chan struct{}, 1)
	note := q.store.Notes()[noteLosses]
	if note == "" {
		return
	}
	if err := json.Unmarshal([]byte(note), &l.kept); err != nil {
		q.log.Warn("what notices were lost is not known any more", "err", err)
	}
	if l.old = l.kept.Open; l.old {
		poke(l.news)
	}
}

// lose takes in that a notice reached nobody.
func (q *Queue) lose(a *attempt, about []int) {
	m := &a.m
	to, reply := m.Envelope.To[a.tried[about[0]]].Address, a.results[about[0]].reply()
	what := "mail from the null sender failed, and its sender cannot be told"
	if m.Origin.Door == DoorBounce {
		what = "double bounce: a notice cannot be delivered"
	}
	q.log.Warn(what, "id", m.ID, "rcpt", to.String(), "rcpts", len(about), "text", reply)
	l := &q.losses
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all++
	note := l.kept
	note.Latest = time.Now().UTC()
	if to == q.cfg().Notices || q.cfg().Notices.IsNull() { // a mail about it would go where this one went, or nowhere
		q.log.Error("nobody can be told that a notice was lost", "id", m.ID, "remedy", "set DEFAULT_TO to an address that is read")
	} else {
		if l.n++; len(l.list) < maxLosses {
			l.list = append(l.list, fmt.Sprintf("%s to %s: %s", m.ID, to, reply))
		}
		note.Open = true
		if !l.kept.Open {
			poke(l.news)
		}
	}
	if note.Open != l.kept.Open || note.Latest.Sub(l.kept.Latest) >= lossesEvery {
		q.noteLosses(note)
	}
	l.kept = note
}

// noteLosses writes the note; without it a restart forgets what was lost, which the log has. It is
// called with mu held.
func (q *Queue) noteLosses(n lossNote) {
	text, err := json.Marshal(n)
	if err == nil {
		err = q.store.SetNote(noteLosses, string(text))
	}
	if err != nil {
		q.log.Warn("what notices were lost is not kept", "err", err)
	}
}

// told is how many were lost since the start, and when the last one was.
func (l *losses) told() (n uint64, latest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.kept.Latest
}

// due is how long to wait before the operator is told.
func (l *losses) due() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(max(lossesWait, time.Until(l.kept.Told.Add(lossesEvery))), lossesEvery)
}

// tellLosses sends the mail about what was lost, and reports whether there is nothing more to tell.
func (q *Queue) tellLosses(ctx context.Context) bool {
	l := &q.losses
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.kept.Open || q.cfg().Notices.IsNull() {
		return true
	}
	id := NewID()
	env, body, err := q.lossMail(id)
	if err != nil {
		q.log.Error("the mail about lost notices cannot be written", "err", err)
		return true
	}
	_, err = q.put(ctx, Submission{ID: id, Envelope: env, Origin: Origin{Door: DoorBounce}, Body: body}, math.MaxInt64)
	if err != nil {
		q.log.Error("the mail about lost notices cannot be stored; it is tried again", "err", err)
		return false
	}
	q.log.Info("operator told of lost notices", "n", l.n, "rcpt", q.cfg().Notices.String(), "notice", id)
	l.list, l.n, l.old = nil, 0, false
	l.kept.Open, l.kept.Told = false, time.Now().UTC()
	q.noteLosses(l.kept)
	return true
}

// lossMail is the mail about what was lost. It is from Config.Self, since the null sender may be
// what the next hop refuses, and makes no notice itself: its door is that of notices. It is called
// with mu held.
func (q *Queue) lossMail(id ID) (message.Envelope, io.Reader, error) {
	l := &q.losses
	var text strings.Builder
	fmt.Fprintf(&text, "This is the mail server %s.\n\nMail could not be delivered, and those who sent it could not be told: the notices to "+
		"them, or other mail from the null sender, were refused for good.\n\n", q.cfg().Hostname)
	for _, line := range l.list {
		text.WriteString(line + "\n")
	}
	if more := l.n - uint64(len(l.list)); more > 0 {
		fmt.Fprintf(&text, "and %d more\n", more)
	}
	if l.old {
		text.WriteString("Some were lost before the latest restart; the log names them (double bounce).\n")
	}
	text.WriteString("\ndinkymail show ID says what each was about, and dinkymail log ID what became of it. " +
		"If there are more, you are told in an hour.\n")
	from := q.cfg().Self
	if from.IsNull() {
		from = message.Address{Local: "MAILER-DAEMON", Domain: q.cfg().Domain}
	}
	var body bytes.Buffer
	_, err := message.Draft{
		From:      message.Mailbox{Name: mailerName, Address: from},
		To:        []message.Mailbox{{Address: q.cfg().Notices}},
		Subject:   "Notices that reached nobody",
		Text:      text.String(),
		Headers:   map[string]string{"Auto-Submitted": "auto-generated"},
		MessageID: "<" + string(id) + "@" + q.cfg().Domain + ">",
	}.WriteTo(&body)
	env := message.Envelope{From: q.cfg().Self, To: []message.Recipient{{Address: q.cfg().Notices, Notify: message.NotifyNever}}}
	env.UTF8 = env.From.NeedsUTF8() || q.cfg().Notices.NeedsUTF8()
	return env, &body, err
}
