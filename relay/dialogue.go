package relay

import (
	"crypto/tls"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"dinkymail/queue"
)

const (
	maxLine   = 500 // bytes of one line of a dialogue
	manyTaken = 3   // so many recipients taken one after another are told in one line
	manySaid  = 128 // exchanges for which a connection keeps the room
	hidden    = "[hidden]"
)

// exchange is a command and its reply, or one of them alone.
type exchange struct {
	step
	line  string // the command, where step does not tell it; no secrets
	note  string // in place of both: what happened without words
	sent  bool   // the command
	reply reply  // code 0: none came
}

// dialogue is what was said on a connection for one attempt, or while it was opened. What is kept is what the client has in its
// hands anyway, so that a message that goes through costs no more than a few copies; the words are made by conn.told.
type dialogue struct {
	said     []exchange
	answered int // exchanges that are complete
}

// begin forgets what was said before.
func (d *dialogue) begin() {
	clear(d.said)
	d.said, d.answered = d.said[:0], 0
	if cap(d.said) > manySaid {
		d.said = nil
	}
}

// send takes down a command; line is for those that need more than their step to be told.
func (d *dialogue) send(s step, line string) {
	if s.stage == stageAuth {
		line = withoutSecret(line)
	}
	d.said = append(d.said, exchange{step: s, line: line, sent: true})
}

// hear takes down a reply: to the first command that has none yet, or to none.
func (d *dialogue) hear(stage string, r reply) {
	if d.answered == len(d.said) {
		d.said = append(d.said, exchange{step: step{stage: stage}})
	}
	d.said[d.answered].reply = r
	d.answered++
}

// remark takes down something that happened between the replies.
func (d *dialogue) remark(text string) {
	d.said = append(d.said, exchange{note: text})
	d.answered = len(d.said)
}

// withoutSecret is an AUTH command, or an answer to a challenge of it, as it may be shown.
func withoutSecret(line string) string {
	if rest, ok := strings.CutPrefix(line, "AUTH "); ok {
		mechanism, _, initial := strings.Cut(rest, " ")
		if !initial {
			return line
		}
		return "AUTH " + mechanism + " " + hidden
	}
	return hidden
}

// tell hands the dialogue on when something was not delivered. The connection is still the caller's.
func (a *attempt) tell(c *conn, f *fault) {
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
		a.talk = ""
		return
	}
	if f == nil && len(c.said.said) == 0 {
		c.said.remark(undelivered)
	}
	a.talk = joined(a.talk, c.told(a, f))
}

// joined is several dialogues in one, of connections that followed each other.
func joined(talks ...string) string {
	var w script
	for _, talk := range talks {
		if talk != "" {
			w.lines = append(w.lines, strings.Split(talk, "\n")...)
		}
	}
	return w.fit(queue.MaxDialogue)
}

// told is the dialogue in words: lines beginning "C: ", "S: " or, for what nobody said, "-- ". a is nil while the connection is
// opened, and f what ended it, if anything did.
func (c *conn) told(a *attempt, f *fault) string {
	w := script{secrets: &fault{secrets: c.cfg}}
	w.add("-- ", c.where(a != nil))
	all := c.said.said
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
	w := script{secrets: &fault{secrets: cfg}}
	w.add("-- ", "connecting to "+cfg.address())
	w.end(f)
	return w.fit(queue.MaxDialogue)
}

// script collects the lines of a dialogue.
type script struct {
	lines   []string
	secrets *fault // hides the password, should somebody quote it
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
		w.add("C: ", a.said(c, e, f))
	}
	w.reply(e.reply)
}

// said is a command of a transaction, as it was written.
func (a *attempt) said(c *conn, e *exchange, f *fault) string {
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
	case f.gone:
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

// visible makes a stranger's text fit for a terminal and for one line: what steers one, or would not show, is written as its
// number. At most maxLine bytes are left of it.
func visible(s string) string {
	const cut = "…"
	if len(s) <= maxLine && plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		word := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			word = fmt.Sprintf(`\x%02x`, s[i])
		case r == '\t':
			word = `\t`
		case r < ' ' || r == 0x7f:
			word = fmt.Sprintf(`\x%02x`, r)
		case !unicode.IsPrint(r):
			word = fmt.Sprintf(`\u%04x`, r)
		}
		if b.Len()+len(word) > maxLine-len(cut) && (i+n < len(s) || b.Len()+len(word) > maxLine) {
			return b.String() + cut
		}
		b.WriteString(word)
		i += n
	}
	return b.String()
}
