package message

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// kept takes a mail through Accept, as a store would.
func kept(t *testing.T, raw string) (string, Facts) {
	t.Helper()
	in := Accept(strings.NewReader(raw), trace)
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), in.Facts()
}

// downgrade fits a mail to a hop without 8BITMIME.
func downgrade(r io.ReadSeeker, f Facts) (io.ReadSeeker, int64, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, err
	}
	fitted, err := Fit(r, size, f, Hop{})
	return fitted.Body, fitted.Size, err
}

// fits reports whether b can go over a 7-bit hop as it is.
func fits(b []byte) bool { return !hasHighBit(b) && longestLine(string(b)) <= maxLine }

const mixed8 = dated + `MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary="b 1"

preamble ü
--b 1
Content-Transfer-Encoding: 8bit
Content-Type: text/plain; charset=utf-8

Grüße,  ` + `
From here: =3D
.
--b 1  
Content-Type: application/x-thing
content-transfer-encoding:
 binary

` + "\xff\xfe\x01=" + `
--b 1
Content-Type: multipart/alternative; boundary=b2
Content-Transfer-Encoding: 8bit

--b2

plain ascii, untouched
--b2
Content-Type: text/html; charset=iso-8859-1

<p>` + "\xfc\xe4" + `</p>
--b2--
--b 1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner

inner ü
--b 1
Content-Type: text/plain
Content-Transfer-Encoding: base64

SGVsbG8=
--b 1--
epilogue ü
`

// Mail that a 7-bit hop would spoil becomes mail that it does not, and decodes to the same.
func TestDowngrade(t *testing.T) {
	long := strings.Repeat("long ", 300)
	for _, test := range []struct{ name, raw string }{
		{"parts", strings.ReplaceAll(mixed8, "\n", "\r\n")},
		{"text", dated + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"},
		{"japanese", dated + "Content-Type: text/plain; charset=utf-8\r\n\r\n日本語のメール本文\r\n"},
		{"long lines", dated + "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + long + "\r\n.\r\n"},
		{"soft break before a boundary", dated + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" +
			strings.Repeat("x", 72) + "ü--b\r\n" + strings.Repeat("x", 75) + "--b\r\n--b--\r\n"},
	} {
		raw, facts := kept(t, strings.ReplaceAll(test.raw, "\r\r", "\r"))
		r, size, err := downgrade(strings.NewReader(raw), facts)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := checkDowngraded(t, r, size)
		_, want := leaves(t, raw)
		_, have := leaves(t, got)
		for i := range want {
			// A mail inside the mail is encoded in itself.
			if want[i].kind == "message/rfc822" {
				_, want[i].content, _ = strings.Cut(want[i].content, "\r\n\r\n")
				_, inner := leaves(t, have[i].content)
				have[i].content = inner[0].content
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: got %.3000q\nwant %.3000q\nin %s", test.name, have, want, got)
		}
	}
}

func checkDowngraded(t *testing.T, r io.Reader, size int64) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size || !fits(b) {
		t.Fatalf("%d of %d bytes, %v: %q", len(b), size, err, b)
	}
	checkLines(t, b)
	return string(b)
}

// A body that says nothing about itself is labelled: UTF-8 when it is that.
func TestDowngradeLabels(t *testing.T) {
	for body, charset := range map[string]string{"Grüße": "utf-8", "Gr\xfc\xdfe": "unknown-8bit", strings.Repeat("x", 1000): "us-ascii"} {
		raw, facts := kept(t, dated+"\r\n"+body+"\r\n")
		r, size, err := downgrade(strings.NewReader(raw), facts)
		if err != nil {
			t.Fatal(err)
		}
		got := checkDowngraded(t, r, size)
		header, parts := leaves(t, got)
		if header.Get("Content-Type") != "text/plain; charset="+charset || header.Get("MIME-Version") != "1.0" ||
			parts[0].content != body+"\r\n" || !strings.HasPrefix(got, "Received:") {
			t.Errorf("got %s", got)
		}
	}
}

// What fits is returned as it is, from its beginning.
func TestDowngradeLeavesTheRest(t *testing.T) {
	raw, facts := kept(t, dated+"\r\nHello\r\n")
	src := strings.NewReader(raw)
	_, _ = src.Seek(10, io.SeekStart)
	r, size, err := downgrade(src, facts)
	if err != nil || r != io.ReadSeeker(src) || checkDowngraded(t, r, size) != raw {
		t.Errorf("%v, %d, %v", r, size, err)
	}
}

// What cannot be changed is refused with the reason.
func TestCannotDowngrade(t *testing.T) {
	in := func(kind, body string) string { return dated + "Content-Type: " + kind + "\r\n\r\n" + body + "ü\r\n" }
	deep := ""
	for i := range 60 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for _, test := range []struct{ raw, reason string }{
		{in("multipart/signed; boundary=b", "--b\r\n\r\n"), "signed"},
		{in("multipart/mixed; boundary=b", "--b\r\nContent-Type: multipart/encrypted; boundary=c\r\n\r\n--c\r\n\r\n"), "encrypted"},
		{in("multipart/mixed", ""), "no boundary"},
		{in("multipart/mixed; boundary=b", "text"), "no parts"},
		{in("message/global", ""), "message/global"},
		{in("text/plain\r\nContent-Transfer-Encoding: base64", "SGVs"), "marked as base64"},
		{dated + deep[len("Content"):], ""},
		{dated + deep + "\r\nü\r\n", "nested"},
	} {
		raw, facts := kept(t, test.raw)
		r, size, err := downgrade(strings.NewReader(raw), facts)
		if test.reason == "" {
			if err != nil {
				t.Errorf("ASCII: %v", err)
			}
			continue
		}
		if !errors.Is(err, ErrCannotDowngrade) || !strings.Contains(err.Error(), test.reason) || r != nil || size != 0 {
			t.Errorf("%.200q: got %v, want %s", test.raw, err, test.reason)
		}
	}
}

// failing is a file that the disk does not give back.
type failing struct{ io.ReadSeeker }

var errDisk = errors.New("input/output error")

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// An error of the file is no refusal.
func TestDowngradePassesErrorsOn(t *testing.T) {
	if _, _, err := downgrade(failing{strings.NewReader("ü")}, Facts{EightBit: true}); !errors.Is(err, errDisk) || errors.Is(err, ErrCannotDowngrade) {
		t.Errorf("got %v", err)
	}
}
