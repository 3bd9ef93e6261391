package httpapi

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

// browser are the header fields of a browser that posts a form of the website.
var browser = []string{"Origin: https://example.org", "Referer: https://example.org/contact?x=1",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site"}

// fieldsOf are the fields of a form in their order.
type fieldsOf [][2]string

// encode writes a form as a browser does, in one of the three encodings, and gives its
// Content-Type.
func (f fieldsOf) encode(kind string) (contentType, body string) {
	switch kind {
	case formParts:
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, p := range f {
			w.WriteField(p[0], p[1])
		}
		w.Close()
		return w.FormDataContentType(), b.String()
	case formText:
		for _, p := range f {
			body += p[0] + "=" + strings.ReplaceAll(p[1], "\n", "\r\n") + "\r\n"
		}
		return kind, body
	}
	var parts []string
	for _, p := range f {
		parts = append(parts, url.QueryEscape(p[0])+"="+url.QueryEscape(p[1]))
	}
	return kind, strings.Join(parts, "&")
}

var formKinds = []string{formURL, formParts, formText}

// A plain form in each of the three encodings is a mail to the owner, and the browser goes where
// the form says, or sees thanks.
func TestPlainForm(t *testing.T) {
	contact := fieldsOf{{"name", "Ada Lovelace"}, {"email", "ada@example.net"}, {"phone", "+49 1"}, {"message", "Grüße & 1=1\nsecond line"},
		{"interest", "tea"}, {"interest", "cake"}, {"cf-turnstile-response", "TOKEN"}}
	for _, kind := range formKinds {
		for _, path := range []string{"/send", "/api/v1/email/send"} {
			q := new(memory)
			base := start(t, q, config(t))
			contentType, body := contact.encode(kind)
			resp, page := ask(t, "POST", base+path, body, append([]string{"Content-Type: " + contentType}, browser...)...)
			if resp.StatusCode != 200 || !strings.Contains(page, "Thank you") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") ||
				!strings.Contains(page, `href="https://example.org/contact?x=1"`) || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Fatalf("%s: %d %s", kind, resp.StatusCode, page)
			}
			m, sent := q.last(t)
			h := header(t, sent)
			want := "Grüße & 1=1\nsecond line\n\nname: Ada Lovelace\nemail: ada@example.net\nphone: +49 1\ninterest: tea\ninterest: cake\nPage: https://example.org/contact?x=1\n"
			if got := textPart(t, sent); got != want || h.Get("Subject") != "Contact form: example.org" || h.Get("Reply-To") != `Ada Lovelace <ada@example.net>` ||
				recipients(m) != "owner@example.com" || m.Origin.Door != "form" {
				t.Errorf("%s: %q\n%s", kind, got, sent)
			}
			contentType, body = append(fieldsOf{{"_next", "/thanks.html"}, {"subject", "Mine"}, {"to", "sales@example.org"}}, contact...).encode(kind)
			resp, page = ask(t, "POST", base+path, body, append([]string{"Content-Type: " + contentType}, browser...)...)
			if resp.StatusCode != 303 || resp.Header.Get("Location") != "https://example.org/thanks.html" {
				t.Errorf("%s: %d %v %s", kind, resp.StatusCode, resp.Header, page)
			}
			if m, sent := q.last(t); header(t, sent).Get("Subject") != "Mine" || recipients(m) != "sales@example.org" || strings.Contains(sent, "thanks") {
				t.Errorf("%s: %s", kind, sent)
			}
		}
	}
}

// Nobody is led to a page of an origin that ALLOWED_HOSTS does not list, however the address is
// written.
func TestFormIsNoOpenRedirect(t *testing.T) {
	for next, want := range map[string]string{
		"https://example.org/thanks?a=b#c": "https://example.org/thanks?a=b#c", "http://EXAMPLE.org:8080": "http://EXAMPLE.org:8080", "done": "https://example.org/done",
		"/a b": "https://example.org/a%20b", "?ok": "https://example.org/contact?ok", "https://evil.example/": "", "//evil.example/x": "", `/\evil.example`: `https://example.org/%5Cevil.example`,
		`\\evil.example`: `https://example.org/%5C%5Cevil.example`, "https:/evil.example": "", "https:evil.example": "", "https://example.org@evil.example": "",
		"https://example.org:x@evil.example": "", "https://ada@example.org/": "", "https://example.org.evil.example": "", `https://evil.example\@example.org`: "",
		"javascript:alert(1)": "", "data:text/html,x": "", "ftp://example.org/": "", "https://evil.example#https://example.org": "", "https://evil.example?@example.org": "",
		"https://example.org\r\nSet-Cookie: a=b": "", "https://exam\tple.org/": "", "https://sub.example.org/": "", "https://example.org%2eevil.example/": "",
		"https://example.org/" + strings.Repeat("x", 3000): "", "": "",
	} {
		q := new(memory)
		contentType, body := fieldsOf{{"message", "m"}, {"_redirect", next}}.encode(formURL)
		w := serveOne(New(q, config(t), discard), "POST", "/send", body, append([]string{"Content-Type: " + contentType}, browser...)...)
		got := w.Header().Get("Location")
		if got != want || (w.Code == 303) != (want != "") || w.Code != 303 && w.Code != 200 || q.count() != 1 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%q: %d to %q, want %q", next, w.Code, got, want)
		}
	}
}

// A browser is told in a page why a form was refused and what to do; a script that asks for JSON
// gets JSON, as it does for JSON.
func TestFormRefusals(t *testing.T) {
	cfg := config(t)
	cfg.FormRate = Rate{N: 3, Per: time.Minute}
	form := "Content-Type: " + formURL
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		page       string // what the page says; empty: JSON
	}{
		{"nothing written", "name=&message=", append(browser[:len(browser):len(browser)], form), 400, "Email body is required"},
		{"only tokens", "g-recaptcha-response=x&_a=b", append(browser[:len(browser):len(browser)], form), 400, "Email body is required"},
		{"recipient", "message=m&to=x@evil.example", append(browser[:len(browser):len(browser)], form), 403, "FORM_RECIPIENTS"},
		{"bad recipient", "message=m&to=x%40%40y", append(browser[:len(browser):len(browser)], form), 400, "Invalid address in"},
		{"origin", "message=m", []string{form, "Origin: https://evil.example", "Accept: text/html"}, 403, "ALLOWED_HOSTS"},
		{"damaged", "message=%zz", append(browser[:len(browser):len(browser)], form), 400, "not URL-encoded"},
		{"no boundary", "--x", append(browser[:len(browser):len(browser)], "Content-Type: multipart/form-data"), 400, "damaged"},
		{"cut off", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv", append(browser[:len(browser):len(browser)], "Content-Type: multipart/form-data; boundary=x"), 400, "damaged"},
		{"time", "message=m&send_at=2030-01-01T00:00:00Z", append(browser[:len(browser):len(browser)], form), 403, "send_at"},
		{"script", "message=", []string{form, "Origin: https://example.org", "Accept: application/json"}, 400, ""},
		{"fetch", "message=", []string{form, "Origin: https://example.org", "Accept: */*"}, 400, ""},
		{"old script", "message=", []string{form, "Origin: https://example.org", "X-Requested-With: XMLHttpRequest"}, 400, ""},
		{"JSON of a browser", `{"subject":"s"}`, append(browser[:len(browser):len(browser)], "Content-Type: text/plain"), 400, ""},
		{"no form", "just words", append(browser[:len(browser):len(browser)], "Content-Type: text/plain"), 400, ""},
		{"JSON list", "[1]", []string{form}, 400, ""},
		{"unknown type", "message=m", []string{"Content-Type: application/xml"}, 400, ""},
		{"no type", "message=m", nil, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := new(memory)
			w := serveOne(New(q, cfg, discard), "POST", "/send", c.body, c.headers...)
			text := w.Body.String()
			if w.Code != c.status || q.count() != 0 {
				t.Fatalf("%d mails, %d %s", q.count(), w.Code, text)
			}
			if c.page == "" {
				if f := fields(t, text); f["success"] != false || f["code"] == "" {
					t.Errorf("answer = %s", text)
				}
				return
			}
			if !strings.HasPrefix(text, "<!doctype html>") || !strings.Contains(text, "was not sent") || !strings.Contains(text, c.page) || !strings.Contains(text, "Go back") ||
				strings.Contains(text, "whoever runs it") != (c.status == 403) {
				t.Errorf("page = %s", text)
			}
		})
	}
	if w := serveOne(New(new(memory), cfg, discard), "GET", "/send?message=m", "", browser...); w.Code != 405 || !strings.Contains(w.Body.String(), "Only POST") ||
		!strings.HasPrefix(w.Body.String(), "<!doctype") {
		t.Errorf("GET: %d %s", w.Code, w.Body)
	}
	s := New(new(memory), cfg, discard)
	for i := range 4 {
		w := serveOne(s, "POST", "/send", fmt.Sprint("message=m", i), append(browser[:len(browser):len(browser)], form)...)
		if (w.Code == 429) != (i == 3) || i == 3 && (w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "in a moment")) {
			t.Errorf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
}

// A script that posts a form gets the answer that it would get for JSON; so does a program, with
// its warnings.
func TestFormAnsweredAsJSON(t *testing.T) {
	q := new(memory)
	base := start(t, q, config(t))
	_, text := ask(t, "POST", base+"/send", "message=m&name=Ada", "Content-Type: "+formURL, "Origin: https://example.org", "Accept: application/json")
	m, _ := q.last(t)
	if f := fields(t, text); f["success"] != true || f["id"] != string(m.ID) || f["status"] != "queued" || f["warnings"] != nil {
		t.Errorf("answer = %s", text)
	}
	resp, text := ask(t, "POST", base+"/send", "to=a@b.example&subject=s&body=b&phone=1&cc=c@b.example", "Content-Type: "+formURL, "Accept: */*")
	if f := fields(t, text); resp.StatusCode != 200 || len(f["warnings"].([]any)) != 1 {
		t.Errorf("answer = %s", text)
	}
	if m, body := q.last(t); recipients(m) != "a@b.example c@b.example" || strings.Contains(body, "phone") {
		t.Errorf("mail = %s", body)
	}
	for body, code := range map[string]operate.Code{"subject=s&body=b": operate.CodeMissingTo, "to=a@b.example&body=b&bcc_list=x": operate.CodeUnknownField, "to=a@b.example&body=b&attachment=cv.pdf": operate.CodeUnknownField} {
		if resp, text := ask(t, "POST", base+"/send", body, "Content-Type: "+formURL, "Accept: */*"); resp.StatusCode != 400 || fields(t, text)["code"] != string(code) {
			t.Errorf("%s: %s", body, text)
		}
	}
}

// Files of a form are attachments; an empty choice is none.
func TestFormFiles(t *testing.T) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("message", "see the files")
	file := func(disposition, kind, content string) {
		part, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {"form-data; " + disposition}, "Content-Type": {kind}})
		part.Write([]byte(content))
	}
	file(`name="cv"; filename="Lebenslauf ü.pdf"`, "application/pdf", "%PDF-1")
	file(`name="cv"; filename=""`, "application/octet-stream", "")
	file(`name="upload"; filename="C:\dir\empty.txt"`, "no type", "")
	file("name=photo; filename=\"\xfc.png\"", "image/png", "\x89PNG\r\n")
	w.Close()
	q := new(memory)
	base := start(t, q, config(t))
	headers := append([]string{"Content-Type: " + w.FormDataContentType()}, browser...)
	if resp, page := ask(t, "POST", base+"/send", b.String(), headers...); resp.StatusCode != 200 {
		t.Fatal(page)
	}
	_, sent := q.last(t)
	files := filesOf(t, sent)
	if want := "Lebenslauf ü.pdf application/pdf 6, empty.txt text/plain 0, ü.png image/png 6"; files != want {
		t.Errorf("files = %s\nwant    %s", files, want)
	}
	b.Reset()
	w = multipart.NewWriter(&b)
	for range maxFiles + 1 {
		file(`name=f; filename=a`, "text/plain", "x")
	}
	w.Close()
	headers[0] = "Content-Type: " + w.FormDataContentType()
	if resp, page := ask(t, "POST", base+"/send", b.String(), headers...); resp.StatusCode != 400 || !strings.Contains(page, "more than 50 files") {
		t.Errorf("%d %s", resp.StatusCode, page)
	}
}

// A form in another charset than UTF-8 loses no letter.
func TestFormCharset(t *testing.T) {
	for _, c := range []struct{ contentType, body, want string }{
		{formURL, "message=caf%E9+%80", "café €"}, {formURL, "message=%D0%C9%D7%CF&_charset_=koi8-r", "пиво"},
		{formURL + "; charset=koi8-r", "message=%D0%C9%D7%CF", "пиво"}, {formText + "; charset=iso-8859-1", "message=caf\xe9\r\n", "café"},
		{formURL + "; charset=nonsense", "message=caf%E9", "café"}, {formURL, "message=%C3%BC", "ü"},
	} {
		q := new(memory)
		w := serveOne(New(q, outside(t), discard), "POST", "/send", c.body, "Content-Type: "+c.contentType)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", c.body, w.Code, w.Body)
		}
		if _, sent := q.last(t); textPart(t, sent) != c.want+"\n" {
			t.Errorf("%s: %s", c.body, sent)
		}
	}
}

// The same form of the same client within ten seconds is one mail, under its first id; another
// client's, another content and a later one are mails of their own, and so is a second try after
// the first failed.
func TestDoubleClick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := new(memory)
		s := New(q, config(t), discard)
		post := func(kind, text string, headers ...string) string {
			contentType, body := fieldsOf{{"message", text}}.encode(kind)
			w := serveOne(s, "POST", "/send", body, append([]string{"Content-Type: " + contentType, "Origin: https://example.org", "Accept: application/json"}, headers...)...)
			id, _ := fields(t, w.Body.String())["id"].(string)
			return id
		}
		for _, kind := range formKinds { // in multipart each has a boundary of its own
			first, n := post(kind, kind), q.count()
			time.Sleep(9 * time.Second)
			if again := post(kind, kind); first == "" || again != first || q.count() != n {
				t.Errorf("%s: %q, then %q", kind, first, again)
			}
			if other := post(kind, kind+"!"); other == first || other == "" {
				t.Errorf("another text got %q", other)
			}
			if other := post(kind, kind, "Peer: 192.0.2.8:1"); other == first || other == "" {
				t.Errorf("another client got %q", other)
			}
			time.Sleep(2 * time.Second)
			if later := post(kind, kind); later == first || later == "" {
				t.Errorf("eleven seconds later: %q", later)
			}
		}
		q.fail = queue.ErrFull
		if id := post(formURL, "tried"); id != "" {
			t.Errorf("a full queue gave %q", id)
		}
		q.fail = nil
		if id := post(formURL, "tried"); id == "" {
			t.Error("a second try after a failure was not sent")
		}
		if a, b := serveOne(s, "POST", "/send", plainMail), serveOne(s, "POST", "/send", plainMail); a.Body.String() == b.Body.String() {
			t.Error("the same JSON twice is one mail")
		}
	})
}

// Two clicks at once are one mail too, also while the first is being stored.
func TestDoubleClickAtOnce(t *testing.T) {
	q := new(memory)
	release := make(chan struct{})
	var once sync.Once
	stored := make(chan struct{})
	q.hook = func() { once.Do(func() { close(stored) }); <-release }
	base := start(t, q, config(t))
	ids := make(chan any, 8)
	click := func() {
		_, text := ask(t, "POST", base+"/send", "message=m", "Content-Type: "+formURL, "Origin: https://example.org", "Accept: application/json")
		ids <- fields(t, text)["id"]
	}
	go click()
	<-stored
	for range cap(ids) - 1 {
		go click()
	}
	close(release)
	first := <-ids
	for range cap(ids) - 1 {
		if id := <-ids; id != first || id == nil {
			t.Errorf("ids %v and %v", first, id)
		}
	}
	if n := q.count(); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// What is remembered of forms is bounded.
func TestRepeatsAreBounded(t *testing.T) {
	var p repeats
	for i := range maxRepeats + 100 {
		p.once(t.Context(), [32]byte{byte(i), byte(i >> 8)}, func() (identity, error) { return identity{}, nil })
	}
	if len(p.seen) > maxRepeats+1 || len(p.order) > maxRepeats+1 {
		t.Errorf("%d, %d", len(p.seen), len(p.order))
	}
}

// Whatever is posted as a form is answered by a page or a redirect, and what is accepted is one
// mail from us to us.
func FuzzSendForm(f *testing.F) {
	for _, kind := range formKinds {
		contentType, body := fieldsOf{{"name", "Ada"}, {"email", "ada@example.net"}, {"message", "x\ny=z"}, {"_next", "/x"}, {"html", "on"}}.encode(kind)
		f.Add(contentType, body)
	}
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a; filename=\"\xff\"\r\nContent-Type: a/b;c=\"\r\n\r\n\x00\r\n--x--")
	f.Add(formURL+"; charset=utf-16", "message=%ff%00&to=owner@example.com&_charset_=big5&%=")
	f.Add(formText, "a=\r\nb\r\n\r\n=\r\nreply_to=x\r\nreply_to=y@z.example\r\n")
	q := new(memory)
	s := New(q, outside(f), discard)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		q.mail, q.bodies, s.repeats.seen, s.repeats.order = nil, nil, nil, nil
		w := serveOne(s, "POST", "/send", body, append(browser[:len(browser):len(browser)], "Content-Type: "+contentType)...)
		sent := w.Code == 200 || w.Code == 303
		if w.Code >= 500 || sent != (q.count() == 1) {
			t.Fatalf("%d mails and %d %s", q.count(), w.Code, w.Body)
		}
		if at := w.Header().Get("Location"); at != "" && !strings.HasPrefix(at, "https://example.org") && !strings.HasPrefix(at, "http://example.org") {
			t.Fatalf("led to %s", at)
		}
		if !sent {
			return
		}
		m, mail := q.last(t)
		for _, to := range m.Envelope.To {
			if low := strings.ToLower(to.Address.String()); low != "owner@example.com" && to.Address.Domain != "example.org" {
				t.Fatalf("a visitor wrote to %s", low)
			}
		}
		checkVisitorMail(t, mail)
	})
}
