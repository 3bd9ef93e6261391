package message

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/quotedprintable"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var (
	onOneLine  = "<p>" + strings.Repeat("Hello <b>you</b>. Grüße=&nbsp;From -- .", 25) + "</p>"
	asciiLine  = strings.Repeat("From you. -- =3D .", 60)
	oneBase64  = base64.StdEncoding.EncodeToString([]byte(asciiLine))
	oneQuoted  = strings.ReplaceAll(strings.ReplaceAll(onOneLine, "=", "=3D"), "ü", "=C3=BC")
	longBodies = []struct{ name, header, body string }{
		{"HTML from PHP", "MIME-Version: 1.0\r\nContent-Type: text/html; charset=UTF-8\r\n", onOneLine},
		{"HTML in 8bit", "MIME-Version: 1.0\r\nContent-type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n", asciiLine + "\xfc"},
		{"text in 7bit", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\nContent-Type: text/plain\r\n", asciiLine + "\r\n.\r\nFrom x  \r\n\t"},
		{"comments", "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit (a comment)\r\n", onOneLine},
		{"no MIME", "", asciiLine},
		{"Japanese", "Content-Type: text/plain; charset=utf-8\r\n", strings.Repeat("日本語", 120)},
		{"JSON", "Content-Type: application/json\r\n", `{"a":"` + asciiLine + `"}`},
		{"base64 on one line", "MIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n", oneBase64},
		{"quoted-printable on one line", "MIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n", oneQuoted},
	}
)

// Lines that are too long are encoded, in a mail of its own and as one part among others, and
// decode to the same bytes.
func TestLongBodyLines(t *testing.T) {
	large := slices.Clone(longBodies)
	for i := range large { // more than is encoded at once
		large[i].body = strings.ReplaceAll(large[i].body, oneBase64, strings.TrimRight(strings.Repeat(oneBase64, 15), "="))
		large[i].body = strings.ReplaceAll(large[i].body, asciiLine, strings.Repeat(asciiLine, 19))
		large[i].body = strings.ReplaceAll(large[i].body, oneQuoted, strings.Repeat(oneQuoted, 15))
	}
	for _, test := range append(large, longBodies...) {
		whole := dated + test.header + "\r\n" + test.body + "\r\n"
		mixed := dated + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b=_1\"\r\n\r\nnobody\r\n--b=_1\r\n\r\nshort, stays\r\n--b=_1\r\n" +
			test.header + "\r\n" + test.body + "\r\n--b=_1\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n" + test.header + "\r\n" +
			test.body + "\r\n--c--\r\n\r\n--b=_1--\r\nnobody\r\n"
		for _, raw := range []string{whole, mixed} {
			for _, hop := range []Hop{{}, {EightBit: true}} {
				got, _ := fit(t, raw, hop)
				if longestLine(got) > maxLine {
					t.Errorf("%s: long lines in %.2000q", test.name, got)
				}
				// Go's own decoder takes no such lines.
				_, want := leaves(t, strings.ReplaceAll(raw, oneQuoted, strings.ReplaceAll(oneQuoted, "Hello", "=\r\nHello")))
				if _, have := leaves(t, got); !slices.Equal(have, want) {
					t.Errorf("%s: got %.3000q\nwant %.3000q", test.name, have, want)
				}
				if raw == mixed && (!strings.Contains(got, "\r\n\r\nnobody\r\n--b=_1\r\n\r\nshort, stays\r\n--b=_1\r\n") || !strings.HasSuffix(got, "--b=_1--\r\nnobody\r\n")) {
					t.Errorf("%s: got %q", test.name, got)
				}
			}
			if got, _ := fit(t, raw, Hop{EightBit: true, LongLines: true}); got != raw {
				t.Errorf("%s, to be kept: got %q", test.name, got)
			}
		}
	}
}

// A body that says nothing of itself says so once it is encoded; one that does keeps what it says.
func TestLongBodyIsLabelled(t *testing.T) {
	got, _ := fit(t, dated+"\r\n"+asciiLine+"\r\n", eightBitHop)
	head, _, _ := strings.Cut(got, "\r\n\r\n")
	if want := dated + "Content-Type: text/plain; charset=us-ascii\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable"; head != want {
		t.Errorf("got %q, want %q", head, want)
	}
	got, _ = fit(t, dated+"Content-Type: text/html; charset=KOI8-R\r\nMIME-Version: 1.0\r\nX: y\r\n\r\n"+asciiLine+"\r\n", eightBitHop)
	head, _, _ = strings.Cut(got, "\r\n\r\n")
	if want := dated + "Content-Type: text/html; charset=KOI8-R\r\nMIME-Version: 1.0\r\nX: y\r\nContent-Transfer-Encoding: quoted-printable"; head != want {
		t.Errorf("got %q, want %q", head, want)
	}
}

// What is signed keeps its bytes, and the parts beside it do not.
func TestSignedBodiesStay(t *testing.T) {
	part := "Content-Type: text/html; charset=utf-8; name=ü\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + onOneLine
	signed := func(kind string) string {
		return "Content-Type: " + kind + "; boundary=s\r\n\r\npreamble\r\n--s\r\n" + part + "\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
	}
	for _, raw := range []string{
		dated + signed("multipart/signed; micalg=pgp-sha256; protocol=\"application/pgp-signature\""),
		dated + signed("multipart/encrypted"),
		dated + "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + signed("multipart/signed") + "\r\n--m--\r\n",
		dated + "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n\r\n" + asciiLine + "\r\n",
		dated + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" + oneBase64 + "\r\n",
		dated + "Content-Type: text/plain; charset=utf-8\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n" + onOneLine + "\r\n",
		"DKIM-Signature: v=1; h=from; b=x\r\n" + dated + part + "\r\n",
		"DKIM-Signature: v=1; h=from; b=x\r\n" + dated + "Content-Type: message/rfc822\r\n\r\nSubject: ü\r\n" + part + "\r\n",
		dated + "Content-Type: message/partial\r\n\r\n" + asciiLine + "\r\n",
	} {
		raw = strings.Replace(raw, "DKIM-Signature: v=1; h=from;", "DKIM-Signature: v=1; h=from:content-type;", 1)
		if got, m := fit(t, raw, eightBitHop); got != raw || m.EightBit != hasHighBit([]byte(raw)) {
			t.Errorf("%q\nbecame %q", raw, got)
		}
	}
	got, _ := fit(t, dated+"Subject: ü\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"+signed("multipart/signed")+"\r\n--m\r\n"+part+"\r\n--m--\r\n", eightBitHop)
	if !strings.Contains(got, "Subject: =?utf-8?q?=C3=BC?=\r\n") && !strings.Contains(got, "Subject: =?utf-8?b?w7w=?=\r\n") {
		t.Errorf("got %q", got)
	}
	if strings.Count(got, onOneLine) != 1 || strings.Count(got, "name=ü") != 1 || !strings.Contains(got, "name*=utf-8''%C3%BC") {
		t.Errorf("got %q", got)
	}
}

// The headers of parts are in ASCII too, and those of a mail inside the mail.
func TestPartHeaders(t *testing.T) {
	raw := dated + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--b\r\nContent-Type: application/pdf; name=\"Größe.pdf\"\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment;\r\n filename=\"Größe.pdf\"\r\n\r\neHl6\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: ü\r\n\r\nä\r\n--b\r\n" +
		"Content-Description: ü\r\n--b\r\n--b\r\n\r\n--b--\r\n"
	got, m := fit(t, raw, eightBitHop)
	_, have := leaves(t, strings.ReplaceAll(got, "?=\r\n--b\r\n--b\r\n", "?=\r\n\r\n--b\r\n"))
	if !m.EightBit || !strings.Contains(got, "\r\n\r\nGrüße\r\n--b\r\n") || !strings.Contains(got, "=?=\r\n\r\nä\r\n--b\r\nContent-Description: =?utf-8?") ||
		!strings.HasSuffix(got, "?=\r\n--b\r\n--b\r\n\r\n--b--\r\n") || strings.Contains(got, "Größe") || have[2].name != "Größe.pdf" ||
		have[2].content != "xyz" {
		t.Errorf("got %s", got)
	}
}

// Mail in 8 bits that needs no change is not read beyond its header.
func TestFitReadsNoMoreThanItMust(t *testing.T) {
	for _, head := range []string{"Subject: x\r\n", "Content-Type: text/plain; charset=utf-8\r\n"} {
		in := Accept(strings.NewReader(dated+head+"\r\n"+strings.Repeat("Grüße\r\n", 10_000)), trace)
		kept, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		src := &counting{ReadSeeker: bytes.NewReader(kept)}
		m, err := Fit(src, int64(len(kept)), in.Facts(), eightBitHop)
		if err != nil || m.Body != io.ReadSeeker(src) || int64(src.n) > in.Facts().HeaderSize {
			t.Errorf("%d bytes were read, %v", src.n, err)
		}
	}
}

type counting struct {
	io.ReadSeeker
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	c.n += n
	return n, err
}

// A mail of 25 MB on one line is changed in little memory.
func TestLargeMailIsStreamed(t *testing.T) {
	head := dated + "Content-Type: text/html; charset=utf-8\r\n\r\n"
	line := strings.Repeat("Many greetings, and a ü=", 1<<20)
	raw := head + line + "\r\n"
	sum := &same{want: line + "\r\n"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Fit(strings.NewReader(raw), int64(len(raw)), Facts{EightBit: true, LongestLine: len(line), HeaderSize: int64(len(head))}, eightBitHop)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, m.Body, int64(strings.Index(raw, "\r\n\r\n"))+100); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Body.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(sum, quotedprintable.NewReader(pr))
		pr.CloseWithError(err)
		done <- err
	}()
	skip := &skipHeader{w: pw}
	n, err := io.Copy(skip, m.Body)
	pw.Close()
	if err2 := <-done; err != nil || err2 != nil || n != m.Size || sum.want != "" {
		t.Errorf("%d of %d bytes, %v, %v, %d bytes are missing", n, m.Size, err, err2, len(sum.want))
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// same compares what is written to it.
type same struct{ want string }

func (s *same) Write(p []byte) (int, error) {
	if len(s.want) < len(p) || s.want[:len(p)] != string(p) {
		return 0, fmt.Errorf("got %.100q, want %.100q", p, s.want)
	}
	s.want = s.want[len(p):]
	return len(p), nil
}

// skipHeader passes on what stands behind the empty line.
type skipHeader struct {
	w    io.Writer
	head []byte
	body bool
}

func (s *skipHeader) Write(p []byte) (int, error) {
	if s.body {
		return s.w.Write(p)
	}
	s.head = append(s.head, p...)
	if i := bytes.Index(s.head, []byte("\r\n\r\n")); i >= 0 {
		s.body = true
		if _, err := s.w.Write(s.head[i+4:]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// FuzzFit: whatever a mail holds, it stays as many lines as its size says, the same each time, and
// its header is ASCII.
func FuzzFit(f *testing.F) {
	for _, test := range headerTexts {
		f.Add([]byte(test.field+"\r\n\r\nx"), true, false)
	}
	for _, test := range longBodies {
		f.Add([]byte(test.header+"\r\n"+test.body), true, false)
	}
	f.Add([]byte(strings.ReplaceAll(mixed8, "\n", "\r\n")), false, false)
	f.Add([]byte("DKIM-Signature: h=a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: ü\r\n--b--"), false, true)
	f.Fuzz(func(t *testing.T, raw []byte, eightBit, utf8 bool) {
		in := Accept(bytes.NewReader(raw), trace)
		kept, err := io.ReadAll(in)
		if err != nil {
			return
		}
		hop := Hop{EightBit: eightBit, UTF8: utf8}
		m, err := Fit(bytes.NewReader(kept), int64(len(kept)), in.Facts(), hop)
		if err != nil {
			if hop.EightBit {
				t.Fatal(err)
			}
			return
		}
		first, err := io.ReadAll(m.Body)
		if err != nil || int64(len(first)) != m.Size {
			t.Fatalf("%d of %d bytes, %v", len(first), m.Size, err)
		}
		checkLines(t, first)
		if _, err := m.Body.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if again, err := io.ReadAll(m.Body); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("%q and then %q, %v", first, again, err)
		}
		head, _, _ := bytes.Cut(first, []byte("\r\n\r\n"))
		before, _, _ := bytes.Cut(kept, []byte("\r\n\r\n"))
		signed := bytes.Contains(bytes.ToLower(before), []byte("dkim-")) || bytes.Contains(bytes.ToLower(before), []byte("arc-"))
		if hasHighBit(head) && !hop.UTF8 && !signed {
			t.Fatalf("8-bit header %q", head)
		}
	})
}

// FuzzFitDecodes: a part decodes to what it was, whichever encoding it had and gets.
func FuzzFitDecodes(f *testing.F) {
	f.Add([]byte(asciiLine), "", true)
	f.Add([]byte(onOneLine), "8bit", false)
	f.Add([]byte(oneBase64), base64Encoding, true)
	f.Add([]byte(oneQuoted), quotedPrintable, true)
	f.Add([]byte("a=\r\n b \t\r\n=41=4\r\n=\r\n"+asciiLine), quotedPrintable, false)
	f.Fuzz(func(t *testing.T, body []byte, encoding string, eightBit bool) {
		if encoding != quotedPrintable && encoding != base64Encoding && encoding != "8bit" {
			encoding = sevenBit
		}
		raw := dated + "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + string(body)
		in := Accept(strings.NewReader(raw), trace)
		kept, err := io.ReadAll(in)
		if err != nil {
			return
		}
		m, err := Fit(bytes.NewReader(kept), int64(len(kept)), in.Facts(), Hop{EightBit: eightBit})
		if err != nil {
			return
		}
		got, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := decodedBody(kept)
		if !ok {
			return // it was none before
		}
		if have, ok := decodedBody(got); !ok || !bytes.Equal(have, want) {
			t.Fatalf("%q became %q", kept, got)
		}
	})
}

// decodedBody is what a reader makes of a mail's body.
func decodedBody(raw []byte) ([]byte, bool) {
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	switch fieldValue(append(head[:len(head):len(head)], "\r\n"...), "content-transfer-encoding") {
	case quotedPrintable:
		return unquotePrintable(body), true
	case base64Encoding:
		b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body)))
		return b, err == nil
	}
	return body, true
}

// unquotePrintable decodes as RFC 2045, 6.7 asks for, lines of any length.
func unquotePrintable(b []byte) (out []byte) {
	for line := range bytes.Lines(b) {
		text := bytes.TrimRight(line, " \t\r\n")
		soft := bytes.HasSuffix(text, []byte("="))
		text = bytes.TrimSuffix(text, []byte("="))
		for i := 0; i < len(text); i++ {
			var c [1]byte
			if text[i] == '=' && i+2 < len(text) {
				if _, err := hex.Decode(c[:], text[i+1:i+3]); err == nil {
					out = append(out, c[0])
					i += 2
					continue
				}
			}
			out = append(out, text[i])
		}
		if !soft {
			out = append(out, "\r\n"...)
		}
	}
	return out
}
