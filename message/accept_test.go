package message

import (
	"bytes"
	"errors"
	"io"
	"net/mail"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var noon = time.Date(2026, time.March, 5, 12, 0, 0, 0, time.FixedZone("", 3600))

var trace = Trace{
	ID: "0cagh3h68onkmkga", By: "mail.example.org", Domain: "example.org", Helo: "laptop", Client: "192.0.2.7",
	Protocol: "ESMTPSA", TLS: "TLS1.3 TLS_AES_128_GCM_SHA256", User: "ada", For: Address{"bob", "example.net"}, Time: noon,
}

const (
	received = "Received: from laptop ([192.0.2.7])\r\n (authenticated as ada)\r\n" +
		" by mail.example.org (Dinkymail) with ESMTPSA id 0cagh3h68onkmkga\r\n (TLS1.3 TLS_AES_128_GCM_SHA256)\r\n" +
		" for <bob@example.net>;\r\n Thu, 05 Mar 2026 12:00:00 +0100\r\n"
	addedDate = "Date: Thu, 05 Mar 2026 12:00:00 +0100\r\n"
	addedID   = "Message-ID: <0cagh3h68onkmkga@example.org>\r\n"
	dated     = "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@a>\r\n"
)

// accepts are submitted mails and what stands behind the Received field afterwards.
var accepts = []struct{ name, in, want string }{
	{"complete mail stays as it is", dated + "From: a@b\r\n\r\nHello\r\n", dated + "From: a@b\r\n\r\nHello\r\n"},
	{"Date and Message-ID are added", "From: a@b\r\nSubject:  odd   spaces\t\r\n\r\nHello\r\n",
		"From: a@b\r\nSubject:  odd   spaces\t\r\n" + addedDate + addedID + "\r\nHello\r\n"},
	{"names in any case", "DATE: x\r\nmessage-id : y\r\n\r\n.\r\n", "DATE: x\r\nmessage-id : y\r\n\r\n.\r\n"},
	{"Bcc goes, folded, in any case, repeated",
		dated + "BCC: eve@example.com,\r\n\tmallory@example.com\r\nTo: x@y\r\nbcc : z@y\r\nResent-Bcc: z@y\r\n\r\n", dated + "To: x@y\r\n\r\n"},
	{"Bcc as the last field", dated + "Bcc: eve@example.com\r\n z@y\r\n\r\nBcc: text\r\n", dated + "\r\nBcc: text\r\n"},
	{"names that only look like Bcc stay", dated + "X-Bcc: a\r\nBcd: b\r\n\r\n", dated + "X-Bcc: a\r\nBcd: b\r\n\r\n"},
	{"Return-Path goes", "Return-Path: <a@b>\r\n" + dated + "return-path: <c@d>\r\n\r\nx\r\n", dated + "\r\nx\r\n"},
	{"last line without an end", dated + "\r\nHello", dated + "\r\nHello\r\n"},
	{"empty body", dated + "\r\n", dated + "\r\n"},
	{"header without an empty line", dated, dated + "\r\n"},
	{"header that breaks off", "Date: x\r\nMessage-ID: y", "Date: x\r\nMessage-ID: y\r\n\r\n"},
	{"header that breaks off in a folded field", "Date: x\r\nMessage-ID: y\r\n z", "Date: x\r\nMessage-ID: y\r\n z\r\n\r\n"},
	{"Bcc that breaks off", "Date: x\r\nMessage-ID: y\r\nBcc: z", "Date: x\r\nMessage-ID: y\r\n\r\n"},
	{"empty header", "\r\nHello\r\n", addedDate + addedID + "\r\nHello\r\n"},
	{"nothing", "", addedDate + addedID + "\r\n"},
	{"a lone empty line", "\r\n", addedDate + addedID + "\r\n"},
	{"no header", "Hello Bob\r\n\r\nhow are you\r\n", addedDate + addedID + "\r\nHello Bob\r\n\r\nhow are you\r\n"},
	{"no header and no line end", "Hello Bob", addedDate + addedID + "\r\nHello Bob\r\n"},
	{"begins with a space", " Subject: x\r\n\r\nHello\r\n", addedDate + addedID + "\r\n Subject: x\r\n\r\nHello\r\n"},
	{"a space", " ", addedDate + addedID + "\r\n \r\n"},
	{"mbox separator", "From ada@b Sun Nov 22 00:44:50 2026\r\n" + dated + "\r\nx\r\n", dated + "\r\nx\r\n"},
	{"text that begins like one", "From here on\r\nthere is text: more\r\n", addedDate + addedID + "\r\nFrom here on\r\nthere is text: more\r\n"},
	{"text that is one line like one", "From here on\r\n", addedDate + addedID + "\r\nFrom here on\r\n"},
	{"one such line and an empty one", "From here on\r\n\r\nx: y\r\n", addedDate + addedID + "\r\nFrom here on\r\n\r\nx: y\r\n"},
	{"From with a space before its colon", "From : a@b\r\n" + dated + "\r\n", "From : a@b\r\n" + dated + "\r\n"},
	{"no empty line", dated + "Hello Bob\r\n\r\nx\r\n", dated + "\r\nHello Bob\r\n\r\nx\r\n"},
	{"no empty line, and the end", dated + "Hello Bob", dated + "\r\nHello Bob\r\n"},
	{"no empty line after a folded field", dated + "X: a\r\n b\r\nHello: \x01 you\r\nYou there\r\n",
		dated + "X: a\r\n b\r\nHello: \x01 you\r\n\r\nYou there\r\n"},
	{"no empty line, and ours to add", "Subject: x\r\nHello\r\n", "Subject: x\r\n" + addedDate + addedID + "\r\nHello\r\n"},
	{"a line of one space for the empty one", dated + " \r\nHello Bob\r\n", dated + "\r\nHello Bob\r\n"},
	{"lines of white space for the empty one", dated + "X: a\r\n b\r\n\t\r\n  \r\nHello\r\n", dated + "X: a\r\n b\r\n\r\nHello\r\n"},
	{"white space within a field stays", dated + "X: a\r\n \r\n b\r\nHello\r\n", dated + "X: a\r\n \r\n b\r\n\r\nHello\r\n"},
	{"Bcc before the line that is no field", dated + "Bcc: eve@example.com\r\n \r\nHello\r\n", dated + "\r\nHello\r\n"},
	{"name with a space in it", dated + "X Y: b\r\nTo: c\r\n\r\n", dated + "\r\nX Y: b\r\nTo: c\r\n\r\n"},
	{"colon without a name", dated + ": b\r\n", dated + "\r\n: b\r\n"},
	{"separator among the fields", dated + ">From bob Sun Nov 22 00:44:50 2026\r\nTo: c\r\n", dated + "\r\n>From bob Sun Nov 22 00:44:50 2026\r\nTo: c\r\n"},
	{"several mbox separators", ">From ada@b Sun\r\nFrom bob@b Sun\r\n" + dated + "\r\nx\r\n", dated + "\r\nx\r\n"},
	{"no field after an mbox separator", "From ada\r\n" + dated + "Hello\r\n", dated + "\r\nHello\r\n"},
	{"text with a separator in it", "Hello\r\nFrom ada\r\nTo: c\r\n", addedDate + addedID + "\r\nHello\r\nFrom ada\r\nTo: c\r\n"},
	{"a line larger than a header", strings.Repeat("x", 2<<20), addedDate + addedID + "\r\n" + strings.Repeat("x", 2<<20) + "\r\n"},
	{"such a line where a header broke off", dated + strings.Repeat("x", 2<<20), dated + "\r\n" + strings.Repeat("x", 2<<20) + "\r\n"},
	{"dots stay", dated + "\r\n.\r\n..\r\n", dated + "\r\n.\r\n..\r\n"},
	{"blank continuation line", dated + "X: a\r\n \r\n b\r\n\r\nx\r\n", dated + "X: a\r\n \r\n b\r\n\r\nx\r\n"},
}

// The mail that is kept is the mail that came, but for the changes that Accept names, however its
// bytes arrive.
func TestAccept(t *testing.T) {
	for _, test := range accepts {
		t.Run(test.name, func(t *testing.T) {
			for how, r := range readers(test.in) {
				in := Accept(r, trace)
				got, err := io.ReadAll(in)
				if err != nil || string(got) != received+test.want {
					t.Fatalf("%s: got %q, %v\nwant %q", how, got, err, received+test.want)
				}
				checkFacts(t, got, in.Facts())
			}
			var out bytes.Buffer
			if _, err := io.Copy(&out, iotest.OneByteReader(Accept(strings.NewReader(test.in), trace))); err != nil {
				t.Fatal(err)
			}
			if out.String() != received+test.want {
				t.Errorf("read by bytes: %q", out.String())
			}
		})
	}
}

func readers(s string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":    strings.NewReader(s),
		"one byte": iotest.OneByteReader(strings.NewReader(s)),
		"half":     iotest.HalfReader(strings.NewReader(s)),
		"data err": iotest.DataErrReader(strings.NewReader(s)),
	}
}

// checkFacts compares facts with what a plain look at the mail says.
func checkFacts(t *testing.T, mail []byte, got Facts) {
	t.Helper()
	head := bytes.Index(mail, []byte("\r\n\r\n")) + 4
	longest := 0
	for _, line := range strings.Split(string(mail), "\r\n") {
		longest = max(longest, len(line))
	}
	if got.HeaderSize != int64(head) || got.LongestLine != longest ||
		got.UTF8Header == isASCII(string(mail[:head])) || got.EightBit == isASCII(string(mail)) {
		t.Errorf("facts %+v of %q", got, mail)
	}
	if strings.ContainsFunc(got.Subject+got.MessageID, isControl) {
		t.Errorf("control characters in %+v", got)
	}
}

// A line end that another server might read otherwise is refused with its line, wherever the chunks
// of it end.
func TestAcceptRefuses(t *testing.T) {
	many := strings.Repeat("Received: x\r\n", maxReceived+1)
	for _, test := range []struct{ name, in, want string }{
		{"bare LF in the header", "Subject: a\nTo: b\r\n\r\n", "line 1: an LF stands without CR"},
		{"bare LF at the end of the header", dated + "\n", "line 3: an LF stands without CR"},
		{"bare LF in the body", dated + "\r\nHello\n.\nMAIL FROM:<>\r\n", "line 4: an LF stands without CR"},
		{"bare LF first in the body", dated + "\r\nHello\r\n\n", "line 5: an LF stands without CR"},
		{"bare LF without a header", "Hello\nyou\r\n", "line 1: an LF stands without CR"},
		{"bare CR in the header", "Subject: a\rb\r\n\r\n", "line 1: a CR stands without LF"},
		{"bare CR in the body", dated + "\r\nHello\r\n.\r.\r\n", "line 5: a CR stands without LF"},
		{"two CRs", dated + "\r\nHello\r\r\n", "line 4: a CR stands without LF"},
		{"two CRs at the end of the header", dated + "\r\r\n", "line 3: a CR stands without LF"},
		{"CR at the very end", dated + "\r\nHello\r", "line 4: a CR stands without LF"},
		{"CR at the very end of the header", "Subject: a\r", "line 1: a CR stands without LF"},
		{"nothing but CR", "\r", "line 1: a CR stands without LF"},
		{"NUL in the header", "Subject: a\x00\r\n\r\n", "line 1: there is a NUL byte"},
		{"NUL in the body", dated + "\r\nHello\r\nx\x00\r\n", "line 5: there is a NUL byte"},
		{"NUL without a header", "\x00", "line 1: there is a NUL byte"},
		{"bare LF where a header broke off", "Subject: a\r\nHello Bob\n", "line 2: an LF stands without CR"},
		{"bare CR behind a header that broke off", "Subject: a\r\nHello\r\nB\rob\r\n", "line 3: a CR stands without LF"},
		{"bare LF after a second separator", "From ada\r\n>From bob\nSubject: a\r\n\r\n", "line 2: an LF stands without CR"},
		{"bare LF after an mbox separator", "From ada\nSubject: a\r\n\r\n", "line 1: an LF stands without CR"},
		{"a loop", many + "\r\n", ErrLoop.Error()},
		{"endless header", strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 1100), "line 1044: the header is larger than 1 MiB"},
		{"endless line", "X: " + strings.Repeat("a", 2<<20), "line 1: the header is larger than 1 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, r := range readers(test.in) {
				_, err := io.ReadAll(Accept(r, trace))
				if err == nil || err.Error() != test.want {
					t.Errorf("%s: got %v, want %s", how, err, test.want)
				}
				if want := test.want != ErrLoop.Error(); errors.Is(err, ErrMalformed) != want || errors.Is(err, ErrLoop) == want {
					t.Errorf("%s: %v is of the wrong kind", how, err)
				}
			}
		})
	}
}

// What the source fails with comes out as it is, also in the middle of the header, and stays.
func TestAcceptPassesErrorsOn(t *testing.T) {
	sick := errors.New("cable cut")
	for _, in := range []string{"", "Subject: x", dated + "\r\n", dated + "\r\nHello\r\n"} {
		a := Accept(io.MultiReader(strings.NewReader(in), iotest.ErrReader(sick)), trace)
		if _, err := io.ReadAll(a); !errors.Is(err, sick) {
			t.Errorf("%q: got %v", in, err)
		}
		if _, err := a.Read(make([]byte, 10)); !errors.Is(err, sick) {
			t.Errorf("%q: then %v", in, err)
		}
	}
	if _, err := io.ReadAll(Accept(lazy{}, trace)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type lazy struct{}

func (lazy) Read([]byte) (int, error) { return 0, nil }

// The facts are those of the mail as kept: a subject to be listed, an ID to be found, what the next
// hop must know.
func TestFacts(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Facts
	}{
		{"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?b?IGFuIEFkYQ==?=\r\n" + dated + "\r\n",
			Facts{Subject: "Grüße an Ada", MessageID: "<1@a>"}},
		{"Subject: a\r\n\tfolded =?utf-8?q?=0D=0ABcc:_x?=\r\nMessage-ID:\r\n <2@b>\r\n\r\nü\r\n",
			Facts{Subject: "a folded  Bcc: x", MessageID: "<2@b>", EightBit: true}},
		{"Subject: ü\r\nSubject: second\r\nMessage-ID: odd\r\n\r\n", Facts{Subject: "ü", MessageID: "odd", EightBit: true, UTF8Header: true}},
		{"Bcc: ü@b\r\nSubject: " + strings.Repeat("é", 3000) + "\xff\r\n" + dated + "\r\n",
			Facts{Subject: strings.Repeat("é", 200), MessageID: "<1@a>", EightBit: true, UTF8Header: true}},
		{"Subject: Gr\xfc\xdfe\r\n" + dated + "\r\n", Facts{Subject: "Grüße", MessageID: "<1@a>", EightBit: true, UTF8Header: true}},
		{"Bcc: ü@b\r\n" + dated + "\r\n", Facts{MessageID: "<1@a>"}},
		{"X: y\r\n\r\n", Facts{MessageID: "<0cagh3h68onkmkga@example.org>"}},
	} {
		in := Accept(strings.NewReader(test.in), trace)
		if _, err := io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		got := in.Facts()
		got.HeaderSize, got.LongestLine = 0, 0
		if got != test.want {
			t.Errorf("%q:\ngot  %+v\nwant %+v", test.in, got, test.want)
		}
	}
}

// Nothing that a client says about itself can add to the trace or to the header.
func TestReceivedHoldsItsPlace(t *testing.T) {
	evil := "x\r\nBcc: eve@example.com (y) by mail.google.com; \x00ü\\\"<>"
	all := Trace{ID: "1", By: "mail.example.org", Domain: "example.org", Helo: evil, Client: evil, Protocol: evil, TLS: evil, User: evil,
		For: Address{evil, evil}, Time: noon}
	for name, tr := range map[string]Trace{
		"evil": all, "http": {ID: "1", By: "h", Domain: "d", Client: "2001:db8::1", Protocol: "HTTP"}, "own": {ID: "1", By: "h"}, "zero": {},
		"helo only": {Helo: "x", TLS: "TLS1.2"},
	} {
		got, err := io.ReadAll(Accept(strings.NewReader("To: x@y\r\n\r\nHello\r\n"), tr))
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(got))
		if err != nil || len(m.Header) != 4 || len(m.Header["Received"]) != 1 {
			t.Errorf("%s: %v %v", name, m, err)
		}
		if i := strings.LastIndexByte(m.Header.Get("Received"), ';'); i < 0 {
			t.Errorf("%s: %q", name, got)
		} else if _, err := mail.ParseDate(m.Header.Get("Received")[i+1:]); err != nil {
			t.Errorf("%s: %q: %v", name, got, err)
		}
	}
}

// What a client called itself keeps the brackets of an address literal, and no others.
func TestReceivedKeepsLiterals(t *testing.T) {
	for helo, want := range map[string]string{
		"[127.0.0.1]": "[127.0.0.1]", "[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]", "laptop": "laptop",
		"[": "?", "[]": "??", "[127.0.0.1": "?127.0.0.1", "[[::1]]": "[?::1?]", "[a](b)": "?a??b?", "[a b)]": "[a?b?]",
	} {
		tr := Trace{ID: "1", By: "h", Helo: helo, Client: "192.0.2.7", Time: noon}
		got := string(tr.appendReceived(nil))
		if !strings.HasPrefix(got, "Received: from "+want+" ([192.0.2.7])\r\n by h ") {
			t.Errorf("%s: got %q", helo, got)
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, test := range accepts {
		if len(test.in) < 1<<16 { // larger ones only keep the fuzzer busy
			f.Add([]byte(test.in), uint16(7))
		}
	}
	for _, s := range []string{"a\nb", "a: b\r\n\r\n\r", "\x00", "From \n", "From \r\n\n:", "A: b\r\n\r\n\r\n.\r\n"} {
		f.Add([]byte(s), uint16(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		in := Accept(&chunked{b: raw, n: int(size%512) + 1}, trace)
		got, err := io.ReadAll(in)
		in2 := Accept(iotest.DataErrReader(bytes.NewReader(raw)), trace)
		again, err2 := io.ReadAll(in2)
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("%v in chunks, %v at once", err, err2)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(got, again) || in.Facts() != in2.Facts() {
			t.Fatalf("in chunks %q, at once %q", got, again)
		}
		checkLines(t, got)
		checkFacts(t, got, in.Facts())
		checkBody(t, raw, got)
	})
}

// chunked gives n bytes at a time.
type chunked struct {
	b []byte
	n int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

func checkLines(t *testing.T, got []byte) {
	t.Helper()
	if n := bytes.Count(got, crlfBytes); n != bytes.Count(got, []byte("\n")) || n != bytes.Count(got, []byte("\r")) ||
		bytes.IndexByte(got, 0) >= 0 || !bytes.HasSuffix(got, crlfBytes) {
		t.Fatalf("bad lines in %q", got)
	}
}

// checkBody wants the body of what came in at the end of what came out, byte for byte.
func checkBody(t *testing.T, raw, got []byte) {
	t.Helper()
	body := got[bytes.Index(got, []byte("\r\n\r\n"))+4:]
	want := bodyOf(raw)
	if len(want) > 0 && !bytes.HasSuffix(want, crlfBytes) {
		want = append(bytes.Clone(want), crlfBytes...)
	}
	if !bytes.Equal(body, want) {
		t.Fatalf("body of %q is %q", raw, body)
	}
}

// bodyOf is where the body of a mail begins, line by line.
func bodyOf(raw []byte) []byte {
	fields, rest := false, raw
	for len(rest) > 0 {
		line := rest[:lineLength(rest)]
		switch {
		case string(line) == "\r\n" && (fields || len(rest) == len(raw)):
			return rest[2:]
		case fieldName(line) != nil && line[0] != ' ' && line[0] != '\t':
			fields = true
		case fields && (line[0] == ' ' || line[0] == '\t'):
		case fields:
			return rest
		case !bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")):
			return raw
		}
		rest = rest[len(line):]
	}
	if fields {
		return nil
	}
	return raw
}

func BenchmarkAccept(b *testing.B) {
	mail := []byte("From: Ada <ada@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: Quarterly figures\r\n" + dated +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	for len(mail) < 4<<10 {
		mail = append(mail, "The quick brown fox jumps over the lazy dog, and then it rests for a while.\r\n"...)
	}
	b.SetBytes(int64(len(mail)))
	b.ReportAllocs()
	buf := make([]byte, 8<<10)
	r := bytes.NewReader(mail)
	for b.Loop() {
		r.Reset(mail)
		in := Accept(r, trace)
		for {
			if _, err := in.Read(buf); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// A From field is replaced where the trace says so, and what it was is kept; nothing else changes.
func TestAcceptReplacesFrom(t *testing.T) {
	tr := trace
	tr.Sender = "root@box"
	tr.From = func(value string) (string, bool) { return "Cron <noreply@example.org>", value == "root (Cron Daemon)" }
	for in, want := range map[string]string{
		dated + "From: root\r\n (Cron Daemon)\r\nTo: x@y\r\n\r\nHello\r\n": dated + "From: Cron <noreply@example.org>\r\n" +
			"X-Original-From: root (Cron Daemon)\r\nTo: x@y\r\nX-Original-Sender: root@box\r\n\r\nHello\r\n",
		dated + "From: ada@example.net\r\n\r\n": dated + "From: ada@example.net\r\nX-Original-Sender: root@box\r\n\r\n",
	} {
		got, err := io.ReadAll(Accept(strings.NewReader(in), tr))
		if err != nil || strings.TrimPrefix(string(got), received) != want {
			t.Errorf("%q:\ngot  %q, %v\nwant %q", in, got, err, want)
		}
	}
}
