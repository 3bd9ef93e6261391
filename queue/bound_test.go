package queue

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"dinkymail/message"
)

// tried is a message of n recipients with these attempts.
func tried(n int, history ...Attempt) *Message {
	return &Message{Envelope: message.Envelope{To: make([]message.Recipient, n)}, Results: make([]Result, n), History: history}
}

func took(m *Message) (size int) {
	for i := range m.History {
		size += m.History[i].size()
	}
	return size
}

// What has room stays as it is.
func TestBoundLeavesSmallRecords(t *testing.T) {
	make := func() *Message {
		var all []Attempt
		for i := range MaxHistory {
			all = append(all, Attempt{At: time.Unix(int64(i), 0), Answers: []Answer{
				{Result{Code: 450, Text: fmt.Sprint(i)}, []int{0, 2}}, {Result{Outcome: Delivered, Text: "gone"}, []int{1}}}})
		}
		all[MaxHistory-1].Dialogue = "S: 220 hello\n"
		return tried(3, all...)
	}
	got, want := make(), make()
	if got.Bound(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

// Where there is no room for all stays the first attempt, the newest, and the last of each kind, in
// order.
func TestBoundKeepsTheTellingAttempts(t *testing.T) {
	var all []Attempt
	for i := range 3 * MaxHistory {
		r := Result{Code: 450, Status: "4.2.1", Text: strings.Repeat("x", 500)}
		if i == 70 || i == 71 {
			r.Code, r.Status = 452, "4.2.2"
		}
		all = append(all, Attempt{At: time.Unix(int64(i), 0), Answers: []Answer{{r, []int{0}}}})
	}
	m := tried(1, all...)
	m.Bound()
	var at []int64
	for _, a := range m.History {
		at = append(at, a.At.Unix())
	}
	last := int64(3*MaxHistory - 1)
	if len(at) > MaxHistory || at[0] != 0 || at[1] != 71 || at[len(at)-1] != last || at[len(at)-5] != last-4 || !slices.IsSorted(at) {
		t.Errorf("kept %v", at)
	}
}

// Recipients that were answered alike but for the words share an answer where there is no room for
// each, and where even that has none, what is left says how much it stands for.
func TestBoundBringsRecipientsTogether(t *testing.T) {
	const n = 3000
	words := Attempt{At: time.Unix(1, 0)}
	kinds := Attempt{At: time.Unix(2, 0)}
	for i := range n {
		r := Result{Outcome: Outcome(i % 2 * int(Failed)), Code: 450, Text: fmt.Sprintf("%d %s", i, strings.Repeat("busy ", 50))}
		words.Answers = append(words.Answers, Answer{r, []int{i}})
		r.Status = fmt.Sprintf("4.%d.%d", i/100, i%100)
		kinds.Answers = append(kinds.Answers, Answer{r, []int{i}})
	}
	m := tried(n, words, kinds)
	m.Bound()
	if a := m.History[0].Answers; len(a) != 2 || len(a[0].To) != n/2 || a[1].To[1] != 3 || !strings.HasPrefix(a[0].Text, "0 busy") {
		t.Errorf("%d answers", len(a))
	}
	a := m.History[1].Answers
	if asked := asked(a); len(a) < 10 || asked != n || took(m) > historyLimit(n) {
		t.Errorf("%d answers for %d recipients, %d bytes", len(a), asked, took(m))
	}
	if text := a[len(a)-1].Text; !strings.HasSuffix(text, "different replies") {
		t.Errorf("the last says %q", text)
	}
}

func asked(all []Answer) (n int) {
	for _, a := range all {
		n += len(a.To)
	}
	return n
}

// Whatever a record says, it is bounded, loses no recipient's outcome, and being bounded once more
// does not change it.
func TestBoundedOnceIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 50, 1000, 5000}).Draw(rt, "recipients")
		text := rapid.SampledFrom([]int{0, 10, 600, 5000}).Draw(rt, "text")
		kinds := rapid.IntRange(1, n).Draw(rt, "kinds")
		m := tried(n)
		for at := range rapid.IntRange(1, 15_000/n+1).Draw(rt, "attempts") {
			a := Attempt{At: time.Unix(int64(at), 0), Dialogue: strings.Repeat("S: no\n", rapid.IntRange(0, 2000).Draw(rt, "lines"))}
			for i := range n {
				m.Results[i] = Result{Outcome: Outcome(i % 4), Code: 400 + i%kinds, Text: fmt.Sprint(i%kinds) + strings.Repeat("\xf0\x9f\x98\x80", text/4)}
				a.Answers = append(a.Answers, Answer{m.Results[i], []int{i}})
			}
			m.History = append(m.History, a)
		}
		m.Bound()
		if took(m) > historyLimit(n) || len(m.History) > MaxHistory {
			rt.Fatalf("%d bytes in %d attempts", took(m), len(m.History))
		}
		for i, r := range m.Results {
			if r.Outcome != Outcome(i%4) || !utf8.ValidString(r.Text) || len(r.Text) > textLimit(n) {
				rt.Fatalf("result %d: %+v", i, r)
			}
		}
		for _, a := range m.History {
			if asked(a.Answers) != n {
				rt.Fatalf("an attempt knows %d recipients of %d", asked(a.Answers), n)
			}
		}
		again := *m
		again.History = slices.Clone(m.History)
		if again.Bound(); !reflect.DeepEqual(&again, m) {
			rt.Fatal("it changes when it is bounded again")
		}
	})
}
