//go:build unix

package maildrop

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// one is a queue that keeps the mail that it is given last.
type one struct {
	operate.Queue
	mails int
	mail  queue.Message
	text  string
}

func (q *one) Submit(_ context.Context, s queue.Submission) (queue.ID, error) {
	text, err := io.ReadAll(message.Accept(s.Body, s.Trace))
	if err != nil {
		return "", err
	}
	q.mails, q.mail, q.text = q.mails+1, queue.Message{ID: s.ID, Envelope: s.Envelope, Origin: s.Origin}, string(text)
	return s.ID, nil
}

func (q *one) Get(queue.ID) (queue.Message, error) { return q.mail, nil }

// Whatever stands in a query of the submit socket, the mail is refused, or its envelope is one of addresses that a local user may
// use, and its lines end in CRLF.
func FuzzSubmitQuery(f *testing.F) {
	for _, seed := range []string{
		"from=ada@example.org&to=bob@example.net", "from=&to=root", "to=bob@example.net", "from=%3C%3E&to=a@b.example&to=a@b.example",
		"from=root&to=x%0D%0ARCPT%20TO:<y@z.example>", "from=a&to=b@c.example&notify=never", "from=&to=%", "to=@&from=@;ret=full",
		"id=00000000000000a0&from=&to=a@b.example&orcpt=rfc822;x@y.example&envid=1",
		"from=&to=a@b.example&to=c@b.example&notify=delay&notify=success&ret=HDRS",
	} {
		f.Add(seed, "Subject: s\n\nbody\n")
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		q := new(one)
		r := httptest.NewRequest("POST", operate.SubmitPath, strings.NewReader(body))
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		newServer(operate.New(q, operate.Parts{Machine: "box"}), slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || (w.Code == 200) != (q.mails == 1) || w.Code == 500 {
			t.Fatalf("%d mails, %d %q: %v", q.mails, w.Code, w.Body, err)
		}
		if w.Code != 200 {
			return
		}
		m, sent := q.mail, q.text
		if from := m.Envelope.From; !from.IsNull() {
			if again, err := message.ParseAddress(from.String()); err != nil || again != from {
				t.Fatalf("sent from %q: %v", from, err)
			}
		}
		for _, to := range m.Envelope.To {
			if again, err := message.ParseLocalAddress(to.Address.String()); err != nil || again != to.Address {
				t.Fatalf("to %q: %v", to.Address, err)
			}
		}
		if strings.Count(sent, "\n") != strings.Count(sent, "\r\n") {
			t.Fatalf("a bare LF in %q", sent)
		}
	})
}
