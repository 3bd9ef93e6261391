package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"dinkymail/operate"
	"dinkymail/queue"
)

// Whatever is posted as a list or an action is answered with one JSON object: 200, or 400 and then
// nothing was done.
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
			q := quietQueue(t, 1)
			before := list(t, q)
			r := httptest.NewRequest("POST", path, strings.NewReader(body))
			w := httptest.NewRecorder()
			newServer(operate.New(q, operate.Parts{}), http.NotFoundHandler(), discard).ServeHTTP(w, r)
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer["success"] != (w.Code == 200) {
				t.Fatalf("%d %q: %v", w.Code, w.Body, err)
			}
			if w.Code != 200 && w.Code != 400 || (w.Code == 400 || path == listPath) && !reflect.DeepEqual(list(t, q), before) {
				t.Fatalf("%d %s, and something was done", w.Code, w.Body)
			}
		}
	})
}

// list is all that a queue knows.
func list(t *testing.T, q *queue.Queue) []queue.Message {
	t.Helper()
	all, err := q.List(t.Context(), queue.Filter{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
