package relay

import "strings"

const (
	manyExchanges = 128 // for which a connection keeps the room
	hidden        = "[hidden]"
)

// exchange is a command and its reply, or one of them alone.
type exchange struct {
	step
	line  string // the command, where step does not tell it; no secrets
	note  string // in place of both: what happened without words
	sent  bool   // the command
	reply reply  // code 0: none came
}

// transcript is what was said on a connection for one attempt, or while it was opened. It keeps what
// is at hand anyway, so that a message that goes through costs no more than a few copies;
// conn.dialogue puts it in words.
type transcript struct {
	exchanges []exchange
	answered  int // of them, those that are complete
}

// begin forgets what was said before.
func (t *transcript) begin() {
	clear(t.exchanges)
	t.exchanges, t.answered = t.exchanges[:0], 0
	if cap(t.exchanges) > manyExchanges {
		t.exchanges = nil
	}
}

// send takes down a command; line is for those that need more than their step to be put in words.
func (t *transcript) send(s step, line string) {
	if s.stage == stageAuth {
		line = withoutSecret(line)
	}
	t.exchanges = append(t.exchanges, exchange{step: s, line: line, sent: true})
}

// hear takes down a reply: to the first command that has none yet, or to none.
func (t *transcript) hear(stage string, r reply) {
	if t.answered == len(t.exchanges) {
		t.exchanges = append(t.exchanges, exchange{step: step{stage: stage}})
	}
	t.exchanges[t.answered].reply = r
	t.answered++
}

// note takes down something that happened between the replies.
func (t *transcript) note(text string) {
	t.exchanges = append(t.exchanges, exchange{note: text})
	t.answered = len(t.exchanges)
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
