//go:build unix

package maildrop

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/memstore"
)

// Whatever stands in a query of the submit socket, the mail is refused, or its envelope is one of
// addresses that a local user may use, and its lines end in CRLF.
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
		q := queue.New(memstore.New(), nil, queue.Config{Hostname: "mail.example.org", Domain: "example.org"}, slog.New(slog.DiscardHandler))
		r := httptest.NewRequest("POST", operate.SubmitPath, strings.NewReader(body))
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		newServer(operate.New(q, operate.Parts{Machine: "box"}), slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
		var answer map[string]any
		mails, err := q.List(t.Context(), queue.Filter{}, "", 10)
		if err = errors.Join(err, json.Unmarshal(w.Body.Bytes(), &answer)); err != nil || (w.Code == 200) != (len(mails) == 1) || w.Code == 500 {
			t.Fatalf("%d mails, %d %q: %v", len(mails), w.Code, w.Body, err)
		}
		if w.Code != 200 {
			return
		}
		m := mails[0]
		sent := textOf(t, q, m.ID)
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

// textOf is the text of a mail in the queue.
func textOf(t *testing.T, q *queue.Queue, id queue.ID) string {
	t.Helper()
	body, err := q.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
