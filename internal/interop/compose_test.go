//go:build interop

package interop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dinkymail/internal/rig"
)

// parsed is what testdata/read.py makes of a message.
type parsed struct {
	Names       []string
	Subject     string
	From        [][2]string
	To          [][2]string
	CC          [][2]string
	ReplyTo     [][2]string `json:"reply_to"`
	Custom      string
	MessageID   string `json:"message_id"`
	MIMEVersion string `json:"mime_version"`
	Text, HTML  *string
	Attachments []struct {
		Filename, Type, ID, Disposition string
		Content                         []byte
	}
	Defects []string
}

// read parses a message with Python.
func read(t *testing.T, raw []byte) parsed {
	t.Helper()
	cmd := exec.Command(tool(t, "python3", "apt-get install python3"), filepath.Join("testdata", "read.py"))
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read.py: %v\n%s\n%s", err, err.(*exec.ExitError).Stderr, raw)
	}
	var p parsed
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("read.py printed %s: %v", out, err)
	}
	return p
}

// posted sends a request to /send and returns the status and the reply.
func posted(t *testing.T, a *rig.Appliance, request map[string]any) (int, string) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+a.HTTP+"/send", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// composing posts a request with a mark of its own in X-Custom and returns what Python reads at the
// far end, with the bytes.
func composing(t *testing.T, a *rig.Appliance, sink *rig.Sink, mark string, request map[string]any) (parsed, rig.Received) {
	t.Helper()
	request = maps.Clone(request)
	request["headers"] = map[string]string{"X-Custom": mark}
	if code, answer := posted(t, a, request); code != http.StatusOK {
		t.Fatalf("%d %s", code, answer)
	}
	got := arrives(t, sink, "X-Custom: "+mark+"\r\n")
	p := read(t, got.Data)
	if len(p.Defects) > 0 {
		t.Errorf("defects: %q\n%s", p.Defects, got.Data)
	}
	if p.MessageID == "" || p.MIMEVersion != "1.0" {
		t.Errorf("Message-ID %q, MIME-Version %q", p.MessageID, p.MIMEVersion)
	}
	for line := range bytes.Lines(got.Data) {
		if len(line) > 1000 || bytes.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("line %.80q would not survive every hop", line)
		}
	}
	return p, got
}

// Whatever subject a caller gives, another parser reads the same one back.
func TestComposedSubjects(t *testing.T) {
	sink := farEnd(t)
	a := appliance(t, rig.Relayed(sink.Addr()))
	for i, subject := range []string{
		"plain", "Grüße aus Köln", "日本語の件名", "😀😀😀 " + strings.Repeat("emoji 😀 ", 40) + "end", "=?utf-8?q?not_decoded?=",
		"a =?utf-8?b?eA==?= b", `"quotes" and \backslashes\`, strings.Repeat("x", 990), strings.Repeat("ü", 500),
		strings.Repeat("many short words ", 60) + "end", "ends in equals =", "semi; colon: comma, <angle> (round)", "mixed ASCII и кириллица",
		"שלום עולם", "e\u0301 combining", "two  spaces   three", "?= =?", "100% _under_score_ =20",
	} {
		p, got := composing(t, a, sink, fmt.Sprint("subject-", i), map[string]any{"to": "bob@example.net", "subject": subject, "body": "x"})
		if p.Subject != subject {
			t.Errorf("subject %q came back as %q\n%.400s", subject, p.Subject, got.Data)
		}
	}
}

// Line breaks in a field make no new field and no new recipient: the request is refused, or the
// text stays in its field.
func TestHeaderInjection(t *testing.T) {
	sink := farEnd(t)
	a := appliance(t, rig.Relayed(sink.Addr()))
	const evil = "Bcc: evil@example.com"
	breaks := []string{"\r\n", "\n", "\r", "\x00\r\n", "\u0085", "\u2028", "\r\n ", "\v", "\f", "\n\n"}
	tried := 0
	for _, b := range breaks {
		for _, request := range []map[string]any{
			{"to": "bob@example.net", "subject": "s" + b + evil, "body": "x"},
			{"to": "bob@example.net" + b + evil, "subject": "s", "body": "x"},
			{"to": "Bob" + b + evil + " <bob@example.net>", "subject": "s", "body": "x"},
			{"to": "bob@example.net", "from": "Ada" + b + evil + " <ada@example.org>", "subject": "s", "body": "x"},
			{"to": "bob@example.net", "reply_to": "c@example.org" + b + evil, "subject": "s", "body": "x"},
			{"to": "bob@example.net", "subject": "s", "body": "x", "headers": map[string]string{"X-A": "a" + b + evil}},
			{"to": "bob@example.net", "subject": "s", "body": "x", "headers": map[string]string{"X-A" + b + evil: "a"}},
			{"to": "bob@example.net", "subject": "s", "body": "x", "attachments": []map[string]string{
				{"filename": "a" + b + evil, "content": "eA==", "content_type": "text/plain" + b + evil, "content_id": "c" + b + evil}}},
		} {
			if code, answer := posted(t, a, request); code != http.StatusOK && code != http.StatusBadRequest {
				t.Errorf("%q: %d %s", request, code, answer)
			} else if code == http.StatusOK {
				tried++
			}
		}
	}
	_, _ = composing(t, a, sink, "injection-last", map[string]any{"to": "bob@example.net", "subject": "last", "body": "x"})
	for _, got := range sink.Kept() {
		if len(got.To) != 1 || got.To[0] != "<bob@example.net>" {
			t.Errorf("recipients %q", got.To)
		}
		names := read(t, got.Data).Names
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, "Bcc") }) {
			t.Errorf("a Bcc was injected:\n%s", got.Data)
		}
	}
	t.Logf("%d of %d requests were accepted, none with an injected field", tried, len(breaks)*8)
}

// Names, lists, both bodies and copies are read back as they were given; Bcc is in the envelope
// only.
func TestComposedEnvelope(t *testing.T) {
	sink := farEnd(t)
	a := appliance(t, rig.Relayed(sink.Addr()))
	text, html := "Zeile eins\n.\n..dots\nFrom the start\n"+strings.Repeat("lang ", 500)+"\nende ", "<p>Grüße &amp; <b>Küsse</b></p>"
	p, got := composing(t, a, sink, "envelope", map[string]any{
		"from": `"Löwe, Ada" <ada@example.org>`, "to": []string{`"Doe, Jane" <jane@example.net>`, "bob@example.net"},
		"cc": "Käthe <kate@example.net>, dan@example.net", "bcc": "hidden@example.net", "reply_to": `"O'Neil; (x)" <oneil@example.net>`,
		"subject": "both", "text": text, "html": html,
	})
	want := parsed{
		From: [][2]string{{"Löwe, Ada", "ada@example.org"}}, To: [][2]string{{"Doe, Jane", "jane@example.net"}, {"", "bob@example.net"}},
		CC: [][2]string{{"Käthe", "kate@example.net"}, {"", "dan@example.net"}}, ReplyTo: [][2]string{{"O'Neil; (x)", "oneil@example.net"}},
	}
	for _, c := range []struct {
		name      string
		got, want [][2]string
	}{{"From", p.From, want.From}, {"To", p.To, want.To}, {"Cc", p.CC, want.CC}, {"Reply-To", p.ReplyTo, want.ReplyTo}} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s %q, want %q", c.name, c.got, c.want)
		}
	}
	if p.Text == nil || strings.TrimRight(*p.Text, "\n") != strings.TrimRight(text, "\n") {
		t.Errorf("text %q", *p.Text)
	}
	if p.HTML == nil || strings.TrimRight(*p.HTML, "\n") != html {
		t.Errorf("html %q", *p.HTML)
	}
	recipients := strings.Join(slices.Sorted(slices.Values(got.To)), " ")
	if recipients != "<bob@example.net> <dan@example.net> <hidden@example.net> <jane@example.net> <kate@example.net>" {
		t.Errorf("recipients %s", recipients)
	}
	if bytes.Contains(got.Data, []byte("hidden@")) {
		t.Errorf("Bcc is in the message:\n%s", got.Data)
	}
}

// Attachments come back with their names, types and bytes.
func TestComposedAttachments(t *testing.T) {
	sink := farEnd(t)
	a := appliance(t, rig.Relayed(sink.Addr()))
	random := rand.NewChaCha8([32]byte{1})
	for i, filename := range []string{
		"plain.txt", "Grüße.pdf", "日本語 ファイル.txt", `quote".pdf`, "semi;colon=x.txt", "100%41.txt", "it's.txt",
		"emoji 😀.png", strings.Repeat("long", 60) + ".txt", strings.Repeat("ü", 100) + ".txt", "two  spaces.txt", "=?utf-8?q?x?=.txt", "UTF-8''x.txt",
		"no extension", "a,b (c) [d] <e>@f.txt",
	} {
		content := make([]byte, 1+i*i*997)
		_, _ = random.Read(content)
		p, got := composing(t, a, sink, fmt.Sprint("attachment-", i), map[string]any{
			"to": "bob@example.net", "subject": "files", "text": "see files", "html": `<img src="cid:logo">`,
			"attachments": []map[string]string{
				{"filename": filename, "content": base64.StdEncoding.EncodeToString(content), "content_type": "application/octet-stream"},
				{"filename": "logo.png", "content": "iVBORw0KGgo=", "content_type": "image/png", "content_id": "logo"},
			},
		})
		found := false
		for _, f := range p.Attachments {
			switch {
			case f.ID != "":
				if f.ID != "<logo>" || f.Type != "image/png" || f.Disposition != "inline" {
					t.Errorf("inline image is %+v", f)
				}
			default:
				found = true
				if f.Filename != filename || f.Disposition != "attachment" || !bytes.Equal(f.Content, content) {
					t.Errorf("attachment %q came back as %q (%s), %d bytes of %d\n%.1500s", filename, f.Filename, f.Disposition, len(f.Content),
						len(content), got.Data)
				}
			}
		}
		if !found || len(p.Attachments) != 2 {
			t.Errorf("%q: %d attachments came back", filename, len(p.Attachments))
		}
	}
}
