package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// plenty is a queue with one message, of which every verb can be done once.
type plenty struct {
	operate.Queue
	mail []queue.Message
	did  atomic.Int64
}

func (q *plenty) Get(id queue.ID) (queue.Message, error) {
	for _, m := range q.mail {
		if m.ID == id {
			return m, nil
		}
	}
	return queue.Message{}, queue.ErrNotFound
}

func (*plenty) State(m *queue.Message) (queue.State, string) { return m.State(), "" }

func (q *plenty) Select(context.Context, queue.Selection, queue.ID, int) (queue.Page, error) {
	return queue.Page{Messages: q.mail}, nil
}
func (*plenty) Lane(*queue.Message) string                                { return "upstream" }
func (*plenty) Active(queue.ID) bool                                      { return true }
func (*plenty) Expires(*queue.Message) time.Time                          { return time.Time{} }
func (q *plenty) verb() error                                             { q.did.Add(1); return nil }
func (q *plenty) Hold(queue.ID, string) error                             { return q.verb() }
func (q *plenty) Release(queue.ID) error                                  { return q.verb() }
func (q *plenty) Retry(queue.ID) error                                    { return q.verb() }
func (q *plenty) Remove(queue.ID, time.Time) error                        { return q.verb() }
func (q *plenty) Restore(queue.ID) error                                  { return q.verb() }
func (q *plenty) Bounce(queue.ID, string) error                           { return q.verb() }
func (q *plenty) Redirect(queue.ID, message.Address) error                { return q.verb() }
func (q *plenty) EditRecipients(_ queue.ID, _, _ []message.Address) error { return q.verb() }
func (q *plenty) LastRemoved(context.Context) ([]queue.ID, error) {
	return []queue.ID{q.mail[0].ID}, nil
}

// Whatever is posted as a list or an action is answered with one JSON object: 200, or 400 and then nothing was done.
func FuzzOperatorJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ``, `null`, `[]`, `{"verb":"remove"}`, `{"verb":"remove","dryRun":true,"from":"x","older":3600000000000}`,
		`{"verb":"hold","ids":["00000000000000a0","x",""],"reason":"a\r\nb\u0000"}`, `{"verb":"restore","last":true}`,
		`{"verb":"redirect","redirect":"bob@example.net"}`, `{"verb":"edit-recipients","add":["a@b.example"],"drop":["\"x y\"@b.example"]}`,
		`{"verb":"bounce","statuses":["held"],"reason":"` + strings.Repeat("é", 600) + `"}`, `{"after":"x","limit":-1,"newest":true}`,
		`{"verb":"remove","form":"typing mistake"}`, `{"verb":"remove"}{"verb":"hold"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{actionPath, listPath} {
			q := new(plenty)
			q.mail = []queue.Message{{ID: "00000000000000a0", Accepted: time.Now()}}
			r := httptest.NewRequest("POST", path, strings.NewReader(body))
			w := httptest.NewRecorder()
			newServer(operate.New(q, operate.Parts{}), http.NotFoundHandler(), discard).ServeHTTP(w, r)
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer["success"] != (w.Code == 200) {
				t.Fatalf("%d %q: %v", w.Code, w.Body, err)
			}
			if w.Code != 200 && w.Code != 400 || w.Code == 400 && q.did.Load() > 0 || path == listPath && q.did.Load() > 0 {
				t.Fatalf("%d %s, and %d done", w.Code, w.Body, q.did.Load())
			}
		}
	})
}
