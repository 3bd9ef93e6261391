package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/queue"
)

// Whatever a stranger posts is answered with one of the documented statuses and one JSON object; what is accepted is one
// readable mail from us to us, with no header but ours.
func FuzzSendJSON(f *testing.F) {
	for _, seed := range []string{
		plainMail, "", "{", "null", `{"to":["owner@example.com"],"subject":"s","body":"b","html":true}`,
		`{"to":"owner@example.com","subject":"a\r\nBcc: x@y","text":"t","html":"<p>","from":"A <a@b.example>","reply_to":"c@d.example"}`,
		`{"to":"owner@example.com","subject":"s","body":"b","attachments":[{"filename":"f\r\n","content":"YQ==","content_type":"a/b;c=\"d\"","content_id":"x"}]}`,
		`{"to":"owner@example.com","subject":"\ud800","body":"\u0000\r.\r\n","send_at":"2030-01-01T00:00:00Z","tags":[""],"metadata":{"":""}}`,
		`{"TO":"owner@example.com, g: a@example.org;","subject":"s","body":"b","x":[[[{}]]],"y":1e999}`,
		`{"replyTo":"a@b.example","Reply-To":"x","subject":"s","message":"m","name":{"a":[1,"b\r\n"]},"phone":1e9,"_x":"y","email":"a@b.example","html":"yes"}`,
		`{"subject":"s","body":"b","Attachments":[{"Name":"f","Content":"YQ==","cid":"<x>"},{"path":"/x"},null,{"content":{}}],"isHtml":"1"}`,
		`{"to":"\"owner\"@example.com (c)","cc":null,"bcc":[],"headers":{"X-A":"b"},"subject":" ","body":" "}`,
	} {
		f.Add(seed)
	}
	cfg := config(f)
	cfg.TrustedNetworks = nil
	q := new(memory)
	s := New(q, cfg, discard)
	f.Fuzz(func(t *testing.T, body string) {
		q.mail, q.bodies = nil, nil
		w := serveOne(s, "POST", "/send", body)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("answer %q: %v", w.Body, err)
		}
		if w.Code == http.StatusInternalServerError || (w.Code == 200) != (q.count() == 1) ||
			(w.Code == 200) != (answer["success"] == true) {
			t.Fatalf("%d mails and %d %s", q.count(), w.Code, w.Body)
		}
		if w.Code != 200 {
			return
		}
		m, sent := q.last(t)
		for _, to := range m.Envelope.To {
			if low := strings.ToLower(to.Address.String()); low != "owner@example.com" &&
				to.Address.Domain != "example.org" {
				t.Fatalf("a visitor wrote to %s", low)
			}
		}
		checkVisitorMail(t, sent)
	})
}

func checkVisitorMail(t *testing.T, sent string) {
	t.Helper()
	read, err := mail.ReadMessage(strings.NewReader(sent))
	if err != nil {
		t.Fatalf("%v in %q", err, sent)
	}
	if from, err := read.Header.AddressList("From"); err != nil || len(from) != 1 ||
		from[0].Address != "noreply@example.org" {
		t.Fatalf("From = %v, %v in %q", from, err, sent)
	}
	for name, values := range read.Header {
		switch name {
		case "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type",
			"Content-Transfer-Encoding", "Received",
			"Content-Disposition", "Content-Id":
			if len(values) > 1 {
				t.Fatalf("%s stands %d times in %q", name, len(values), sent)
			}
		default:
			t.Fatalf("the field %s is in %q", name, sent)
		}
	}
}

// What an allow list lets pass is an origin whose host, as a browser understands it, is on the list.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://example.org", "http://a.example.org:8080", "null",
		"https://example.org@evil.example", "https://[::1]:3000",
		"https://evil.example/?https://example.org", "https://example.org.", "https://EXAMPLE.org",
		"http://xn--bcher-kva.example", "//example.org", "https://bücher.example"} {
		f.Add(seed)
	}
	o, err := ParseOrigins([]string{"example.org", "*.example.org", "https://full.example:8443", "[::1]"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if !o.Allow(origin) {
			return
		}
		u, err := url.Parse(strings.ToLower(origin))
		if err != nil {
			t.Fatalf("%q is allowed and is no URL", origin)
		}
		host := strings.TrimSuffix(u.Hostname(), ".")
		full := u.Scheme == "https" && host == "full.example" && u.Port() == "8443"
		if u.User != nil || u.Path != "" || u.RawQuery != "" || !(host == "example.org" || strings.HasSuffix(host,
			".example.org") || full || u.Hostname() == "::1" ||
			strings.HasPrefix(u.Hostname(), "0")) {
			t.Fatalf("%q is allowed", origin)
		}
	})
}

// plenty is a queue with one message, of which every verb can be done once.
type plenty struct {
	memory
	did atomic.Int64
}

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
			New(q, Config{}, discard).Control().ServeHTTP(w, r)
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
		q := new(memory)
		s := New(q, config(t), discard)
		r := httptest.NewRequest("POST", submitPath, strings.NewReader(body))
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		s.submitOnly.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || (w.Code == 200) != (q.count() == 1) || w.Code == 500 {
			t.Fatalf("%d mails, %d %q: %v", q.count(), w.Code, w.Body, err)
		}
		if w.Code != 200 {
			return
		}
		m, sent := q.last(t)
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

// Every LF that has no CR before it gets one, nothing else changes, however the text is cut.
func FuzzCRLF(f *testing.F) {
	for _, seed := range []string{"", "a\nb\r\nc\rd\r\r\n\n\n", "\n", "\r", strings.Repeat("line\n", 9000)} {
		f.Add(seed, uint8(1), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, in, out uint8) {
		var want strings.Builder
		for i := range len(text) {
			if text[i] == '\n' && (i == 0 || text[i-1] != '\r') {
				want.WriteByte('\r')
			}
			want.WriteByte(text[i])
		}
		c := &crlf{r: &pieces{text, int(in)%700 + 1}}
		var got strings.Builder
		p := make([]byte, int(out)%900+1)
		for {
			n, err := c.Read(p)
			got.Write(p[:n])
			if err == io.EOF {
				break
			}
			if n == 0 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("%q, want %q", &got, &want)
		}
	})
}

// pieces hands a text out a few bytes at a time, the end with the last of them.
type pieces struct {
	left string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b, p.left[:min(p.size, len(p.left))])
	if p.left = p.left[n:]; p.left == "" {
		return n, io.EOF
	}
	return n, nil
}
