package relay

import (
	"errors"

	"dinkymail/queue"
)

// rcptGroup is how many commands go out before their replies are read. More could fill the buffers of both sides with each
// waiting for the other to read (RFC 2920, 3.1).
const rcptGroup = 100

// idlePatience is after how many times Config.GreetingDelay a connection that idled and does not
// answer is given up for a fresh one.
const idlePatience = 10

// step is a command whose reply is due.
type step struct {
	stage string
	rcpt  int // for stageRcpt
	reset bool
}

// transact is one mail transaction: MAIL, RCPT for each recipient, DATA, the message.
type transact struct {
	a *attempt
	c *conn

	to        []int // recipients, a part of a.todo
	due       []step
	answered  bool  // the next hop said something to MAIL
	taken     []int // recipients that were accepted
	again     []int // those that the next hop wants in another transaction
	refused   bool  // MAIL was
	open      bool  // 354: the next hop waits for the message
	delivered bool
	no        *queue.Result // what was said to the message, other than yes
}

// run returns a fault when the connection is of no more use.
func (t *transact) run() *fault {
	if f := t.envelope(); f != nil {
		return t.lost(f)
	}
	switch {
	case !t.open:
		return nil
	case t.refused || len(t.taken) == 0:
		return t.empty()
	default:
		return t.message()
	}
}

// lost sees whether the connection alone ended, before anything of the message was sent: one that
// was used before had died, or was closed, before anything of this transaction was answered; the
// next hop has other addresses and this one gets no further; or it lost patience with recipients that
// it had found too many.
func (t *transact) lost(f *fault) *fault {
	if f.renew || t.a.renewed || !f.hangup() {
		return f
	}
	switch {
	case len(t.again) > 0:
		t.a.most = len(t.taken)
		f.renew = true
	case t.c.used > 0 && !t.answered:
		f.renew = true
		if t.c.idled >= leastIdle {
			t.a.observed = observed{idle: t.c.idled}
		}
	case !t.answered:
		f.renew = t.a.pool.hasOthers()
	}
	return f
}

// verdict reports whether what the next hop said counts for the recipients of further transactions
// too: that it does not want the message now, or nothing of this account. A refusal for good may be
// about these recipients.
func (t *transact) verdict() (res queue.Result, all bool) {
	switch {
	case t.refused:
		return t.a.results[t.to[0]], true
	case t.delivered:
		return res, false
	case t.no != nil:
		return *t.no, t.no.Outcome == queue.Deferred
	}
	for _, i := range t.to {
		if len(t.taken) == 0 && t.a.results[i].Pause != queue.NoPause {
			return t.a.results[i], true
		}
	}
	return res, false
}

var errOutOfStep = errors.New("the next hop spoke out of turn")

// envelope sends all commands. With PIPELINING they are as few writes as rcptGroup allows, and DATA goes with them.
func (t *transact) envelope() *fault {
	if t.c.r.Buffered() > 0 {
		return &fault{stage: stageMail, err: errOutOfStep}
	}
	steps := make([]step, 0, len(t.to)+3)
	if t.c.dirty {
		// After a 250 to the message there is nothing to reset. After anything else there may be.
		steps = append(steps, step{stage: stageMail, reset: true})
	}
	steps = append(steps, step{stage: stageMail})
	for _, i := range t.to {
		steps = append(steps, step{stage: stageRcpt, rcpt: i})
	}
	steps = append(steps, step{stage: stageData})
	t.c.dirty = true
	for n, s := range steps {
		if len(t.due) == 0 && (t.refused || s.stage == stageData && len(t.taken) == 0) {
			return nil // nothing is left to say
		}
		t.write(s)
		t.due = append(t.due, s)
		if !t.c.ext.pipelining || len(t.due) == rcptGroup || n == len(steps)-1 {
			if f := t.listen(); f != nil {
				return f
			}
		}
	}
	return nil
}

func (t *transact) write(s step) {
	b := t.c.w.AvailableBuffer()
	switch {
	case s.reset:
		b = append(b, "RSET\r\n"...)
	case s.stage == stageMail:
		b = t.c.ext.appendMail(b, &t.a.Envelope, t.a.size, t.a.eightBit, t.a.utf8)
	case s.stage == stageRcpt:
		b = t.c.ext.appendRcpt(b, &t.a.Envelope.To[s.rcpt])
	default:
		b = append(b, "DATA\r\n"...)
	}
	t.c.w.Write(b)
	t.c.transcript.send(s, "")
}

// listen reads the replies that are due, in the order of the commands.
func (t *transact) listen() *fault {
	if err := t.c.w.Flush(); err != nil {
		return &fault{stage: t.due[0].stage, err: err, patience: t.c.cfg.WriteTimeout}
	}
	for _, s := range t.due {
		patience := t.c.cfg.CommandTimeout
		switch {
		case s.stage == stageData:
			patience = t.c.cfg.DataTimeout
		case !t.answered && t.c.idled >= leastIdle && !t.a.renewed: // it may have been idlePatience somewhere on the way
			patience = min(patience, idlePatience*t.c.cfg.GreetingDelay)
		}
		r, f := t.c.reply(s.stage, patience)
		if f != nil {
			return f
		}
		if f := t.heard(s, r); f != nil {
			return f
		}
	}
	t.due = t.due[:0]
	return nil
}

// heard takes in one reply.
func (t *transact) heard(s step, r reply) *fault {
	t.answered = t.answered || s.stage == stageMail && !s.reset && r.code != 421 && r.code != 221
	switch {
	case s.stage == stageData && r.code == 354:
		t.open = true
		return nil
	case s.stage != stageData && r.positive() && r.code != 221:
		if s.stage == stageRcpt && !t.refused {
			t.taken = append(t.taken, s.rcpt)
		}
		return nil
	}
	f := &fault{stage: s.stage, reply: r}
	crowded := s.stage == stageRcpt && len(t.taken) > 0 && tooManyYet(r) || len(t.taken) > 1 && tooMany(r)
	switch {
	case crowded && r.code == 421:
		n := len(t.taken)
		if s.stage == stageData {
			n = (n + 1) / 2
		}
		t.a.most = t.a.pool.fewer(n)
		f.renew = !t.a.renewed
		return f
	case s.reset && r.code != 421, r.code/100 < 4: // a reply that this command cannot have
		f.err, f.reply = errOutOfStep, reply{}
		return f
	case t.refused && r.code != 421: // all that follows is no news
	case !crowded && t.aboutConnection(s.stage, r):
		f.renew = true
		return f
	case r.code == 421: // it closes the connection
		return f
	case s.stage == stageMail:
		t.refused = true
		t.settle(t.a.todo, f)
	case s.stage == stageRcpt:
		t.recipient(s.rcpt, crowded, f)
	default:
		t.decline(f)
	}
	return nil
}

// recipient settles one that was refused. One too many comes with the next transaction.
func (t *transact) recipient(i int, crowded bool, f *fault) {
	t.a.results[i] = classify(f, t.c.remote)
	if !crowded {
		return
	}
	if len(t.again) == 0 && tooMany(f.reply) { // a bare 452 may be anything
		t.a.pool.fewer(len(t.taken))
	}
	t.again = append(t.again, i)
	res := &t.a.results[i] // for now
	res.Outcome, res.Pause, res.Text = queue.Deferred, queue.NoPause, clean(f.reply.text, maxText)
}

// decline takes in a refusal of the whole message. Where it has too many recipients they are tried
// again in halves, and nobody else is.
func (t *transact) decline(f *fault) {
	if len(t.taken) > 1 && tooMany(f.reply) {
		t.a.most = t.a.pool.fewer((len(t.taken) + 1) / 2)
		t.again = append(t.taken, t.again...)
		return
	}
	t.settle(t.taken, f)
	if len(t.taken) > 0 {
		t.no = &t.a.results[t.taken[0]]
	}
}

func (t *transact) settle(recipients []int, f *fault) {
	res := classify(f, t.c.remote)
	res.NoDSN = res.Outcome == queue.Delivered && !t.c.ext.dsn
	for _, i := range recipients {
		t.a.results[i] = res
	}
}
