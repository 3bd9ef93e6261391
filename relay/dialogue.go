package relay

import (
	"crypto/tls"
	"fmt"
	"strings"

	"dinkymail/queue"
)

const (
	maxLine   = 500 // bytes of one line of a dialogue
	manyTaken = 3   // so many recipients taken one after another are one line
)

// report makes the dialogue when something was not delivered. The connection is still the caller's.
func (a *attempt) report(c *conn, f *fault) {
	if a.Dialogue == nil {
		return
	}
	undelivered := ""
	for i := range a.results {
		if a.results[i].Outcome != queue.Delivered {
			undelivered = "nothing was said: " + a.results[i].Text
			break
		}
	}
	if undelivered == "" {
		a.dialogue = ""
		return
	}
	if f == nil && len(c.transcript.exchanges) == 0 {
		c.transcript.note(undelivered)
	}
	a.dialogue = joined(a.dialogue, c.dialogue(a, f))
}

// joined is several dialogues in one, of connections that followed each other.
func joined(dialogues ...string) string {
	var w script
	for _, d := range dialogues {
		if d != "" {
			w.lines = append(w.lines, strings.Split(d, "\n")...)
		}
	}
	return w.fit(queue.MaxDialogue)
}

// dialogue is the transcript in words: lines beginning "C: ", "S: " or, for what nobody said, "-- ". a is nil while the connection is
// opened, and f what ended it, if anything did.
func (c *conn) dialogue(a *attempt, f *fault) string {
	w := script{secrets: c.cfg}
	w.add("-- ", c.where(a != nil))
	all := c.transcript.exchanges
	for i := 0; i < len(all); i++ {
		w.exchange(a, c, &all[i], f)
		if n := taken(all[i:]); n > manyTaken {
			w.add("-- ", fmt.Sprintf("and %d more recipients that were taken alike", n-1))
			i += n - 1
		}
	}
	w.end(f)
	return w.fit(queue.MaxDialogue)
}

// taken counts the recipients at the front of all that were taken.
func taken(all []exchange) int {
	for n := range all {
		if all[n].stage != stageRcpt || !all[n].reply.positive() {
			return n
		}
	}
	return len(all)
}

// where is the other end: as configured, and the address that was reached; for an open connection also what protects it.
func (c *conn) where(open bool) string {
	s := "connected to " + c.remote
	if at := c.raw.RemoteAddr(); at != nil && at.String() != c.remote {
		s += " (" + at.String() + ")"
	}
	if open {
		s += ", " + c.protection()
	}
	if c.kept {
		s += ", kept from earlier mail"
	}
	return s
}

// protection is the TLS of a connection in words.
func (c *conn) protection() string {
	t, ok := c.tls()
	if !ok {
		return "without TLS"
	}
	state := t.ConnectionState()
	return tls.VersionName(state.Version) + ", " + tls.CipherSuiteName(state.CipherSuite)
}

// unreached is the dialogue of a connection that never was.
func unreached(cfg *Config, f *fault) string {
	w := script{secrets: cfg}
	w.add("-- ", "connecting to "+cfg.address())
	w.end(f)
	return w.fit(queue.MaxDialogue)
}

// script collects the lines of a dialogue.
type script struct {
	lines   []string
	secrets *Config // hides the password, should somebody quote it
}

func (w *script) add(who, text string) {
	w.lines = append(w.lines, visible(who+w.secrets.hide(text)))
}

func (w *script) exchange(a *attempt, c *conn, e *exchange, f *fault) {
	switch {
	case e.note != "":
		w.add("-- ", e.note)
		return
	case !e.sent:
	case a == nil || e.line != "":
		w.add("C: ", e.line)
	default:
		w.add("C: ", a.words(c, e, f))
	}
	w.reply(e.reply)
}

// words are a command of a transaction, as it was written.
func (a *attempt) words(c *conn, e *exchange, f *fault) string {
	switch {
	case e.reset:
		return "RSET"
	case e.stage == stageMail:
		return strings.TrimSuffix(string(c.ext.appendMail(nil, &a.Envelope, a.size, a.eightBit, a.utf8)), "\r\n")
	case e.stage == stageRcpt:
		return strings.TrimSuffix(string(c.ext.appendRcpt(nil, &a.Envelope.To[e.rcpt])), "\r\n")
	case e.stage == stageData:
		return "DATA"
	case f != nil && f.midst:
		return fmt.Sprintf("[a part of %d bytes]", a.size)
	default:
		return fmt.Sprintf("[%d bytes]", a.size)
	}
}

// reply writes a reply as the other side did, but for the enhanced status code, which stands in each of its lines.
func (w *script) reply(r reply) {
	if r.code == 0 {
		return
	}
	lines := strings.Split(r.text, "\n")
	for i, text := range lines {
		mark := " "
		if i < len(lines)-1 {
			mark = "-"
		}
		if r.status != "" {
			text = r.status + " " + text
		}
		w.add("S: ", fmt.Sprint(r.code)+mark+text)
	}
}

// end says why no reply came, if that is how it ended.
func (w *script) end(f *fault) {
	switch {
	case f == nil || f.err == nil:
	case f.cancelled:
		w.add("-- ", "given up: "+f.err.Error())
	default:
		w.add("-- ", f.sentence())
	}
}

// fit joins the lines to at most limit bytes. Where they are too many, the first and the last stay: who was spoken to, and how
// it ended.
func (w *script) fit(limit int) string {
	size := func(lines []string) (n int) {
		for _, l := range lines {
			n += len(l) + 1
		}
		return n
	}
	if size(w.lines) <= limit {
		return strings.Join(w.lines, "\n")
	}
	const gap = 64 // room for the line that says so
	head, tail := 0, len(w.lines)
	left := limit - gap
	for front := true; head < tail; front = !front {
		next := w.lines[tail-1]
		if front {
			next = w.lines[head]
		}
		if left -= len(next) + 1; left < 0 {
			break
		}
		if front {
			head++
		} else {
			tail--
		}
	}
	lines := append(w.lines[:head:head], fmt.Sprintf("-- %d lines are left out here", tail-head))
	return strings.Join(append(lines, w.lines[tail:]...), "\n")
}
