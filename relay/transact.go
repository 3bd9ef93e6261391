package relay

import (
	"errors"
	"io"

	"dinkymail/queue"
)

// rcptGroup is how many commands go out before their replies are read. More could fill the buffers of both sides with each
// waiting for the other to read (RFC 2920, 3.1).
const rcptGroup = 100

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

	due       []step
	taken     []int // recipients that were accepted
	refused   bool  // MAIL was
	open      bool  // 354: the next hop waits for the message
	delivered bool
}

// run returns a fault when the connection is of no more use.
func (t *transact) run() *fault {
	if t.c.r.Buffered() > 0 {
		return &fault{stage: stageMail, err: errOutOfStep}
	}
	if f := t.envelope(); f != nil {
		return f
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

var errOutOfStep = errors.New("the next hop spoke out of turn")

// envelope sends all commands. With PIPELINING they are as few writes as rcptGroup allows, and DATA goes with them.
func (t *transact) envelope() *fault {
	steps := make([]step, 0, len(t.a.todo)+3)
	if t.c.dirty {
		// After a 250 to the message there is nothing to reset. After anything else there may be.
		steps = append(steps, step{stage: stageMail, reset: true})
	}
	steps = append(steps, step{stage: stageMail})
	for _, i := range t.a.todo {
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
	t.c.said.send(s, "")
}

// listen reads the replies that are due, in the order of the commands.
func (t *transact) listen() *fault {
	if err := t.c.w.Flush(); err != nil {
		return &fault{stage: t.due[0].stage, err: err, patience: t.c.cfg.WriteTimeout}
	}
	for _, s := range t.due {
		patience := t.c.cfg.CommandTimeout
		if s.stage == stageData {
			patience = t.c.cfg.DataTimeout
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
	t.a.answered = t.a.answered || s.stage == stageMail && !s.reset && r.code != 421
	switch {
	case s.stage == stageData && r.code == 354:
		t.open = true
		return nil
	case s.stage != stageData && r.positive():
		if s.stage == stageRcpt && !t.refused {
			t.taken = append(t.taken, s.rcpt)
		}
		return nil
	}
	f := &fault{stage: s.stage, reply: r}
	switch {
	case r.code == 421: // it closes the connection
		return f
	case s.reset, r.code/100 < 4: // a reply that this command cannot have
		f.err, f.reply = errOutOfStep, reply{}
		return f
	case t.refused: // all that follows is no news
	case s.stage == stageMail:
		t.refused = true
		t.settle(t.a.todo, f)
	case s.stage == stageRcpt:
		t.recipient(s.rcpt, r, f)
	default:
		t.settle(t.taken, f)
	}
	return nil
}

// recipient settles one that was refused.
func (t *transact) recipient(i int, r reply, f *fault) {
	switch {
	case len(t.taken) > 0 && tooMany(r):
		t.a.again = append(t.a.again, i)
		res := classify(f, t.c.remote)
		res.Outcome, res.Pause = queue.Deferred, queue.NoPause
		t.a.results[i] = res
	default:
		t.a.results[i] = classify(f, t.c.remote)
	}
}

func (t *transact) settle(recipients []int, f *fault) {
	res := classify(f, t.c.remote)
	res.NoDSN = res.Outcome == queue.Delivered && !t.c.ext.dsn
	for _, i := range recipients {
		t.a.results[i] = res
	}
}

// empty ends a message that nobody is to get: DATA was already on its way when the last recipient was refused (RFC 2920, 3.1).
// What the next hop says to it matters to nobody.
func (t *transact) empty() *fault {
	r, f := t.c.command(stageData, ".", t.c.cfg.DataTimeout)
	if f == nil && r.code == 421 {
		f = &fault{stage: stageData, reply: r}
	}
	return f
}

// message sends the body and reads the answer that counts.
func (t *transact) message() *fault {
	t.c.said.send(step{stage: stageBody}, "")
	if err := t.copy(); err != nil {
		return t.broken(err)
	}
	if t.c.r.Buffered() > 0 { // before the final dot went out
		return t.early()
	}
	if err := t.c.w.Flush(); err != nil {
		return t.broken(err)
	}
	r, f := t.c.reply(stageBody, t.c.cfg.BodyTimeout)
	if f != nil {
		return f
	}
	f = &fault{stage: stageBody, reply: r}
	t.settle(t.taken, f)
	if r.code == 421 || r.code/100 == 3 {
		return f
	}
	t.delivered = r.positive()
	t.c.dirty = !t.delivered
	return nil
}

// readError is of the body, not of the connection.
type readError struct{ error }

// copy writes the body and its final dot into the buffer, which sends what it cannot hold.
func (t *transact) copy() error {
	if _, err := t.a.body.Seek(0, io.SeekStart); err != nil {
		return readError{err}
	}
	if t.c.chunk == nil {
		t.c.chunk = make([]byte, bufferSize)
	}
	w := dotWriter{w: t.c.w}
	for {
		n, err := t.a.body.Read(t.c.chunk)
		if _, err := w.Write(t.c.chunk[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return w.Close()
		}
		if err != nil {
			return readError{err}
		}
	}
}

// broken settles a message whose sending ended before its final dot. The connection is in the midst of it and of no more use.
func (t *transact) broken(err error) *fault {
	var unread readError
	switch {
	case errors.Is(err, errBareLine):
		for _, i := range t.taken {
			t.a.results[i] = refusal(t.c, "5.6.0", err.Error())
			t.a.results[i].Stage = stageBody
		}
	case errors.As(err, &unread):
		for _, i := range t.taken {
			t.a.results[i] = unreadable(t.c, unread.error)
		}
	default:
		f := t.early()
		if f.reply.code == 0 {
			f.err, f.patience = err, t.c.cfg.WriteTimeout
		}
		return f
	}
	return &fault{stage: stageBody, err: err, midst: true}
}

// early reads the reply of a next hop that did not wait for the end of the message: it may say why. A yes is none there.
func (t *transact) early() *fault {
	r, f := t.c.reply(stageBody, quitPatience)
	switch {
	case f != nil:
	case r.code/100 < 4:
		f = &fault{stage: stageBody, err: errOutOfStep}
	default:
		f = &fault{stage: stageBody, reply: r}
		t.settle(t.taken, f)
	}
	f.midst = true
	return f
}
