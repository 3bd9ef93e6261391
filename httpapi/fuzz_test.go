package httpapi

import (
	"encoding/json"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"testing"
)

// Whatever a stranger posts is answered with one of the documented statuses and one JSON object;
// what is accepted is one readable mail from us to us, with no header but ours.
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

// What an allow list lets pass is an origin whose host, as a browser understands it, is on the
// list.
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
