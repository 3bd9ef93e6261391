package httpapi

import (
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"testing"
	"time"

	"dinkymail/message"
	"dinkymail/operate"
)

// An attachment whose content is not there, or is somewhere else, is refused by its name and the
// field; no file comes empty.
func TestAttachmentThatIsNotThere(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	for _, c := range []struct{ attachment, names string }{
		{`{"filename":"a.pdf"}`, "content"}, {`{"filename":"a.pdf","content":null}`, "content"}, {`{"filename":"a.pdf","content":""}`, "content"},
		{`{"filename":"a.pdf","content":" \n"}`, "content"}, {`{"filename":"a.pdf","path":"/tmp/a.pdf"}`, "path"},
		{`{"filename":"a.pdf","Path":"https://example.org/a.pdf"}`, "Path"}, {`{"filename":"a.pdf","url":"https://example.org/a.pdf"}`, "url"},
		{`{"filename":"a.pdf","href":"https://example.org/a.pdf"}`, "href"}, {`{"filename":"a.pdf","data":"YQ=="}`, "data"},
		{`{"filename":"a.pdf","contentBase64":"YQ=="}`, "contentBase64"}, {`{"filename":"a.pdf","content":null,"raw":"x"}`, "raw"},
		{`{"filename":"a.pdf","content":{"type":"Buffer","data":[1,2]}}`, "content"}, {`{"filename":"a.pdf","content":[37,80]}`, "content"},
		{`{"filename":"a.pdf","content":true}`, "content"}, {`{"filename":"a.pdf","content":7}`, "content"},
		{`{"filename":"a.pdf","content":"null"}`, "null"}, {`{"filename":"a.pdf","content":"undefined"}`, "undefined"},
		{`{"filename":"a.pdf","content":"data:application/pdf;base64,YQ=="}`, "data: URL"}, {`{"filename":"a.pdf","content":"DATA:,x"}`, "data: URL"},
		{`{"filename":"a.pdf","content":"https://example.org/a.pdf"}`, "base64"}, {`{"filename":"a.pdf","content":"/tmp/a.pdf!"}`, "base64"},
		{`{"filename":"a.pdf","content":"68656c6c6f21","encoding":"hex"}`, "hex"}, {`{"name":"a.pdf","type":"application/pdf"}`, "content"},
	} {
		for _, path := range []string{"/send", "/api/v1/email/send"} {
			resp, text := ask(t, "POST", base+path, `{"to":"a@b.example","subject":"s","body":"b","attachments":[{"filename":"ok","content":"YQ=="},`+c.attachment+`]}`)
			f := fields(t, text)
			said, _ := f["message"].(string)
			if resp.StatusCode != 400 || f["code"] != string(operate.CodeAttachment) || !strings.Contains(said, c.names) || !strings.Contains(said, "a.pdf") {
				t.Errorf("%s: %d %s", c.attachment, resp.StatusCode, text)
			}
		}
	}
	for attachments, want := range map[string]string{
		`{"filename":"a"}`: "array", `"/tmp/a.pdf"`: "array", `["/tmp/a.pdf"]`: "array", `[1]`: "array", `[{"filename":{},"content":"YQ=="}]`: "array",
		`[null]`: "number 1", `[{}]`: "number 1", `[{"path":"/tmp/x"}]`: "path", `[{"filename":"a","name":"b","content":"YQ=="}]`: "twice",
	} {
		resp, text := ask(t, "POST", base+"/send", `{"to":"a@b.example","subject":"s","body":"b","attachments":`+attachments+`}`)
		if resp.StatusCode != 400 || !strings.Contains(text, want) || !strings.Contains(text, "ttachment") {
			t.Errorf("%s: %d %s", attachments, resp.StatusCode, text)
		}
	}
	if n := q.count(); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}

// Fields work in the spellings of the libraries that people come from, in attachments too.
func TestSpellings(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	for _, name := range []string{"reply_to", "replyTo", "reply-to", "Reply-To", "ReplyTo", "REPLY_TO", "h:Reply-To", "_replyto"} {
		sendOK(t, base, `{"to":"a@b.example","subject":"s","body":"b","`+name+`":"r@b.example"}`, 0)
		if _, body := q.last(t); header(t, body).Get("Reply-To") != "r@b.example" {
			t.Errorf("%s: %s", name, body)
		}
	}
	for _, name := range []string{"send_at", "sendAt", "send-at", "SendAt"} {
		sendOK(t, base, `{"to":"a@b.example","subject":"s","body":"b","`+name+`":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"}`, 0)
		if m, _ := q.last(t); m.NotBefore.IsZero() {
			t.Errorf("%s: %v", name, m.NotBefore)
		}
	}
	for _, json := range []string{
		`"From":"me@example.org","To":"a@b.example","Subject":"s","HtmlBody":"<b>rich</b>","TextBody":"plain"`,
		`"to":"a@b.example","subject":"s","text":"plain","html":"<b>rich</b>"`,
		`"to":"a@b.example","subject":"s","message":"plain","htmlContent":"<b>rich</b>","body":"plain"`,
	} {
		sendOK(t, base, "{"+json+"}", strings.Count(json, "message"))
		if _, body := q.last(t); !strings.Contains(body, "plain") || !strings.Contains(body, "<b>rich</b>") {
			t.Errorf("%s: %s", json, body)
		}
	}
	sendOK(t, base, `{"to":"a@b.example","subject":"s","message":"the message"}`, 0)
	if _, body := q.last(t); !strings.HasSuffix(body, "\r\n\r\nthe message\r\n") {
		t.Errorf("mail = %s", body)
	}
	for _, json := range []string{
		`"filename":"a.png","content":"YQ==","contentType":"image/x-a","contentId":"pic"`,
		`"Name":"a.png","Content":"YQ==","ContentType":"image/x-a","ContentID":"cid:pic"`,
		`"filename":"a.png","content":"YQ==","content-type":"image/x-a","content-id":"<pic>","disposition":"inline"`,
		`"filename":"a.png","content":"YQ\n==","encoding":"base64","mime_type":"image/x-a","cid":"pic","contentDisposition":"attachment"`,
		`"file_name":"a.png","content":"YQ","type":"image/x-a","content_id":"pic","name":"a.png"`,
	} {
		sendOK(t, base, `{"to":"a@b.example","subject":"s","html":"<img src='cid:pic'>","attachments":[{`+json+`}]}`, 0)
		_, body := q.last(t)
		for _, want := range []string{"Content-Type: image/x-a\r\n", `filename="a.png"`, "Content-ID: <pic>\r\n", "multipart/related", "\r\nYQ==\r\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %s", json, want, body)
			}
		}
	}
}

// sendOK posts JSON that must be taken, with so many warnings, each of which is a sentence.
func sendOK(t *testing.T, url, json string, warnings int, headers ...string) []any {
	t.Helper()
	if !strings.HasSuffix(url, "/send") {
		url += "/send"
	}
	resp, text := ask(t, "POST", url, json, headers...)
	list, _ := fields(t, text)["warnings"].([]any)
	if resp.StatusCode != http.StatusOK || len(list) != warnings {
		t.Errorf("%s: %d %s, want %d warnings", json, resp.StatusCode, text, warnings)
	}
	for _, w := range list {
		if s, _ := w.(string); !strings.HasSuffix(s, ".") {
			t.Errorf("warning %q", w)
		}
	}
	return list
}

// A program learns which fields were not understood; one whose loss would change what is delivered
// is refused, unless it says nothing.
func TestProgramsAreWarned(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	const mail = `{"to":"a@b.example","subject":"s","body":"b",`
	for _, path := range []string{"/send", "/api/v1/email/send"} {
		for _, key := range []string{"X-A: b", "X-API-KEY: any-secret"} {
			list := sendOK(t, base+path, mail+`"phone":"1","trackOpens":true,"phone":2,"n":{"a":[1]},"gone":null,"attachments":[{"filename":"f","content":"YQ==","size":1}]}`, 5, key)
			for i, name := range []string{"size", "phone", "trackOpens", "phone", "n"} {
				if i < len(list) && !strings.Contains(list[i].(string), `"`+name+`"`) {
					t.Errorf("warning %d is %s, not about %s", i, list[i], name)
				}
			}
			if _, body := q.last(t); strings.Contains(body, "phone") {
				t.Errorf("a program's field is in the mail: %s", body)
			}
			for _, name := range []string{
				"scheduled_at", "scheduledAt", "Schedule", "deliver_at", "deliveryTime", "o:deliverytime", "bcc_list", "bccs", "BccRecipients",
				"attachements", "attachment", "files", "attachment_url",
			} {
				before := q.count()
				resp, text := ask(t, "POST", base+path, mail+`"`+name+`":"x"}`, key)
				if resp.StatusCode != 400 || !strings.Contains(text, string(operate.CodeUnknownField)) || !strings.Contains(text, name) || q.count() != before {
					t.Errorf("%s: %d %s", name, resp.StatusCode, text)
				}
				sendOK(t, base+path, mail+`"`+name+`":null}`, 0, key)
				sendOK(t, base+path, mail+`"`+name+`":[]}`, 1, key)
			}
		}
	}
	sendOK(t, base, mail+`"`+strings.Repeat("x", 5000)+`":1,"a\u202eb\n":1`+strings.Repeat(`,"y":1`, 500)+"}", 51)
}

// What a visitor writes besides is in the mail, with the page it comes from, and never a reason to
// refuse it.
func TestVisitorsFieldsAreShown(t *testing.T) {
	q := new(memory)
	base := start(t, q, outside(t))
	for _, path := range []string{"/send", "/api/v1/email/send"} {
		sendOK(t, base+path, `{"subject":"s","body":"Hello","name":"Ada","phone":12345678901,"likes":["tea",7,null,true],"address":{"city":"Köln"},"note":"one\r\ntwo",
			"scheduled_at":"tomorrow","attachements":["x"],"empty":"","gone":null,"phone":2,"g-recaptcha-response":"SECRET","h-captcha-response":"SECRET",
			"cf-turnstile-response":"SECRET","_gotcha":"SECRET","_csrf":"SECRET"}`, 0, "Origin: https://example.org", "Referer: https://ada:pw@example.org/contact?x=1#y")
		m, body := q.last(t)
		want := "Hello\n\nname: Ada\nphone: 12345678901\nlikes: tea, 7, true\naddress: {\"city\":\"Köln\"}\nnote:\n    one\n    two\n" +
			"scheduled_at: tomorrow\nattachements: x\nphone: 2\nPage: https://example.org/contact?x=1\n"
		if got := textPart(t, body); got != want {
			t.Errorf("text = %q\nwant   %q", got, want)
		}
		if recipients(m) != "owner@example.com" || strings.Contains(body, "SECRET") {
			t.Errorf("%s got %s", recipients(m), body)
		}
	}
	sendOK(t, base, `{"subject":"s","body":"<p>Hello</p>","html":true,"<b>name":"<script>\nx"}`, 0)
	if _, body := q.last(t); !strings.Contains(body, "&lt;b&gt;name: &lt;script&gt;<br>") || !strings.Contains(body, "<b>name:") {
		t.Errorf("mail = %s", body)
	}
	sendOK(t, base, `{"subject":"s","body":"plain","html":"<p>rich</p>","phone":"1"}`, 0)
	if _, body := q.last(t); strings.Count(body, "phone: 1") != 2 {
		t.Errorf("mail = %s", body)
	}
	sendOK(t, base, `{"subject":"s","body":"just this"}`, 0, "Referer: https://example.org/")
	if _, body := q.last(t); textPart(t, body) != "just this\n" {
		t.Errorf("mail = %s", body)
	}
}

// textPart is the plain text of a mail, with LF.
func textPart(t *testing.T, body string) string {
	t.Helper()
	read, err := message.Read(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(read.Text, "\r\n", "\n")
}

// At most 50 fields and 10 KB of them are shown; the visitor is told nothing, and the owner how
// many there were.
func TestVisitorsFieldsAreBounded(t *testing.T) {
	q := new(memory)
	base := start(t, q, outside(t))
	sendOK(t, base, `{"subject":"s","body":"b"`+strings.Repeat(`,"_hidden":"x","a-captcha":1`, 60)+strings.Repeat(`,"many":"`+strings.Repeat("v", 60)+`"`, 70)+`}`, 0)
	_, body := q.last(t)
	if text := textPart(t, body); strings.Count(text, "many: ") != 50 || !strings.Contains(text, "Left out: 20 more fields") {
		t.Errorf("text = %s", text)
	}
	sendOK(t, base, `{"subject":"s","body":"b","first":"1","long":"`+strings.Repeat("ü", 20<<10)+`","last":"x"}`, 0)
	_, body = q.last(t)
	if text := textPart(t, body); len(text) > 11<<10 || !strings.Contains(text, "first: 1") || !strings.Contains(text, "Left out: 1 more") {
		t.Errorf("%d bytes: %.200s", len(text), text)
	}
}

// A visitor's address that no Reply-To can hold is in the text, and the mail goes its way.
func TestVisitorsOddAddress(t *testing.T) {
	q := new(memory)
	base := start(t, q, outside(t))
	for _, c := range []struct{ json, replyTo, text string }{
		{`"email":"ada@example.net","name":"Ada Lovelace"`, `"Ada Lovelace" <ada@example.net>`, "name: Ada Lovelace\n"},
		{`"from":"bob@example.net","email":"ada@example.net"`, `<bob@example.net>`, "email: ada@example.net\n"},
		{`"email":"jörg@example.net"`, "", "email: jörg@example.net\n"}, {`"from":"jörg@example.net"`, "", "from: jörg@example.net\n"},
		{`"from":"ada at example"`, "", "from: ada at example\n"}, {`"reply_to":["x","ada@example.net"]`, "<ada@example.net>", "reply_to: x\n"},
		{`"replyTo":"x@@y"`, "", "reply_to: x@@y\n"}, {`"from":"a@b.example, c@d.example"`, "", "from: a@b.example, c@d.example\n"},
		{`"from":"ada@bücher.example"`, "<ada@xn--bcher-kva.example>", ""}, {`"email":"x\r\nBcc: y@z.example"`, "", "email:\n    x\n    Bcc: y@z.example\n"},
	} {
		sendOK(t, base, `{"subject":"s","body":"b",`+c.json+`}`, 0)
		m, body := q.last(t)
		got := ""
		if list, err := header(t, body).AddressList("Reply-To"); err == nil {
			got = list[0].String()
		} else if err != mail.ErrHeaderNotPresent {
			t.Error(err)
		}
		if got != c.replyTo || !strings.Contains(textPart(t, body), c.text) || m.Envelope.UTF8 || header(t, body).Get("Bcc") != "" {
			t.Errorf("%s: Reply-To %s, envelope %+v, %q", c.json, got, m.Envelope, textPart(t, body))
		}
	}
}

// html as a word is the flag, or refused; the word is never the mail.
func TestHTMLFlag(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	for value, rich := range map[string]bool{
		`"true"`: true, `" TRUE "`: true, `"1"`: true, `"yes"`: true, `"on"`: true, `true`: true, `"Yes"`: true,
		`"false"`: false, `"0"`: false, `"no"`: false, `"off"`: false, `""`: false, `null`: false, `false`: false, `"null"`: false, `"undefined"`: false,
	} {
		sendOK(t, base, `{"to":"a@b.example","subject":"s","body":"<p>Hi</p>","html":`+value+`}`, 0)
		_, body := q.last(t)
		if got := strings.Contains(body, "text/html"); got != rich || !strings.Contains(body, "<p>Hi</p>") {
			t.Errorf("html %s: %s", value, body)
		}
		resp, text := ask(t, "POST", base+"/send", `{"to":"a@b.example","subject":"s","html":`+value+`}`)
		wantRefusal(t, resp, text, 400, "Email body is required", operate.CodeMissingBody)
	}
	sendOK(t, base, `{"to":"a@b.example","subject":"s","body":"<p>Hi</p>","isHtml":"TRUE"}`, 0)
	if _, body := q.last(t); !strings.Contains(body, "text/html") {
		t.Errorf("mail = %s", body)
	}
	for _, field := range []string{`"html":1`, `"html":0`, `"html":{}`, `"html":[]`, `"html":["true"]`, `"html":1.5`, `"is_html":"maybe"`} {
		resp, text := ask(t, "POST", base+"/send", `{"to":"a@b.example","subject":"s","body":"b",`+field+`,"x":1}`)
		wantRefusal(t, resp, text, 400, `Invalid request format: the field "html" must be true, false or a string.`, operate.CodeFormat)
	}
}

// A visitor's mail without a recipient goes to DEFAULT_TO, whatever FORM_RECIPIENTS lists; without
// DEFAULT_TO, and from keys and programs, it is refused.
func TestDefaultTo(t *testing.T) {
	for _, to := range []string{``, `"to":"",`, `"to":null,`, `"to":[],`, `"to":[" "],`} {
		json := `{` + to + `"subject":"s","body":"b"}`
		q := new(memory)
		cfg := outside(t)
		cfg.FormRecipients = []string{"sales@example.org"}
		sendOK(t, start(t, q, cfg), json, 0)
		if m, body := q.last(t); recipients(m) != "owner@example.com" || header(t, body).Get("To") != "owner@example.com" {
			t.Errorf("%s: %s", json, body)
		}
		cfg.DefaultTo = message.Mailbox{}
		resp, text := ask(t, "POST", start(t, q, cfg)+"/send", json)
		wantRefusal(t, resp, text, 400, "Recipient (to) is required", operate.CodeMissingTo)
		for _, key := range []string{"X-A: b", "X-API-KEY: any-secret"} {
			resp, text := ask(t, "POST", start(t, q, config(t))+"/send", json, key)
			wantRefusal(t, resp, text, 400, "Recipient (to) is required", operate.CodeMissingTo)
		}
		if q.count() != 1 {
			t.Errorf("%d mails", q.count())
		}
	}
}

// The text beside HTML is what the HTML shows, and only a file that the HTML mentions is shown
// inside it.
func TestHTMLMail(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	sendOK(t, base, `{"to":"a@b.example","subject":"s","html":"<style>p{}</style><div>balance is < 100</div>one<br />two<hr><table><tr><td>Tea</td><td>3</td></tr></table><!-- no --><a href='https://example.org/x'>here</a><img src='cid:a'>",
		"attachments":[{"filename":"a.png","content":"YQ==","content_id":"a"},{"filename":"b.pdf","content":"YQ==","content_id":"b"}]}`, 0)
	_, body := q.last(t)
	if want := "balance is < 100\none\ntwo\n--------------------\nTea | 3\nhere (https://example.org/x)\n"; textPart(t, body) != want {
		t.Errorf("text = %q\nwant   %q", textPart(t, body), want)
	}
	_, related, _ := strings.Cut(body, "multipart/related")
	if !strings.Contains(body, "multipart/mixed") || !strings.Contains(related, `inline; filename="a.png"`) || !strings.Contains(related, `attachment; filename="b.pdf"`) {
		t.Errorf("mail = %s", body)
	}
}

// filesOf lists the attachments of a mail: name, type and size.
func filesOf(t *testing.T, body string) string {
	t.Helper()
	read, err := message.Read(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range read.Attachments {
		all = append(all, fmt.Sprintf("%s %s %d", a.Filename, a.ContentType, a.Size))
	}
	return strings.Join(all, ", ")
}
