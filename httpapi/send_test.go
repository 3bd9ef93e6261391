package httpapi

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/mail"
	"os"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

const plainMail = `{"to":"ada@example.net","subject":"Hello","body":"How are you?"}`

// Every row of the contract's table for POST /send: case, status, message, code.
func TestSendAnswers(t *testing.T) {
	q := new(memory)
	cfg := config(t)
	cfg.MaxBody = 10_000
	base := start(t, q, cfg)
	for _, c := range []struct {
		name, method, body string
		status             int
		message            string // the beginning where it ends in "…"
		code               operate.Code
	}{
		{"get", "GET", "", 405, "Only POST method is allowed", operate.CodeMethod},
		{"put", "PUT", plainMail, 405, "Only POST method is allowed", operate.CodeMethod},
		{"plain options", "OPTIONS", "", 405, "Only POST method is allowed", operate.CodeMethod},
		{"unheard of", "BREW", "", 405, "Only POST method is allowed", operate.CodeMethod},
		{"empty", "POST", "", 400, "Invalid request format: …", operate.CodeFormat},
		{"blank", "POST", " \r\n", 400, "Invalid request format: …", operate.CodeFormat},
		{"not json", "POST", "to=ada@example.net", 400, "Invalid request format: …", operate.CodeFormat},
		{"cut off", "POST", plainMail[:30], 400, "Invalid request format: the JSON ends too early.", operate.CodeFormat},
		{"array", "POST", "[" + plainMail + "]", 400, "Invalid request format: the body must be a JSON object.",
			operate.CodeFormat},
		{"null", "POST", "null", 400, "Invalid request format: the body must be a JSON object.", operate.CodeFormat},
		{"trailing", "POST", plainMail + "x", 400, "Invalid request format: …", operate.CodeFormat},
		{"two objects", "POST", plainMail + plainMail, 400, "Invalid request format: …", operate.CodeFormat},
		{"to is a number", "POST", `{"to":5,"subject":"s","body":"b"}`, 400,
			`Invalid request format: the field "to" must be a string or an array of strings.`, operate.CodeFormat},
		{"to has a number", "POST", `{"to":["a@b.example",5],"subject":"s","body":"b"}`, 400, "Invalid request format: …",
			operate.CodeFormat},
		{"html is a number", "POST", `{"to":"a@b.example","subject":"s","body":"b","html":1}`, 400,
			`Invalid request format: the field "html" must be true, false or a string.`, operate.CodeFormat},
		{"subject is an object", "POST", `{"to":"a@b.example","subject":{},"body":"b"}`, 400, "Invalid request format: …",
			operate.CodeFormat},
		{"twice", "POST", `{"to":"a@b.example","To":"c@d.example","subject":"s","body":"b"}`, 400,
			`Invalid request format: the field "to" is given twice.`, operate.CodeFormat},
		{"twice in disguise", "POST", `{"to":"a@b.example","t\u006f":"c@d.example","subject":"s","body":"\\\""}`, 400,
			`Invalid request format: the field "to" is given twice.`, operate.CodeFormat},
		{"tags of numbers", "POST", `{"to":"a@b.example","subject":"s","body":"b","tags":[1]}`, 400,
			`Invalid request format: the field "tags" must be an array of strings.`, operate.CodeFormat},
		{"attachment of numbers", "POST", `{"to":"a@b.example","subject":"s","body":"b","attachments":[{"filename":1}]}`,
			400,
			`Invalid request format: the field "attachments" must be an array of objects of strings.`, operate.CodeFormat},
		{"latin-1", "POST", "{\"to\":\"a@b.example\",\"subject\":\"caf\xe9\",\"body\":\"b\"}", 400,
			"Invalid request format: the body is not UTF-8.", operate.CodeFormat},
		{"too deep", "POST", `{"x":` + strings.Repeat("[", 9000), 400, "Invalid request format: …", operate.CodeFormat},
		{"too large", "POST", `{"x":"` + strings.Repeat("a", 10_000) + `"}`, 413, "Invalid request format: …",
			operate.CodeTooLarge},
		{"no to", "POST", `{}`, 400, "Recipient (to) is required", operate.CodeMissingTo},
		{"null to", "POST", `{"to":null}`, 400, "Recipient (to) is required", operate.CodeMissingTo},
		{"empty list", "POST", `{"to":[],"subject":""}`, 400, "Recipient (to) is required", operate.CodeMissingTo},
		{"no subject", "POST", `{"to":"not an address"}`, 400, "Subject is required", operate.CodeMissingSubject},
		{"no body", "POST", `{"to":"not an address","subject":"s"}`, 400, "Email body is required", operate.CodeMissingBody},
		{"html true alone", "POST", `{"to":"a@b.example","subject":"s","html":true}`, 400, "Email body is required",
			operate.CodeMissingBody},
		{"body and text", "POST", `{"to":"a@b.example","subject":"s","body":"a","text":"b"}`, 400, "Give either …",
			operate.CodeBodyTwice},
		{"bad to", "POST", `{"to":"not an address","subject":"s","body":"b"}`, 400, `Invalid address in "to": "…`,
			operate.CodeAddress},
		{"bad second", "POST", `{"to":["a@b.example","c@@d"],"subject":"s","body":"b"}`, 400,
			`Invalid address in "to": "…`, operate.CodeAddress},
		{"no domain", "POST", `{"to":"postmaster","subject":"s","body":"b"}`, 400,
			`Invalid address in "to": "postmaster" …`, operate.CodeAddress},
		{"bad cc", "POST", `{"to":"a@b.example","cc":"x@","subject":"s","body":"b"}`, 400, `Invalid address in "cc": "…`,
			operate.CodeAddress},
		{"bad bcc", "POST", `{"to":"a@b.example","bcc":["x"],"subject":"s","body":"b"}`, 400,
			`Invalid address in "bcc": "…`, operate.CodeAddress},
		{"bad from", "POST", `{"to":"a@b.example","from":"x y z","subject":"s","body":"b"}`, 400,
			`Invalid address in "from": "…`, operate.CodeAddress},
		{"two from", "POST", `{"to":"a@b.example","from":"a@example.org, b@example.org","subject":"s","body":"b"}`, 400,
			`Invalid address in "from": "…`, operate.CodeAddress},
		{"null from", "POST", `{"to":"a@b.example","from":"<>","subject":"s","body":"b"}`, 400,
			`Invalid address in "from": "…`, operate.CodeAddress},
		{"foreign from", "POST", `{"to":"a@b.example","from":"a@other.example","subject":"s","body":"b"}`, 403,
			"Without an API key …", operate.CodeSender},
		{"bad send_at", "POST", `{"to":"a@b.example","send_at":"tomorrow","subject":"s","body":"b"}`, 400, "The field …",
			operate.CodeSendAt},
		{"far send_at", "POST", `{"to":"a@b.example","send_at":"2999-01-01T00:00:00Z","subject":"s","body":"b"}`, 400,
			"The field …", operate.CodeSendAt},
		{"bad base64", "POST",
			`{"to":"a@b.example","subject":"s","body":"b","attachments":[{"filename":"f","content":"%%"}]}`, 400,
			"The content of the attachment \"f\" is not base64.", operate.CodeAttachment},
		{"nameless file", "POST", `{"to":"a@b.example","subject":"s","body":"b","attachments":[{"content":"YQ=="}]}`, 400,
			"The attachment number 1 has no filename.", operate.CodeAttachment},
		{"reserved header", "POST", `{"to":"a@b.example","subject":"s","body":"b","headers":{"Bcc":"x@y.example"}}`, 400,
			"The mail cannot be composed: …", operate.CodeMessage},
		{"many tags", "POST", `{"to":"a@b.example","subject":"s","body":"b","tags":[` + strings.Repeat(`"t",`, 20) +
			`"t"]}`, 400,
			"Invalid request format: …", operate.CodeFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, text := ask(t, c.method, base+"/send", c.body)
			wantRefusal(t, resp, text, c.status, c.message, c.code)
			if allow := resp.Header.Get("Allow"); (allow != "") != (c.status == 405) || allow != "" &&
				!strings.HasPrefix(allow, "POST") {
				t.Errorf("Allow = %q", allow)
			}
		})
	}
	if n := q.count(); n != 0 {
		t.Errorf("%d mails were sent, want none", n)
	}
}

// wantRefusal checks an error of /send: all five fields, none empty, with this status, message and
// code.
func wantRefusal(t *testing.T, resp *http.Response, text string, status int, message string, code operate.Code) {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("status = %d, want %d: %s", resp.StatusCode, status, text)
	}
	f := fields(t, text)
	got, _ := f["message"].(string)
	if want, part := strings.CutSuffix(message, "…"); got != want && !(part && strings.HasPrefix(got, want)) {
		t.Errorf("message = %q, want %q", got, message)
	}
	details, _ := f["details"].(string)
	if f["success"] != false || f["error"] != "Failed to send email" || details == "" || !strings.HasSuffix(got, details) {
		t.Errorf("body = %s", text)
	}
	if f["code"] != string(code) {
		t.Errorf("code = %v, want %s", f["code"], code)
	}
}

// What is accepted is answered with exactly these fields, whatever the Content-Type says, and is
// the mail that was asked for.
func TestSendAccepts(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", ""} {
		resp, text := ask(t, "POST", base+"/send", "\ufeff"+plainMail, "Content-Type: "+contentType)
		m, body := q.last(t)
		want := fmt.Sprintf(`{"success":true,"message":"Email sent successfully","id":"%s","messageId":"<%s@example.org>","status":"queued"}`,
			m.ID, m.ID)
		if resp.StatusCode != 200 || strings.TrimSpace(text) != want {
			t.Fatalf("answer = %d %s, want 200 %s", resp.StatusCode, text, want)
		}
		h := header(t, body)
		if h.Get("Message-Id") != "<"+string(m.ID)+"@example.org>" || h.Get("Subject") != "Hello" ||
			h.Get("To") != "<ada@example.net>" &&
				h.Get("To") != "ada@example.net" || !strings.Contains(h.Get("From"), "noreply@example.org") ||
			!strings.Contains(body, "How are you?") {
			t.Errorf("mail = %s", body)
		}
		if m.Origin.Door != "http" || m.Origin.Client == "" || m.Envelope.From.String() != "noreply@example.org" {
			t.Errorf("record = %+v", m)
		}
	}
}

func header(t testing.TB, body string) mail.Header {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return m.Header
}

// Each field of a request ends up where the contract says.
func TestSendFields(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, c := range []struct {
		name, json string
		check      func(m queue.Message, h mail.Header, body string) bool
	}{
		{"list in a string", `"body":"b","to":"Ada <ada@example.net>, \"Bob, Jr.\" <bob@example.net>,c@example.net"`,
			func(m queue.Message, h mail.Header, _ string) bool {
				to, err := h.AddressList("To")
				return recipients(m) == "ada@example.net bob@example.net c@example.net" && err == nil &&
					to[1].Name == "Bob, Jr."
			}},
		{"array", `"body":"b","to":["ada@example.net","bob@example.net"]`,
			func(m queue.Message, _ mail.Header, _ string) bool {
				return recipients(m) == "ada@example.net bob@example.net"
			}},
		{"bcc", `"to":"a@example.net","cc":"c@example.net","bcc":"b@example.net","body":"x"`,
			func(m queue.Message, h mail.Header, body string) bool {
				return recipients(m) == "a@example.net c@example.net b@example.net" && !strings.Contains(body,
					"b@example.net") &&
					strings.Contains(h.Get("Cc"), "c@example.net")
			}},
		{"html true", `"to":"a@example.net","body":"<p>Hi</p>","html":true`,
			func(_ queue.Message, h mail.Header, body string) bool {
				return strings.HasPrefix(h.Get("Content-Type"), "multipart/alternative") && strings.Contains(body, "text/html")
			}},
		{"html false", `"to":"a@example.net","body":"<p>Hi</p>","html":false`,
			func(_ queue.Message, h mail.Header, body string) bool {
				return strings.HasPrefix(h.Get("Content-Type"), "text/plain")
			}},
		{"html string", `"to":"a@example.net","body":"Plain","html":"<p>Rich</p>"`,
			func(_ queue.Message, h mail.Header, body string) bool {
				return strings.Contains(body, "Plain") && strings.Contains(body, "<p>Rich</p>")
			}},
		{"html only", `"to":"a@example.net","html":"<p>Rich</p>"`, func(_ queue.Message, h mail.Header, body string) bool {
			return strings.Contains(body, "text/plain") && strings.Contains(body, "<p>Rich</p>")
		}},
		{"text", `"to":"a@example.net","text":"Plain"`, func(_ queue.Message, h mail.Header, body string) bool {
			return strings.HasPrefix(h.Get("Content-Type"), "text/plain") && strings.Contains(body, "Plain")
		}},
		{"reply_to", `"to":"a@example.net","body":"b","reply_to":["r@example.net","s@example.net"]`,
			func(_ queue.Message, h mail.Header, _ string) bool {
				list, err := h.AddressList("Reply-To")
				return err == nil && len(list) == 2
			}},
		{"headers", `"to":"a@example.net","body":"b","headers":{"X-Campaign":"spring"}`,
			func(_ queue.Message, h mail.Header, _ string) bool {
				return h.Get("X-Campaign") == "spring"
			}},
		{"attachment", `"to":"a@example.net","body":"b","attachments":[{"filename":"ü.txt","content":"` +
			base64.StdEncoding.EncodeToString([]byte("attached words")) + `","content_type":"text/plain"}]`,
			func(_ queue.Message, h mail.Header, body string) bool {
				return strings.HasPrefix(h.Get("Content-Type"), "multipart/mixed") && strings.Contains(body, "attachment")
			}},
		{"send_at", `"to":"a@example.net","body":"b","send_at":"` + at.Format(time.RFC3339) + `"`,
			func(m queue.Message, _ mail.Header, _ string) bool {
				return m.NotBefore.Equal(at)
			}},
		{"send_at in the past", `"to":"a@example.net","body":"b","send_at":"2020-01-01T00:00:00+02:00"`,
			func(m queue.Message, _ mail.Header, _ string) bool {
				return m.NotBefore.IsZero()
			}},
		{"tags and metadata", `"to":"a@example.net","body":"b","tags":["x"],"metadata":{"order":"7"}`,
			func(m queue.Message, _ mail.Header, _ string) bool {
				return len(m.Tags) == 1 && m.Metadata["order"] == "7"
			}},
		{"null fields",
			`"to":"a@example.net","body":"b","cc":null,"html":null,"from":null,"attachments":null,"headers":null`,
			func(m queue.Message, _ mail.Header, _ string) bool { return recipients(m) == "a@example.net" }},
		{"unknown fields", `"to":"a@example.net","body":"b","priority":{"deep":[1e999,{"to":1,"to":"\\\""}]},"x":1,"x":2`,
			func(m queue.Message, _ mail.Header, _ string) bool { return recipients(m) == "a@example.net" }},
		{"own from", `"to":"a@example.net","body":"b","from":"Me <me@example.org>"`,
			func(m queue.Message, h mail.Header, _ string) bool {
				return m.Envelope.From.String() == "me@example.org" && strings.Contains(h.Get("From"), "Me")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := q.count()
			resp, text := ask(t, "POST", base+"/send", `{"subject":"s",`+c.json+`}`)
			if resp.StatusCode != 200 || q.count() != before+1 {
				t.Fatalf("answer = %d %s", resp.StatusCode, text)
			}
			m, body := q.last(t)
			if !c.check(m, header(t, body), body) {
				t.Errorf("record = %+v\nmail = %s", m, body)
			}
		})
	}
}

func recipients(m queue.Message) string {
	all := make([]string, len(m.Envelope.To))
	for i, r := range m.Envelope.To {
		all[i] = r.Address.String()
	}
	return strings.Join(all, " ")
}

// Nothing a caller writes becomes a header field of its own: it is refused or it is harmless.
func TestNoHeaderInjection(t *testing.T) {
	q := new(memory)
	cfg := config(t)
	base := start(t, q, cfg)
	const evil = `x\r\nBcc: victim@example.net\r\nX-Evil: 1\r\n\r\nbody`
	for name, json := range map[string]string{
		"subject":      `"to":"a@example.net","subject":"` + evil + `","body":"b"`,
		"from":         `"to":"a@example.net","subject":"s","body":"b","from":"` + evil + ` <me@example.org>"`,
		"from address": `"to":"a@example.net","subject":"s","body":"b","from":"me@example.org` + evil + `"`,
		"to name":      `"to":"\"` + evil + `\" <a@example.net>","subject":"s","body":"b"`,
		"reply_to":     `"to":"a@example.net","reply_to":"` + evil + ` <r@example.net>","subject":"s","body":"b"`,
		"header name":  `"to":"a@example.net","headers":{"X-A: 1\r\nX-Evil":"1"},"subject":"s","body":"b"`,
		"header value": `"to":"a@example.net","headers":{"X-A":"` + evil + `"},"subject":"s","body":"b"`,
		"filename": `"to":"a@example.net","subject":"s","body":"b","attachments":[{"filename":"` + evil +
			`","content":"YQ=="}]`,
		"type": `"to":"a@example.net","subject":"s","body":"b","attachments":[{"filename":"f","content_type":"text/plain` + evil + `","content":"YQ=="}]`,
		"content id": `"to":"a@example.net","subject":"s","html":"<p>","attachments":[{"filename":"f","content_id":"a` +
			evil + `","content":"YQ=="}]`,
		"unicode line": `"to":"a@example.net","subject":"x\u2028Bcc: v@example.net\u0085X-Evil: 1","body":"b"`,
	} {
		t.Run(name, func(t *testing.T) {
			before := q.count()
			resp, text := ask(t, "POST", base+"/send", "{"+json+"}")
			if resp.StatusCode == 400 && q.count() == before {
				return
			}
			if resp.StatusCode != 200 {
				t.Fatalf("answer = %d %s", resp.StatusCode, text)
			}
			m, body := q.last(t)
			for line := range strings.SplitSeq(body, "\n") {
				if low := strings.ToLower(line); strings.HasPrefix(low, "bcc") || strings.HasPrefix(low, "x-evil") {
					t.Errorf("injected %q into %s", line, body)
				}
			}
			if recipients(m) != "a@example.net" {
				t.Errorf("recipients = %s", recipients(m))
			}
		})
	}
}

// A subject in any language travels as RFC 2047 words, with MIME-Version and Message-ID, and
// nothing above ASCII raw.
func TestSubjectIsEncoded(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	const subject = "Grüße aus Köln — 你好"
	if resp, text := ask(t, "POST", base+"/send",
		`{"to":"a@example.net","subject":"`+subject+`","body":"b"}`); resp.StatusCode != 200 {
		t.Fatal(text)
	}
	_, body := q.last(t)
	h := header(t, body)
	got, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || got != subject {
		t.Errorf("subject = %q, %v", got, err)
	}
	for i := range len(body) {
		if body[i] > 126 {
			t.Fatalf("raw byte %x at %d", body[i], i)
		}
	}
	if h.Get("Mime-Version") != "1.0" || h.Get("Content-Transfer-Encoding") == "" {
		t.Errorf("header = %v", h)
	}
}

// What the queue says becomes a status, never its own text.
func TestQueueErrors(t *testing.T) {
	for _, c := range []struct {
		err     error
		status  int
		message string
		code    operate.Code
	}{
		{queue.ErrNoSpace, 503, "Failed to send email: …", operate.CodeFull},
		{fmt.Errorf("put: %w", queue.ErrFull), 503, "Failed to send email: …", operate.CodeFull},
		{queue.ErrBroken, 503, "Failed to send email: …", operate.CodeUnavailable},
		{queue.ErrClosed, 503, "Failed to send email: …", operate.CodeUnavailable},
		{queue.ErrTooLarge, 413, "Invalid request format: …", operate.CodeTooLarge},
		{queue.ErrTooManyRecipients, 400, "The mail has more …", operate.CodeManyRecipients},
		{fmt.Errorf("%w: line 7", message.ErrMalformed), 400, "The mail cannot be composed: …", operate.CodeMessage},
		{errDisk, 500, "Failed to send email: …", operate.CodeInternal},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			base, log := startLogged(t, &memory{fail: c.err}, config(t))
			resp, text := ask(t, "POST", base+"/send", plainMail)
			wantRefusal(t, resp, text, c.status, c.message, c.code)
			if (resp.Header.Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("Retry-After = %q", resp.Header.Get("Retry-After"))
			}
			if strings.Contains(text, "secret-path") || c.status == 500 && !strings.Contains(log.String(), "secret-path") {
				t.Errorf("answer = %s, log = %s", text, log)
			}
		})
	}
}

// A panic costs its own request only: 500 in the usual form, and the log has the id that stands in
// the answer.
func TestPanicIsContained(t *testing.T) {
	q := &memory{hook: func() { panic("no such thing") }}
	base, log := startLogged(t, q, config(t))
	resp, text := ask(t, "POST", base+"/send", plainMail)
	wantRefusal(t, resp, text, 500, "Failed to send email: …", operate.CodeInternal)
	_, id, _ := strings.Cut(fields(t, text)["message"].(string), "request ")
	if id = strings.TrimSuffix(id, "."); id == "" || !strings.Contains(log.String(), id) || strings.Contains(text,
		"no such thing") {
		t.Errorf("answer = %s, log = %s", text, log)
	}
	if resp, _ := ask(t, "GET", base+"/health", ""); resp.StatusCode != 200 {
		t.Errorf("health after a panic = %d", resp.StatusCode)
	}
}

// A compressed body is refused: what it unpacks to has no bound.
func TestCompressedBodyIsRefused(t *testing.T) {
	base := start(t, new(memory), config(t))
	resp, text := ask(t, "POST", base+"/send", plainMail, "Content-Encoding: gzip")
	wantRefusal(t, resp, text, 415, "Invalid request format: …", operate.CodeEncoding)
}

// All request bodies together stay within their budget, and it is given back.
func TestBodiesHaveABudget(t *testing.T) {
	q := new(memory)
	cfg := config(t)
	cfg.MaxBody = 1 << 20
	s := New(q, cfg, discard)
	s.bodies.left.Store(64 << 10)
	for range 3 {
		w := serveOne(s, "POST", "/send", `{"x":"`+strings.Repeat("a", 300<<10)+`"}`)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"busy"`) {
			t.Fatalf("answer = %d %s", w.Code, w.Body)
		}
	}
	if left := s.bodies.left.Load(); left != 64<<10 {
		t.Errorf("left = %d, want all of it", left)
	}
}

// A mail with a large attachment is composed while it is stored, and arrives whole.
func TestLargeAttachment(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	content := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("0123456789", 100_000)))
	resp, text := ask(t, "POST", base+"/send",
		`{"to":"a@example.net","subject":"s","body":"b","attachments":[{"filename":"f.bin","content":"`+content+`"}]}`)
	if resp.StatusCode != 200 {
		t.Fatal(text)
	}
	_, body := q.last(t)
	if !strings.Contains(strings.ReplaceAll(body, "\r\n", ""), content) {
		t.Errorf("the attachment is not in the mail of %d bytes", len(body))
	}
	// The writer ends also when the queue stops reading.
	q.fail = queue.ErrFull
	if resp, _ := ask(t, "POST", base+"/send",
		`{"to":"a@example.net","subject":"s","body":"b","attachments":[{"filename":"f.bin","content":"`+content+`"}]}`); resp.StatusCode != 503 {
		t.Errorf("status = %d", resp.StatusCode)
	}
}

// The other documented address: its own fields, answers and errors.
func TestEmailSend(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	resp, text := ask(t, "POST", base+"/api/v1/email/send",
		`{"to":"a@example.net","from":"billing@example.org","subject":"s","text":"plain",
		"html":"<p>rich</p>","attachments":[{"filename":"a.txt","content":"YQ=="}]}`, "X-API-KEY: shop-secret")
	m, body := q.last(t)
	want := fmt.Sprintf(`{"success":true,"message":"Email queued for delivery","messageId":"<%s@example.org>"}`, m.ID)
	if resp.StatusCode != 200 || strings.TrimSpace(text) != want {
		t.Fatalf("answer = %d %s, want %s", resp.StatusCode, text, want)
	}
	if m.Origin.User != "shop" || !strings.Contains(body, "plain") || !strings.Contains(body, "a.txt") {
		t.Errorf("record = %+v, mail = %s", m, body)
	}
	for _, c := range []struct {
		method, body, key string
		status            int
		want              string
	}{
		{"POST", "{}", "shop-secret", 400, `{"error":true,"message":"Recipient (to) is required","code":"missing_to"}`},
		{"GET", "", "", 405, `{"error":true,"message":"Only POST method is allowed","code":"method_not_allowed"}`},
		{"BREW", "", "", 405, `{"error":true,"message":"Only POST method is allowed","code":"method_not_allowed"}`},
		{"POST", "{}", "wrong", 401,
			`{"error":true,"message":"The API key is not valid: it is none of those in API_KEYS.","code":"invalid_key"}`},
	} {
		var h []string
		if c.key != "" {
			h = append(h, "X-API-KEY: "+c.key)
		}
		resp, text := ask(t, c.method, base+"/api/v1/email/send", c.body, h...)
		if resp.StatusCode != c.status || strings.TrimSpace(text) != c.want {
			t.Errorf("answer = %d %s, want %d %s", resp.StatusCode, text, c.status, c.want)
		}
	}
}

// docs/api.md lists every code with its status in the words of the table here.
func TestCodesAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[operate.Code]bool{}
	for _, c := range operate.Codes {
		row := fmt.Sprintf("| `%s` | %d | %s |", c.Code, c.Status, c.Meaning)
		if !strings.Contains(string(b), row) {
			t.Errorf("docs/api.md lacks\n%s", row)
		}
		if seen[c.Code] {
			t.Errorf("%s stands twice in the table", c.Code)
		}
		seen[c.Code] = true
	}
	if n := strings.Count(string(b), "\n| `"); n < len(operate.Codes) {
		t.Errorf("docs/api.md has %d rows", n)
	}
}
