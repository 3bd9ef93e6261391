package message

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message"
)

// draft is one that is fine, to be changed by tests.
func draft() Draft {
	return Draft{From: ada, To: []Mailbox{bob}, Subject: "Hello", Text: "Hello Bob\n", MessageID: "<1@example.org>", Date: noon}
}

func write(t *testing.T, d Draft) string {
	t.Helper()
	var b bytes.Buffer
	n, err := d.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("wrote %d of %d: %v", n, b.Len(), err)
	}
	checkLines(t, b.Bytes())
	for line := range strings.SplitSeq(b.String(), "\r\n") {
		if len(line) > maxLine {
			t.Fatalf("a line of %d bytes: %q", len(line), line)
		}
	}
	return b.String()
}

// leafPart is a part as another parser than ours sees it.
type leafPart struct{ kind, name, id, content string }

// leaves walks a mail with net/mail and mime/multipart, and notes the multiparts as kinds too.
func leaves(t *testing.T, raw string) (mail.Header, []leafPart) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	return m.Header, parts(t, func(name string) string { return m.Header.Get(name) }, m.Body)
}

func parts(t *testing.T, get func(string) string, body io.Reader) []leafPart {
	t.Helper()
	kind, params, err := mime.ParseMediaType(cmp.Or(get("Content-Type"), "text/plain"))
	if err != nil {
		t.Fatalf("%q: %v", get("Content-Type"), err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		found := []leafPart{{kind: kind}}
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return append(found, leafPart{kind: "end"})
			}
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, parts(t, p.Header.Get, p)...)
		}
	}
	switch get("Content-Transfer-Encoding") {
	case quotedPrintable:
		body = quotedprintable.NewReader(body)
	case base64Encoding:
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	_, disposition, _ := mime.ParseMediaType(get("Content-Disposition"))
	return []leafPart{{kind, disposition["filename"], get("Content-ID"), string(content)}}
}

// A plain mail has the fields that RFC 5322 and MIME ask for and is as simple as it can be.
func TestPlainDraft(t *testing.T) {
	got := write(t, draft())
	want := "Date: Thu, 05 Mar 2026 12:00:00 +0100\r\nFrom: Ada Lovelace <ada@example.org>\r\nTo: bob@example.net\r\nSubject: Hello\r\n" +
		"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 7bit\r\n\r\nHello Bob\r\n"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// What a Draft does not say is made: a date, a Message-ID of its own at Domain. Bcc goes into the
// envelope and nowhere else.
func TestDraftDefaults(t *testing.T) {
	d := Draft{From: ada, Bcc: []Mailbox{bob, bob}, Cc: nil, Domain: "news.example.org"}
	first, second := write(t, d), write(t, d)
	m, _ := mail.ReadMessage(strings.NewReader(first))
	id := m.Header.Get("Message-ID")
	if !strings.HasSuffix(id, "@news.example.org>") || !isMessageID(id) || strings.Contains(second, id) {
		t.Errorf("Message-ID %s", id)
	}
	if at, err := m.Header.Date(); err != nil || time.Since(at) > time.Minute {
		t.Errorf("Date %v, %v", at, err)
	}
	if strings.Contains(first, "bob") || m.Header.Get("To") != "undisclosed-recipients:;" {
		t.Errorf("the hidden recipient shows in %s", first)
	}
	if env := d.Envelope(); env.From != ada.Address || env.UTF8 || !slices.Equal(env.To, []Recipient{{Address: bob.Address}}) {
		t.Errorf("envelope %+v", env)
	}
}

// Everybody gets the mail once; an address that needs SMTPUTF8 says so, and stands in the header as
// it is.
func TestDraftEnvelope(t *testing.T) {
	d := draft()
	jürgen := Mailbox{"Jürgen", Address{"jürgen", "example.org"}}
	d.Cc, d.Bcc = []Mailbox{ada, bob}, []Mailbox{ada, {"", Address{"c", "d"}}}
	if env := d.Envelope(); env.UTF8 || len(env.To) != 3 || env.To[2].Address.Local != "c" {
		t.Errorf("%+v", env)
	}
	for _, change := range []func(*Draft){
		func(d *Draft) { d.From = jürgen }, func(d *Draft) { d.To = []Mailbox{jürgen} },
	} {
		d := draft()
		change(&d)
		if !d.Envelope().UTF8 || !strings.Contains(write(t, d), "=?utf-8?q?J=C3=BCrgen?= <jürgen@example.org>") {
			t.Errorf("%+v: %s", d.Envelope(), write(t, d))
		}
	}
}

// Text, HTML, images and files make the tree that readers expect, and every part decodes to what it
// was.
func TestDraftStructure(t *testing.T) {
	file := Attachment{Filename: "a.bin", ContentType: "application/x-thing", Content: []byte("\x00\r\n\xff--=_")}
	image := Attachment{Filename: "b.png", ContentID: "logo@x", Content: bytes.Repeat([]byte{0, 1, 2, 255}, 9999)}
	inner := Attachment{Filename: "m.eml", ContentType: "message/rfc822", Content: []byte("Subject: inner\n\nHello\n")}
	inner8 := Attachment{Filename: "m.eml", ContentType: "message/rfc822", Content: []byte("Subject: inner\n\nü\n")}
	document := Attachment{Filename: "d.pdf", ContentID: "doc", Content: []byte("%PDF")}
	const html = "<p>Hello <b>Bob</b></p><a href='https://example.org/'>here</a>"
	const pictured = "<p>Hello <b>Bob</b></p><img src=CID:logo%40x> cid:doctor"
	plain, rich := leafPart{kind: "text/plain", content: "Hello Bob\r\n"}, leafPart{kind: "text/html", content: html + "\r\n"}
	derived := leafPart{kind: "text/plain", content: "Hello Bob\r\n\r\nhere (https://example.org/)\r\n"}
	mixed, alternative, related, end := leafPart{kind: "multipart/mixed"}, leafPart{kind: "multipart/alternative"},
		leafPart{kind: "multipart/related"}, leafPart{kind: "end"}
	fileLeaf := leafPart{"application/x-thing", "a.bin", "", string(file.Content)}
	imageLeaf := leafPart{"image/png", "b.png", "<logo@x>", string(image.Content)}
	documentLeaf := leafPart{"application/pdf", "d.pdf", "<doc>", "%PDF"}
	picturedLeaf := leafPart{kind: "text/html", content: pictured + "\r\n"}
	for _, test := range []struct {
		name, text, html string
		attachments      []Attachment
		want             []leafPart
	}{
		{"text", "Hello Bob\n", "", nil, []leafPart{plain}},
		{"html", "", html, nil, []leafPart{alternative, derived, rich, end}},
		{"both", "Hello Bob\r\n", html, nil, []leafPart{alternative, plain, rich, end}},
		{"file", "Hello Bob", "", []Attachment{file}, []leafPart{mixed, plain, fileLeaf, end}},
		{"image without HTML", "Hello Bob", "", []Attachment{image}, []leafPart{mixed, plain, imageLeaf, end}},
		{"image that the HTML does not mention", "Hello Bob", html, []Attachment{image}, []leafPart{mixed, alternative, plain, rich, end, imageLeaf, end}},
		{"all", "Hello Bob", pictured, []Attachment{image, document, file},
			[]leafPart{mixed, alternative, plain, related, picturedLeaf, imageLeaf, end, end, documentLeaf, fileLeaf, end}},
		{"mails", "Hello Bob", "", []Attachment{inner, inner8}, []leafPart{mixed, plain,
			{"message/rfc822", "m.eml", "", "Subject: inner\r\n\r\nHello\r\n"},
			{"application/octet-stream", "m.eml", "", string(inner8.Content)}, end}},
	} {
		d := draft()
		d.Text, d.HTML, d.Attachments = test.text, test.html, test.attachments
		if _, got := leaves(t, write(t, d)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %.2000q\nwant %.2000q", test.name, got, test.want)
		}
	}
}

// texts are bodies that one hop or another spoils unless they are encoded.
var texts = []string{
	"plain", "", "\n", "trailing space \nand tab\t\n", "From the start\n", ".\n..\n.x", "ü", "äöü ßéñ mixed in a line of English text\n", "日本語のメール本文\n",
	strings.Repeat("long ", 300), strings.Repeat("x", 5000), strings.Repeat("日", 3000), "a\rb\r\nc\nd", "a\x00b\x07", "=\n=20", "--=_x_1\n--=_x_1--",
	strings.Repeat("a", 76) + "\n" + strings.Repeat("a", 75) + "ü\n" + strings.Repeat("b", 75) + "=\n", strings.Repeat("x", 75) + "." + "\n" +
		strings.Repeat("x", 75) + "-From -ü", "\xff\xfeinvalid", "\u2028\u0085",
}

// Text arrives as it was, with CRLF, and no line of the mail needs more than 7 bits or 78
// characters.
func TestDraftText(t *testing.T) {
	for _, text := range texts {
		d := draft()
		d.Text = text
		raw := write(t, d)
		_, got := leaves(t, raw)
		if want := crlf(strings.ToValidUTF8(text, "\ufffd")); len(got) != 1 || got[0].content != want {
			t.Errorf("%.100q became %.200q", want, got)
		}
		_, body, _ := strings.Cut(raw, "\r\n\r\n")
		for line := range strings.SplitSeq(body, "\r\n") {
			if len(line) > foldAt || !isPrintable(strings.ReplaceAll(line, "\t", "")) || strings.HasPrefix(line, ".") ||
				strings.HasPrefix(line, "From ") || strings.TrimRight(line, " \t") != line {
				t.Errorf("%.50q: line %q", text, line)
			}
		}
	}
}

// Subjects and file names arrive as they were, in lines that can be folded.
func TestDraftWords(t *testing.T) {
	for _, s := range []string{
		"Hello", "Grüße an alle", "日本語の件名 " + strings.Repeat("とても長い", 40), strings.Repeat("long subject ", 40) + "x", "=?utf-8?q?not_encoded?=",
		"a  b", strings.Repeat("x", 500), "\"quoted\" \\ 100%; a=b, (c) 'd'", "a=?b", "é", "naïve.txt", strings.Repeat("ö", 120) + ".pdf",
	} {
		d := draft()
		d.Subject = s
		name := s
		for len(name) > maxFilename {
			name = string([]rune(name)[:len([]rune(name))/2])
		}
		name = strings.Trim(strings.ReplaceAll(name, `\`, ""), " ")
		d.Attachments = []Attachment{{Filename: name, Content: []byte("x")}}
		raw := write(t, d)
		header, got := leaves(t, raw)
		if subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); err != nil || subject != s {
			t.Errorf("%q became %q, %v", s, subject, err)
		}
		if got[2].name != name {
			t.Errorf("file %q became %q", name, got[2].name)
		}
		for line := range strings.SplitSeq(raw, "\r\n") {
			if len(line) > foldAt || !isPrintable(line) {
				t.Errorf("line %q", line)
			}
		}
	}
}

// Fields that are the mail server's to write, and everything that is no field, are refused by name;
// the caller's own are kept.
func TestDraftHeaders(t *testing.T) {
	d := draft()
	long := "<https://example.org/" + strings.Repeat("u", 300) + ">"
	d.Headers = map[string]string{"X-Campaign": "März", "List-Unsubscribe": long, "In-Reply-To": "<a@b>", "X-Empty": "", "References": strings.Repeat("<a@b> ", 99)}
	header, _ := leaves(t, write(t, d))
	if decodeWords(header.Get("X-Campaign")) != "März" || header.Get("List-Unsubscribe") != long || header.Get("In-Reply-To") != "<a@b>" ||
		len(header["X-Empty"]) != 1 || len(strings.Fields(header.Get("References"))) != 99 {
		t.Errorf("got %v", header)
	}
	for _, name := range []string{
		"From", "to", "CC", "Bcc", "Reply-To", "Subject", "Sender", "Date", "Message-ID", "MIME-Version", "Content-Type", "content-x", "Received",
		"Return-Path", "DKIM-Signature", "ARC-Seal", "Resent-To", "Authentication-Results", "", " ", "X Y", "X:Y", "X\r\nBcc", "Bcc ", "ü", "X\x00",
		strings.Repeat("x", 61),
	} {
		d.Headers = map[string]string{name: "x"}
		wantRefused(t, d, "headers[")
	}
	for _, value := range []string{"a\r\nBcc: eve@example.com", "a\nb", "a\rb", "a\x00", "a\u2028b", "a\u0085b", strings.Repeat("x", 20000)} {
		d.Headers = map[string]string{"X-Y": value}
		wantRefused(t, d, `headers["X-Y"]`)
	}
	d.Headers = map[string]string{"X-Y": "1", "x-y": "2"}
	wantRefused(t, d, "headers[")
}

func wantRefused(t *testing.T, d Draft, field string) {
	t.Helper()
	var out bytes.Buffer
	_, err := d.WriteTo(&out)
	var refused *DraftError
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Field, field) || out.Len() > 0 {
		t.Errorf("%v: got %v, wrote %q", field, err, out.String())
	}
}

// Every mistake is named by its field, all of them at once, and nothing is written.
func TestDraftValidate(t *testing.T) {
	for field, change := range map[string]func(*Draft){
		"from":           func(d *Draft) { d.From = Mailbox{} },
		"to":             func(d *Draft) { d.To = nil },
		"cc":             func(d *Draft) { d.Cc = []Mailbox{{"", Address{"postmaster", ""}}} },
		"bcc":            func(d *Draft) { d.Bcc = []Mailbox{{"", Address{"a", "b c"}}} },
		"reply_to":       func(d *Draft) { d.ReplyTo = []Mailbox{{"", Address{"a\r\nBcc: x@y", "d"}}} },
		"subject":        func(d *Draft) { d.Subject = strings.Repeat("x", 20000) },
		"message_id":     func(d *Draft) { d.MessageID = "<a@b>\r\nBcc: x@y" },
		"domain":         func(d *Draft) { d.Domain, d.MessageID = "a b", "" },
		"attachments[0]": func(d *Draft) { d.Attachments = []Attachment{{ContentType: "multipart/mixed"}} },
		"attachments[1]": func(d *Draft) { d.Attachments = []Attachment{{}, {ContentType: "text"}} },
		"attachments[2]": func(d *Draft) { d.Attachments = []Attachment{{}, {}, {ContentID: "a>\r\nb"}} },
		"attachments[3]": func(d *Draft) { d.Attachments = []Attachment{{}, {}, {}, {Filename: strings.Repeat("x", 300)}} },
	} {
		d := draft()
		change(&d)
		wantRefused(t, d, field)
	}
	d := draft()
	d.To[0].Name = strings.Repeat("x", 1001)
	wantRefused(t, d, "to")
	err := Draft{Headers: map[string]string{"Bcc": "x"}}.Validate()
	for _, field := range []string{"from", "to", `headers["Bcc"]`} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	if err := draft().Validate(); err != nil {
		t.Error(err)
	}
}

// A writer that fails is reported.
func TestDraftWriteError(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	if _, err := draft().WriteTo(w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func FuzzDraft(f *testing.F) {
	f.Add("Hello", "Ada", "X-Y", "value", "a.txt", "Hello\n", "", []byte("x"))
	f.Add("a\r\nBcc: eve@example.com", "x\r\nTo: y", "X-Y", "\u00fc", "a\"\r\n\r\n.bin", "From x\n.\n--=_", "<p>x", []byte("\xff"))
	f.Add("s", "n", "X-Y", "v", "a.png", "t", "<img src='cid:x@y'>", []byte("x"))
	f.Add("=?utf-8?q?x?=", "a <b@c>,", "References", "<a@b> <c@d>", "日本語.txt", "\xff\x00", "</p>&#xD800;<a href='x\r\ny'>", []byte(nil))
	f.Add(strings.Repeat("x", 2000), strings.Repeat("ü ", 700), "X-Long", strings.Repeat("y", 2000), "a/b\\c", texts[9], "", []byte("\r"))
	f.Fuzz(func(t *testing.T, subject, name, field, value, filename, text, html string, content []byte) {
		d := draft()
		d.Subject, d.Text, d.HTML, d.From.Name, d.To[0].Name = subject, text, html, name, name
		d.Headers = map[string]string{field: value}
		if d.Validate() != nil {
			d.Headers = nil
		}
		d.Attachments = []Attachment{{Filename: filename[:min(len(filename), maxFilename)], Content: content, ContentID: "x@y"}}
		if d.Validate() != nil {
			return // too long
		}
		raw := write(t, d)
		header, tree := leaves(t, raw)
		want := []string{"Content-Type", "Date", "From", "Message-Id", "Mime-Version", "To"}
		if clean(subject) != "" {
			want = append(want, "Subject")
		}
		count := len(want) + len(d.Headers)
		if len(header) != count || !slices.ContainsFunc(want, func(n string) bool { return len(header[n]) == 1 }) {
			t.Fatalf("%d fields in %v, want %d", len(header), header, count)
		}
		checkDraftWords(t, header, d)
		checkDraftTree(t, tree, d)
		checkSecondParser(t, raw, count)
	})
}

func checkDraftWords(t *testing.T, header mail.Header, d Draft) {
	t.Helper()
	if got, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); err != nil || got != clean(d.Subject) {
		t.Fatalf("subject %q became %q, %v", d.Subject, got, err)
	}
	for _, field := range []string{"From", "To"} {
		list, err := header.AddressList(field)
		if err != nil || len(list) != 1 || list[0].Name != clean(d.From.Name) {
			t.Fatalf("name %q became %v, %v", d.From.Name, list, err)
		}
	}
}

func checkDraftTree(t *testing.T, tree []leafPart, d Draft) {
	t.Helper()
	kinds := []string{"multipart/mixed", "text/plain", "*", "end"}
	if strings.Contains(d.HTML, "cid:x@y") {
		kinds = []string{"multipart/alternative", "text/plain", "multipart/related", "text/html", "*", "end", "end"}
	} else if d.HTML != "" {
		kinds = []string{"multipart/mixed", "multipart/alternative", "text/plain", "text/html", "end", "*", "end"}
	}
	if len(tree) != len(kinds) {
		t.Fatalf("parts %q", tree)
	}
	for i, kind := range kinds {
		if kind == "*" {
			if tree[i].content != string(d.Attachments[0].Content) || tree[i].name != d.Attachments[0].basename() {
				t.Fatalf("attachment %q became %q", d.Attachments[0], tree[i])
			}
		} else if tree[i].kind != kind {
			t.Fatalf("parts %q", tree)
		}
	}
	at := slices.IndexFunc(tree, func(p leafPart) bool { return p.kind == "text/plain" })
	if text := strings.ToValidUTF8(d.Text, "\ufffd"); tree[at].content != crlf(text) && text != "" {
		t.Fatalf("text %q became %q", text, tree[at].content)
	}
}

func checkSecondParser(t *testing.T, raw string, count int) {
	t.Helper()
	e, err := gomessage.Read(strings.NewReader(raw))
	if err != nil || e.Header.Len() != count {
		t.Fatalf("go-message sees %d fields, %v", e.Header.Len(), err)
	}
	if p, err := Read(strings.NewReader(raw)); err != nil || len(p.Defects) > 0 || len(p.Header) != count || len(p.Attachments) != 1 {
		t.Fatalf("we read %+v, %v", p, err)
	}
}

// Every line of a text ends in CRLF, whichever of CRLF, CR and LF it had, and so does the last.
func TestLineEnds(t *testing.T) {
	for text, want := range map[string]string{
		"": "\r\n", "a": "a\r\n", "a\n": "a\r\n", "a\r": "a\r\n", "a\r\n": "a\r\n", "\n\r": "\r\n\r\n",
		"a\rb\nc\r\nd": "a\r\nb\r\nc\r\nd\r\n", "a\r\r\n\n": "a\r\n\r\n\r\n", "\r\r": "\r\n\r\n",
	} {
		if got := crlf(text); got != want {
			t.Errorf("crlf(%q) = %q, want %q", text, got, want)
		}
	}
}

// A text is left as it is only if nothing on the way would change it.
func TestRobust(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "\r\n": true, "a\tb\r\n": true, "a": true, "a\r\n-- \r\n": false, "a\nb\r\n": false, "a\rb\r\n": false,
		"a\r\nb\r": false, ".\r\n": false, "From a\r\n": false, "From: a\r\n": true, "--=x\r\n": false, "\u00fc\r\n": false,
		"a\x00\r\n": false, "\x7f\r\n": false, "a\t\r\n": false, strings.Repeat("a", 78) + "\r\n": true, strings.Repeat("a", 79): false,
	} {
		if got := isRobust([]byte(text)); got != want {
			t.Errorf("isRobust(%q) = %v, want %v", text, got, want)
		}
	}
}

// BenchmarkDraft is one mail of 3.6 KB.
func BenchmarkDraft(b *testing.B) {
	d := Draft{
		From: Mailbox{Address: Address{"noreply", "example.org"}}, To: []Mailbox{{"Ada", Address{"ada", "example.net"}}},
		Subject: "Your order", MessageID: "<1@example.org>", Date: time.Unix(1, 0),
		Text: strings.Repeat("Some words of a mail, as long as most.\n", 90),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
