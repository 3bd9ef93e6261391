package httpapi

import (
	"net/url"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// statusQueue has one message with a recipient of each outcome.
func statusQueue(t *testing.T) (*memory, queue.ID) {
	id := queue.NewID()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	var to []message.Recipient
	for _, a := range []string{"a@example.net", "b@example.net", "c@example.net"} {
		to = append(to, message.Recipient{Address: mailbox(t, a).Address})
	}
	return &memory{mail: []queue.Message{{
		ID: id, Envelope: message.Envelope{From: mailbox(t, "me@example.org").Address, To: to}, Legs: []queue.Leg{{Lane: queue.Upstream, Tries: 2, Next: at.Add(time.Hour)}}, Accepted: at,
		Results: []queue.Result{{Outcome: queue.Delivered, Code: 250, Text: "ok", Remote: "mx.example.net:25"},
			{Outcome: queue.Failed, Code: 550, Text: "no such user"}, {}},
		Facts:   message.Facts{Subject: "Grüße", MessageID: "<" + string(id) + "@example.org>"},
		History: []queue.Attempt{{At: at.Add(time.Minute)}, {At: at.Add(time.Hour / 2)}}, Tags: []string{"t"},
	}}}, id
}

// A mail's status is told under its queue ID and its Message-ID, to keys and to programs on this
// machine.
func TestStatus(t *testing.T) {
	q, id := statusQueue(t)
	base := start(t, q, config(t))
	for _, name := range []string{string(id), "<" + string(id) + "@example.org>", string(id) + "@example.org"} {
		for _, path := range []string{url.PathEscape(name), name} {
			resp, text := ask(t, "GET", base+"/api/v1/email/status/"+path, "")
			f := fields(t, text)
			details, _ := f["details"].(map[string]any)
			if resp.StatusCode != 200 || f["status"] != "deferred" || f["timestamp"] != "2026-11-01T12:30:00Z" ||
				details["subject"] != "Grüße" ||
				details["to"] != "a@example.net, b@example.net, c@example.net" || details["from"] != "me@example.org" {
				t.Fatalf("%s = %d %s", path, resp.StatusCode, text)
			}
		}
	}
	c := NewClient(base, "own-secret")
	defer c.Close()
	st, err := c.Status(t.Context(), "<"+string(id)+"@example.org>")
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Recipients) != 3 || st.Recipients[0].Outcome != "delivered" || st.Recipients[1].Code != 550 ||
		st.Recipients[2].Outcome != "deferred" ||
		st.Attempts.Count != 2 || st.Attempts.Next == nil || st.ID != id {
		t.Errorf("status = %+v", st)
	}
}

// Nobody else learns a mail's status, and a mail that is not there is 404.
func TestStatusRefusals(t *testing.T) {
	q, id := statusQueue(t)
	s := New(q, config(t), discard)
	path := "/api/v1/email/status/" + string(id)
	for _, c := range []struct {
		path, header string
		status       int
		code         operate.Code
	}{
		{path, "Peer: 192.0.2.1:1", 401, operate.CodeNeedsKey},
		{path, "Host: evil.example", 401, operate.CodeNeedsKey},
		{path, "X-Forwarded-For: 127.0.0.1", 401, operate.CodeNeedsKey},
		{path, "Origin: https://example.org", 401, operate.CodeNeedsKey},
		{path, "Origin: https://evil.example", 403, operate.CodeOrigin},
		{path, "X-API-KEY: wrong", 401, operate.CodeKey},
		{"/api/v1/email/status/" + string(queue.NewID()), "X-API-KEY: own-secret", 404, operate.CodeNotFound},
		{"/api/v1/email/status/..%2f..%2fetc", "X-API-KEY: own-secret", 404, operate.CodeNotFound},
		{"/api/v1/email/status/%00", "X-API-KEY: own-secret", 404, operate.CodeNotFound},
	} {
		w := serveOne(s, "GET", c.path, "", c.header)
		if w.Code != c.status || fields(t, w.Body.String())["code"] != string(c.code) {
			t.Errorf("%s with %s = %d %s", c.path, c.header, w.Code, w.Body)
		}
		if c.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate (RFC 9110, 15.5.2)")
		}
	}
}
