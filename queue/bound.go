package queue

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// MaxRecord bounds a record as it is written, in the journal, the index and a backup alike; bytes.
// Whoever writes one keeps to it, and so whoever reads one may refuse more.
const MaxRecord = 64 << 20

// MaxNewRecord bounds the record of new mail, in bytes: what its recipients and its submitter's
// words come to. The rest of MaxRecord is for what becomes of it.
const MaxNewRecord = MaxRecord / 4

// Bounds of what a record says of attempts, in bytes.
const (
	MaxText  = 2048 // of a Result.Text, and of a reason; see textLimit
	leastOf  = 64   // of a Result.Text, however many recipients there are
	allTexts = 1 << 20
	maxWord  = 300 // of the other words of a Result

	historyBase = 128 << 10 // of a history
	historyEach = 64        // and for each recipient besides
	attemptPart = 8         // one attempt takes at most this part of the history
	newestKept  = keptDialogues
)

// What a part of a record takes beside its texts, in bytes. It is rather too high than too low.
const (
	attemptSize = 48
	answerSize  = 48
	indexSize   = 5
)

// textLimit bounds each Result.Text of a message with n recipients, so that all of them together
// are bounded too.
func textLimit(n int) int { return min(max(allTexts/max(n, 1), leastOf), MaxText) }

// historyLimit bounds the history of a message with n recipients.
func historyLimit(n int) int { return historyBase + n*historyEach }

// Bound makes m a record whose size is bounded, whatever was answered to it and however often:
// texts are cut, recipients that were answered alike but for the words share an Answer where there
// is no room for all, and of the attempts stay the first, the newest, and the last of each kind. A
// record that is bounded already stays as it is. Nothing of m may be shared.
func (m *Message) Bound() {
	n := len(m.Envelope.To)
	text, most := textLimit(n), historyLimit(n)
	m.Held = cut(m.Held, MaxText)
	for i := range m.Results {
		m.Results[i].bound(text)
	}
	size := 0
	for i := range m.History {
		m.History[i].bound(text, most/attemptPart)
		size += m.History[i].size()
	}
	for i := len(m.History) - newestKept - 1; i >= 0; i-- {
		size -= len(m.History[i].Dialogue)
		m.History[i].Dialogue = ""
	}
	if size > most || len(m.History) > MaxHistory {
		m.thin(size, most)
	}
}

// Strip leaves of m what a record cannot be without, for one that is too large all the same: no
// history, and no words of replies.
func (m *Message) Strip() {
	m.History = nil
	for i := range m.Results {
		m.Results[i].Text = ""
	}
}

// thin leaves attempts out until the history takes at most most bytes and MaxHistory attempts: the
// oldest first, but neither the first of all nor the newest, and the last of its kind only when
// nothing else is left.
func (m *Message) thin(size, most int) {
	for _, spare := range []bool{true, false} {
		last := m.lastOfKind()
		kept, n := m.History[:0], len(m.History)
		for i, newest := 0, n-newestKept; i < len(last); i++ {
			a := m.History[i]
			if (size > most || n > MaxHistory) && i > 0 && i < newest && !(spare && last[i]) {
				size, n = size-a.size(), n-1
				continue
			}
			kept = append(kept, a)
		}
		clear(m.History[len(kept):])
		m.History = kept
	}
}

// lastOfKind tells of each attempt whether one of its answers is the latest with that outcome, code
// and status at that stage.
func (m *Message) lastOfKind() []bool {
	type kind struct {
		outcome Outcome
		code    int
		status  string
		stage   string
	}
	last, seen := make([]bool, len(m.History)), make(map[kind]bool)
	for i := range slices.Backward(m.History) {
		for _, r := range m.History[i].Answers {
			k := kind{r.Outcome, r.Code, r.Status, r.Stage}
			last[i] = last[i] || !seen[k]
			seen[k] = true
		}
	}
	return last
}

// size is about what an attempt takes, in bytes.
func (a *Attempt) size() int {
	n := attemptSize + len(a.Dialogue)
	for i := range a.Answers {
		n += a.Answers[i].size()
	}
	return n
}

func (a *Answer) size() int {
	return answerSize + len(a.Text) + len(a.Status) + len(a.Remote) + len(a.Stage) + indexSize*len(a.To)
}

// bound cuts an attempt's texts, and brings recipients together until it takes at most most bytes.
func (a *Attempt) bound(text, most int) {
	a.Dialogue = lastLines(a.Dialogue)
	for i := range a.Answers {
		a.Answers[i].bound(text)
	}
	if a.size() <= most {
		return
	}
	a.group(func(r Result) Result { r.Text = ""; return r })
	if size := a.size(); size > most {
		a.gather(size, most)
	}
}

// group puts the answers together that are the same for alike, with the words of the first of them.
func (a *Attempt) group(alike func(Result) Result) {
	at := make(map[Result]int)
	kept := a.Answers[:0]
	for _, one := range a.Answers {
		k := alike(one.Result)
		n, known := at[k]
		if !known {
			at[k] = len(kept)
			kept = append(kept, one)
			continue
		}
		kept[n].To = append(kept[n].To, one.To...)
	}
	clear(a.Answers[len(kept):])
	a.Answers = kept
	for i := range a.Answers {
		slices.Sort(a.Answers[i].To)
		a.Answers[i].To = slices.Compact(a.Answers[i].To)
	}
}

// gather leaves half of most to answers as they are, and makes one for each outcome of the rest,
// which says how many those were.
func (a *Attempt) gather(size, most int) {
	rest := len(a.Answers)
	for rest > 0 && size > most/2 {
		rest--
		size -= a.Answers[rest].size()
	}
	others := make(map[Outcome]int)
	for _, one := range a.Answers[rest:] {
		others[one.Outcome]++
	}
	for i := range a.Answers[rest:] {
		one := &a.Answers[rest+i]
		one.Result = Result{Outcome: one.Outcome, Text: fmt.Sprintf("%d different replies", others[one.Outcome])}
	}
	a.group(func(r Result) Result { return r })
}

// bound cuts what was answered.
func (r *Result) bound(text int) {
	r.Text = cut(r.Text, text)
	r.Status, r.Remote, r.Stage = cut(r.Status, maxWord), cut(r.Remote, maxWord), cut(r.Stage, maxWord)
}

// cut shortens s to at most most bytes, with a sign that it did.
func cut(s string, most int) string {
	const sign = "…"
	if len(s) <= most {
		return s
	}
	end := most - len(sign)
	for back := 0; back < utf8.UTFMax && end > 0 && !utf8.RuneStart(s[end]); back++ {
		end--
	}
	return s[:end] + sign
}

// RecordSize is about what the record of new mail takes, in bytes.
func (m *Message) RecordSize() int64 {
	const fixed, each = 256, 32
	n := fixed + len(m.Facts.Subject) + len(m.Facts.MessageID) + len(m.Envelope.ID) + len(m.Origin.User)
	for i := range m.Envelope.To {
		to := &m.Envelope.To[i]
		n += each + len(to.Local) + len(to.Domain) + len(to.Original)
	}
	for _, tag := range m.Tags {
		n += len(tag)
	}
	for key, value := range m.Metadata {
		n += len(key) + len(value)
	}
	return int64(n)
}
