package queuetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// A record does not grow without end, however many recipients are answered, each in other words,
// and however often: what it takes is counted, the first attempt stays and so do the newest. What
// stands in the way of a limit is cut, never refused.
func recordsAreBounded(t *testing.T, open Open) {
	const recipients, attempts = 1000, 60
	const most = 4 << 20
	s, close := open(t, t.TempDir())
	defer close()
	m := Message("a")
	m.Envelope.To, m.Results, m.History = nil, make([]queue.Result, recipients), nil
	for i := range recipients {
		to := message.Address{Local: fmt.Sprintf("recipient%04d", i), Domain: "example.net"}
		m.Envelope.To = append(m.Envelope.To, message.Recipient{Address: to})
	}
	put(t, s, m, "x")
	for n := range attempts {
		if _, err := s.Update(m.ID, func(m *queue.Message) { tryAll(m, n) }); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Records > most {
			t.Fatalf("the record has %d bytes after %d attempts", st.Records, n+1)
		}
	}
	got := get(t, s, m.ID)
	first, last := got.History[0], got.History[len(got.History)-1]
	expect(t, "first attempt", first.At.Unix(), m.Accepted.Unix())
	expect(t, "newest attempt", last.At.Unix(), m.Accepted.Add((attempts-1)*time.Minute).Unix())
	asked := 0
	for _, a := range last.Answers {
		asked += len(a.To)
	}
	expect(t, "recipients of the newest attempt", asked, recipients)
	for i, r := range got.Results {
		if !strings.HasPrefix(r.Text, fmt.Sprintf("<recipient%04d@example.net> is busy", i)) {
			t.Fatalf("recipient %d: %.80q", i, r.Text)
		}
	}
}

// tryAll notes an attempt in which every recipient is answered in words of its own, with junk
// behind them.
func tryAll(m *queue.Message, n int) {
	a := queue.Attempt{At: m.Accepted.Add(time.Duration(n) * time.Minute), Dialogue: strings.Repeat("S: 451 no\n", 10_000)}
	for i := range m.Results {
		m.Results[i] = queue.Result{Code: 450, Status: "4.2.1", Remote: "mx.example.net:25", Stage: "rcpt",
			Text: fmt.Sprintf("<%s> is busy %d ", m.Envelope.To[i].Address, n) + strings.Repeat("\xff\x00", 5000)}
		a.Answers = append(a.Answers, queue.Answer{Result: m.Results[i], To: []int{i}})
	}
	m.History = append(m.History, a)
}
