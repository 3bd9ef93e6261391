package queue

import (
	"bytes"
	"context"
	"io"
	"math"
	"slices"
	"strings"

	"dinkymail/message"
)

// The Result.Stage of a reply about the sender, and about one recipient.
const (
	stageMail = "mail"
	stageRcpt = "rcpt"
)

// ownerless reports whether nobody may be sent a notice about m: it is from the null sender, or a
// notice itself.
func (m *Message) ownerless() bool { return m.Envelope.From.IsNull() || m.Origin.Door == DoorBounce }

// orphaned sees to it that mail does not vanish of which nobody may be sent a notice. Where the
// next hop refuses the null sender the mail is sent again from Config.Self, once; all else that
// fails the operator hears of (see losses). What cannot be stored leaves the recipients in the
// queue.
func (q *Queue) orphaned(ctx context.Context, a *attempt, failed []int) {
	var again, lost []int
	for _, i := range failed {
		switch r := &a.results[i]; {
		case r.Status == statusGivenUp: // the operator knows
			q.log.Info("no bounce: the operator gave up mail of which nobody is told", "id", a.m.ID)
		case a.m.Envelope.From.IsNull() && !q.cfg().Self.IsNull() && r.refusesNull():
			again = append(again, i)
		default:
			lost = append(lost, i)
		}
	}
	if len(again) > 0 {
		if err := q.sendAgain(ctx, a, again); err != nil {
			q.log.Error("mail cannot be stored again: its recipients stay in the queue until it can", "id", a.m.ID, "err", err)
			for _, i := range again {
				a.results[i].Outcome = Deferred
			}
		}
	}
	if len(lost) > 0 {
		q.lose(a, lost)
	}
}

// refusesNull reports whether a failure may be for the sake of the null sender. Some next hops say
// so only to RCPT or at the end of the message, and some mean the From field.
func (r *Result) refusesNull() bool {
	if r.Stage == stageMail && (r.Code != 0 || r.Status == statusExpired) {
		return true
	}
	text := strings.ToLower(r.Text)
	return slices.ContainsFunc([]string{"<>", "sender", "send as", "mail from", "from address", "from header"},
		func(s string) bool { return strings.Contains(text, s) })
}

// sendAgain queues a copy of a mail from the null sender, to some of its recipients, from
// Config.Self. It says Auto-Submitted, so that no machine answers it (RFC 3834), and counts as a
// notice, so that none is made about it.
func (q *Queue) sendAgain(ctx context.Context, a *attempt, about []int) error {
	m := &a.m
	body, err := q.store.Body(m.ID)
	if err != nil {
		return err
	}
	defer body.Close()
	head, err := io.ReadAll(io.LimitReader(body, m.Facts.HeaderSize))
	if err != nil {
		return err
	}
	mark := ""
	if !bytes.Contains(bytes.ToLower(head), []byte("\nauto-submitted:")) {
		mark = "Auto-Submitted: auto-replied\r\n"
	}
	s := Submission{ID: NewID(), Envelope: m.Envelope, Origin: Origin{Door: DoorBounce},
		Body: io.MultiReader(strings.NewReader(mark), bytes.NewReader(head), body)}
	s.Envelope.From, s.Envelope.To = q.cfg().Self, nil
	s.Envelope.UTF8 = s.Envelope.UTF8 || q.cfg().Self.NeedsUTF8()
	for _, i := range about {
		to := m.Envelope.To[a.tried[i]]
		to.Notify = message.NotifyNever
		s.Envelope.To = append(s.Envelope.To, to)
	}
	if m.Origin.Door == DoorBounce {
		s.Trace.From = func(string) (string, bool) {
			return message.Mailbox{Name: mailerName, Address: q.cfg().Self}.String(), true
		}
	}
	copied, err := q.put(ctx, s, math.MaxInt64)
	if err != nil {
		return err
	}
	q.log.Info("null sender refused: sent again from DEFAULT_FROM", "id", m.ID, "from", q.cfg().Self.String(),
		"rcpts", len(about), "text", a.results[about[0]].reply(), "again", copied.ID)
	return nil
}
