package queue

import (
	"context"
	"io"
	"math"
	"strings"
	"time"

	"dinkymail/message"
)

// notify tells the sender what an attempt settled, as far as it wants to know: one notice for all
// recipients that failed, one for all that went where nobody reports a delivery (RFC 3461, 5.2.2).
// If the first cannot be stored its recipients stay deferred; the second is not worth sending mail
// twice for.
func (q *Queue) notify(ctx context.Context, a *attempt) {
	var failed, relayed []int // indexes into a.results
	silenced := 0
	for i, at := range a.tried {
		r, wants := &a.results[i], a.m.Envelope.To[at].Notify
		switch {
		case r.Outcome == Failed && (wants.OnFailure() || a.m.ownerless()): // the operator hears of those
			failed = append(failed, i)
		case r.Outcome == Failed:
			silenced++
		case r.Outcome == Delivered && r.NoDSN && wants.OnSuccess():
			relayed = append(relayed, i)
		}
	}
	if silenced > 0 {
		q.log.Info("no bounce: the sender wants none", "id", a.m.ID, "rcpts", silenced)
	}
	if len(failed) > 0 && a.m.ownerless() {
		q.orphaned(ctx, a, failed)
	} else if len(failed) > 0 {
		if err := q.report(ctx, a, failed, message.ActionFailed); err != nil {
			q.log.Error("bounce cannot be stored: the failed recipients stay in the queue until it can", "id", a.m.ID, "err", err)
			for _, i := range failed {
				a.results[i].Outcome = Deferred
			}
		}
	}
	if len(relayed) > 0 {
		if err := q.report(ctx, a, relayed, message.ActionRelayed); err != nil {
			q.log.Warn("notice of relaying not sent", "id", a.m.ID, "err", err)
		}
	}
}

// report queues one notice about those of a's results, if there is somebody to read it.
func (q *Queue) report(ctx context.Context, a *attempt, about []int, action string) error {
	to, ok := q.reader(&a.m, len(about))
	if !ok {
		return nil
	}
	id := NewID()
	r := q.describe(a, about, action)
	r.To, r.MessageID = to, "<"+string(id)+"@"+q.cfg().Domain+">"
	env, body, err := q.compose(r, a.m.ID)
	if err != nil {
		q.log.Error("notice cannot be written; the sender is not told", "id", a.m.ID, "rcpt", to.String(), "err", err)
		return nil
	}
	_, err = q.put(ctx, Submission{ID: id, Envelope: env, Origin: Origin{Door: DoorBounce}, Body: body}, math.MaxInt64)
	if err != nil {
		return err
	}
	q.count.bounces.Add(1)
	q.log.Info("sender told", "id", a.m.ID, "action", action, "rcpt", to.String(), "rcpts", len(about), "notice", id)
	return nil
}

// compose writes a notice about the message id, with as much of it as can be read.
func (q *Queue) compose(r message.BounceReport, id ID) (message.Envelope, io.Reader, error) {
	original, err := q.store.Body(id)
	if err == nil {
		defer original.Close()
		r.Original = original
		if env, body, err := message.Bounce(r); err == nil {
			return env, body, nil
		}
		r.Original = nil // a notice without the original is better than none
	}
	return message.Bounce(r)
}

// mailerName is whom notices are from, in their header.
const mailerName = "Mail Delivery System"

// reader is who is told what becomes of m: its sender, or Config.Notices where that is ourselves;
// false when nobody can be.
func (q *Queue) reader(m *Message, rcpts int) (message.Address, bool) {
	from := m.Envelope.From
	switch {
	case m.ownerless(): // RFC 5321, 4.5.5: no bounce for a bounce
	case !q.ours(from):
		return from, true
	case !q.cfg().Notices.IsNull():
		return q.cfg().Notices, true
	default:
		q.log.Error("mail of our own failed and nobody can be told", "id", m.ID, "from", from.String(), "rcpts", rcpts,
			"remedy", "set DEFAULT_TO to an address that is read")
	}
	return message.Address{}, false
}

// ours reports whether nobody would find a notice at a: the appliance's own address, or one of an
// account on this machine, such as root@web1, that no next hop can deliver to.
func (q *Queue) ours(a message.Address) bool {
	if a == q.cfg().Self {
		return true
	}
	host := strings.ToLower(a.Domain)
	switch {
	case strings.HasPrefix(host, "["): // an address literal is somewhere
		return false
	case !strings.Contains(host, "."), strings.HasSuffix(host, ".localdomain"):
		return true
	default:
		return host == strings.ToLower(q.cfg().Hostname) && host != strings.ToLower(q.cfg().Domain)
	}
}

// describe fills in what a notice says.
func (q *Queue) describe(a *attempt, about []int, action string) message.BounceReport {
	m := &a.m
	r := message.BounceReport{
		From: message.Mailbox{
			Name:    mailerName,
			Address: message.Address{Local: "MAILER-DAEMON", Domain: q.cfg().Domain},
		},
		Hostname:      q.cfg().Hostname,
		Domain:        q.cfg().Domain,
		ID:            string(m.ID),
		EnvID:         m.Envelope.ID,
		Arrived:       m.Accepted,
		Time:          time.Now(),
		Ret:           m.Envelope.Ret,
		OriginalFacts: m.Facts,
	}
	for _, i := range about {
		to, res := &m.Envelope.To[a.tried[i]], &a.results[i]
		r.Recipients = append(r.Recipients, message.BounceRecipient{
			Address:     to.Address,
			Original:    to.Original,
			Action:      action,
			Status:      res.Status,
			Remote:      res.Remote,
			Diagnostic:  res.reply(),
			LastAttempt: a.at,
		})
	}
	return r
}
