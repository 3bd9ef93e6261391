package relay

import (
	"errors"
	"io"
)

// empty ends a message that nobody is to get: DATA was already on its way when the last recipient
// was refused (RFC 2920, 3.1). What the next hop says to it matters to nobody.
func (t *transact) empty() *fault {
	r, f := t.c.command(stageData, ".", t.c.cfg.DataTimeout)
	if f == nil && r.code == 421 {
		f = &fault{stage: stageData, reply: r}
	}
	return f
}

// message sends the body and reads the answer that counts.
func (t *transact) message() *fault {
	t.c.transcript.send(step{stage: stageBody}, "")
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
	t.delivered = r.positive()
	t.c.dirty = !t.delivered
	switch {
	case t.delivered:
		t.settle(t.taken, f)
	case r.code/100 == 3:
		return f
	case t.aboutConnection(stageBody, r):
		f.renew = true
		return f
	default:
		t.decline(f)
	}
	if r.code == 421 {
		return f
	}
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

// broken settles a message whose sending ended before its final dot. The connection is in the midst
// of it and of no more use.
func (t *transact) broken(err error) *fault {
	var unread readError
	switch {
	case errors.Is(err, errBareLine):
		res := refusal(t.c, "5.6.0", err.Error())
		res.Stage = stageBody
		t.a.fill(res)
	case errors.As(err, &unread):
		t.a.fill(unreadable(t.c, unread.error))
	default:
		f := t.early()
		if f.reply.code == 0 {
			f.err, f.patience = err, t.c.cfg.WriteTimeout
		}
		return f
	}
	return &fault{stage: stageBody, err: err, midst: true}
}

// early reads the reply of a next hop that did not wait for the end of the message: it may say why.
// A yes is none there.
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
