package message

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// What is shown of a mail is decoded text, and a list of the rest.
func TestRead(t *testing.T) {
	raw := strings.ReplaceAll(`From: =?iso-8859-1?q?J=FCrgen?= <j@example.org>
To: ada@example.org,
 bob@example.net
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
 =?utf-8?q?_an_alle?=
Date: Thu, 05 Mar 2026 12:00:00 +0100
Message-ID: <1@a>
Reply-To: x@y
Content-Type: multipart/mixed; boundary=b

preamble
--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe=
!
--c
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PGI+R3LDvMOfZTwvYj4=
--c--
--b
Content-Type: image/png; name="=?utf-8?q?=C3=BC.png?="
Content-ID: <logo@x>
Content-Transfer-Encoding: base64

AAECAw==
--b
Content-Type: text/plain
Content-Disposition: attachment; filename*=utf-8''%C3%A4%2Fb.txt

file
--b
Content-Type: message/rfc822

Subject: inner

x
--b

footer
--b--
`, "\n", "\r\n")
	got, err := Read(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Header) != 7 || got.Header[4].Name != "Message-ID" || got.Header[2] != (Field{"Subject", "Grüße an alle"}) {
		t.Errorf("header %q", got.Header)
	}
	if !got.Date.Equal(noon) {
		t.Errorf("date %v", got.Date)
	}
	got.Header, got.Date = nil, time.Time{}
	want := &Parsed{From: "Jürgen <j@example.org>", To: "ada@example.org, bob@example.net", ReplyTo: "x@y", Subject: "Grüße an alle", MessageID: "<1@a>",
		Text: "Schöne Grüße!footer", HTML: "<b>Grüße</b>", Attachments: []PartInfo{{"ü.png", "image/png", "logo@x", 4}, {"b.txt", "text/plain", "", 4},
			{"", "message/rfc822", "", 19}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// What cannot be read is named, and the rest is shown.
func TestReadTolerates(t *testing.T) {
	for _, test := range []struct{ name, raw, text, defect string }{
		{"nothing", "", "", ""},
		{"no header", "hello\r\nyou\r\n", "", "the header cannot be read"},
		{"no empty line", "Subject: x", "", ""},
		{"bare LF", "Subject: x\n\nhello\n", "hello\n", ""},
		{"unknown charset", "Content-Type: text/plain; charset=klingon\r\n\r\nhello\r\n", "hello\n", "klingon"},
		{"unknown encoding", "Content-Transfer-Encoding: rot13\r\n\r\nuryyb\r\n", "uryyb\n", "rot13"},
		{"bad base64", "Content-Transfer-Encoding: base64\r\n\r\nSGVs*bG8\r\n", "Hel", "base64"},
		{"bad Content-Type", "Content-Type: text/plain; =\r\n\r\nhello\r\n", "hello\n", "Content-Type cannot be read"},
		{"bad Date", "Date: yesterday\r\n\r\nhello", "hello", "the Date cannot be read"},
		{"no boundary", "Content-Type: multipart/mixed\r\n\r\nhello", "", "no boundary"},
		{"cut off", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello", "hello", "EOF"},
		{"invalid UTF-8", "Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\x00", "\ufffd\ufffd", ""},
		{"long", "\r\n" + strings.Repeat("x", maxShown+1), strings.Repeat("x", maxShown), "longer than is shown"},
		{"many parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n\r\n", 2000), "", "too many parts"},
		{"bad part", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nnonsense\r\n\r\nx\r\n--b--", "", "a part cannot be read"},
	} {
		got, err := Read(strings.NewReader(test.raw))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		named := slices.ContainsFunc(got.Defects, func(d string) bool { return strings.Contains(d, test.defect) })
		if got.Text != test.text || named == (test.defect == "") {
			t.Errorf("%s: got %.100q, defects %q", test.name, got.Text, got.Defects)
		}
	}
	sick := errors.New("input/output error")
	if _, err := Read(iotest.ErrReader(sick)); !errors.Is(err, sick) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// Nesting costs time in proportion to size: fifty levels deep, and then no further.
func TestReadNesting(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	start := time.Now()
	got, err := Read(strings.NewReader(b.String() + "\r\n" + strings.Repeat("x\r\n", 1<<20)))
	if err != nil || !slices.Contains(got.Defects, "its parts are nested too deep to be shown") {
		t.Errorf("got %q, %v", got.Defects, err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(strings.ReplaceAll(mixed8, "\n", "\r\n")))
	f.Add([]byte("Subject: =?x?q?=ff?=\nContent-Type: multipart/mixed; boundary=\"\"\n\n--\n\n----"))
	f.Add([]byte("Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=0=\r\n=ZZ"))
	f.Add([]byte("Content-Disposition: attachment; filename*0*=utf-8''%FF; filename*1=\"x\r\n y\"\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Read(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{p.From, p.To, p.Cc, p.ReplyTo, p.Subject, p.MessageID}
		for _, h := range p.Header {
			lines = append(lines, h.Name, h.Value)
		}
		for _, a := range p.Attachments {
			lines = append(lines, a.Filename, a.ContentType, a.ContentID)
		}
		for _, s := range append(lines, p.Defects...) {
			if strings.ContainsFunc(s, isControl) || strings.ToValidUTF8(s, "") != s {
				t.Fatalf("%q is not fit to be shown", s)
			}
		}
		if len(p.Text) > 3*maxShown || strings.ToValidUTF8(p.Text+p.HTML, "") != p.Text+p.HTML || strings.ContainsAny(p.Text+p.HTML, "\x00\r") {
			t.Fatalf("text %q, HTML %q", p.Text, p.HTML)
		}
	})
}
