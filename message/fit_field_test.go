package message

import (
	"io"
	"net/mail"
	"strings"
	"testing"
)

// fit takes a mail in and fits it to a hop.
func fit(t *testing.T, raw string, hop Hop) (string, Fitted) {
	t.Helper()
	in := Accept(strings.NewReader(raw), trace)
	kept, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Fit(strings.NewReader(string(kept)), int64(len(kept)), in.Facts(), hop)
	if err != nil {
		t.Fatalf("%.300q: %v", raw, err)
	}
	first, err := io.ReadAll(m.Body)
	if err != nil || int64(len(first)) != m.Size || hasHighBit(first) && !m.EightBit {
		t.Fatalf("%.300q: %d of %d bytes, %v, 8-bit %v", first, len(first), m.Size, err, m.EightBit)
	}
	if _, err := m.Body.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if again, err := io.ReadAll(m.Body); err != nil || string(again) != string(first) {
		t.Fatalf("%.300q is read a second time as %.300q, %v", first, again, err)
	}
	checkLines(t, first)
	return strings.TrimPrefix(string(first), received), m
}

var eightBitHop = Hop{EightBit: true}

// headerTexts are fields with 8-bit text, and what a reader finds in their place.
var headerTexts = []struct{ field, want string }{
	{"Subject: Grüße", "Grüße"},
	{"Subject: [cron] Grüße  für Jörg <root@h> /usr/bin/x", "[cron] Grüße  für Jörg <root@h> /usr/bin/x"},
	{"Subject: Gr\xfc\xdfe \x80 10\x85", "Grüße € 10…"},
	{"Subject: =?utf-8?q?a_=C3=BC?= ü =?utf-8?q?b?= c", "a ü ü b c"},
	{"Subject: Grü\r\n ße\r\n\tan alle", "Grü ße an alle"},
	{"Subject:ü", "ü"},
	{"subject : ü", "ü"},
	{"X-Thing: ü; v=1", "ü; v=1"},
	{"Subject: " + strings.Repeat("日本語", 100), strings.Repeat("日本語", 100)},
	{"Subject: ü\tb", "ü b"},
	{"List-Id: Größe <list.example>", "Größe <list.example>"},
	{"Message-ID: <ü@x>", "<=C3=BC@x>"},
	{"References: <a@b> <ü@x>", "<a@b> <=C3=BC@x>"},
	{"From: Jörg <j@x>", "Jörg <j@x>"},
	{"From: J\xf6rg <j@x>", "Jörg <j@x>"},
	{`From: "Müller, Jörg" <j@x>`, "Müller, Jörg <j@x>"},
	{"From: ada@x (Bäck (ü))", "ada@x (Bäck (ü))"},
	{"From: ada@bücher.example", "ada@xn--bcher-kva.example"},
	{`From: "Ada L." <"a b"@bücher.example>`, `"Ada L." <"a b"@xn--bcher-kva.example>`},
	{"Reply-To: jörg@x.example", "jörg@x.example :;"},
	{"Reply-To: Jörg <jörg@bücher.example>", "Jörg jörg@bücher.example :;"},
	{"Reply-To: \"Jörg\" <jörg@x> (ü)", "(ü) Jörg jörg@x :;"},
	{"To: jörg@x, b@x", "jörg@x :;, b@x"},
	{"To: b@x,jörg@x", "b@x, jörg@x :;"},
	{"To: Ada <a@x>, \"B, C\" <b@x>, Ö <o@x>", "Ada <a@x>, \"B, C\" <b@x>, Ö <o@x>"},
	{"Cc: Ärzte: ä@x, c@d, K <ö@x>;, e@f", "Ärzte : c@d;, ä@x :;, K ö@x :;, e@f"},
	{"Cc: Ärzte: a@x, ü <c@d>;", "Ärzte : a@x, ü <c@d>;"},
	{"Cc: Team: ö@x;", "Team:;, ö@x :;"},
	{"To: Jörg", "Jörg"},
	{"To: ü <root>, ö <>", "ü <root>, ö"},
	{"To: a@b ü", "a@b ü :;"},
	{"Sender: \"ü <a@b>", "\"ü <a@b>"},
	{"Content-Disposition: attachment; filename=Grüße.pdf", "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf"},
	{"Content-Disposition: attachment; FileName=\"Gr\xfc\xdfe;\\\"x.pdf\"; size=3", "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%3B%22x.pdf; size=3"},
	{"Content-Disposition: inline; filename*=utf-8'de'Grüße", "inline; filename*=utf-8''Gr%C3%BC%C3%9Fe"},
	{"Content-Type: text/plain; charset=utf-8; name=ü", "text/plain; charset=utf-8; name*=utf-8''%C3%BC"},
}

// Header text in 8 bits becomes ASCII that says the same to whoever reads it, whatever the field.
func TestHeaderTextIsEncoded(t *testing.T) {
	for _, test := range headerTexts {
		got, m := fit(t, test.field+"\r\n\r\nx\r\n", eightBitHop)
		if m.EightBit || hasHighBit([]byte(got)) {
			t.Errorf("%q: got %q", test.field, got)
		}
		name, _, _ := strings.Cut(test.field, ":")
		read, err := mail.ReadMessage(strings.NewReader(got))
		if err != nil {
			t.Fatalf("%q: got %q, %v", test.field, got, err)
		}
		if value := decodeWords(read.Header.Get(strings.TrimSpace(name))); value != test.want {
			t.Errorf("%q: got %q, want %q", test.field, value, test.want)
		}
		if longestLine(got) > foldAt {
			t.Errorf("%q: long line in %q", test.field, got)
		}
	}
}

// What is no UTF-8 is in the charset that the mail names, each field by itself.
func TestHeaderCharset(t *testing.T) {
	for charset, want := range map[string]string{
		"iso-8859-2": "ąś", "koi8-r": "╠╤", "utf-8": "±¶", "us-ascii": "±¶", "iso-8859-1": "±¶", "none-such": "±¶", "shift_jis": "ｱｶ",
	} {
		got, _ := fit(t, "Subject: \xb1\xb6\r\nX-Other: ü\r\nContent-Type: text/plain; charset=\""+charset+"\"\r\n\r\nx\r\n", eightBitHop)
		read, err := mail.ReadMessage(strings.NewReader(got))
		if err != nil || decodeWords(read.Header.Get("Subject")) != want || decodeWords(read.Header.Get("X-Other")) != "ü" {
			t.Errorf("%s: got %q, %v", charset, got, err)
		}
	}
}

// With SMTPUTF8 the header stays as it is, whatever its bytes.
func TestHeaderUnderSMTPUTF8(t *testing.T) {
	raw := "Subject: Grüße\r\nTo: jörg@x\r\nX-Bytes: \xfc\r\n" + dated + "\r\nx\r\n"
	if got, _ := fit(t, raw, Hop{EightBit: true, UTF8: true}); got != raw {
		t.Errorf("got %q", got)
	}
}

// What DKIM covers is not touched, and what it does not cover is.
func TestSignedFieldsStay(t *testing.T) {
	long := strings.Repeat("ü", 600)
	raw := "DKIM-Signature: v=1; a=rsa-sha256; h=From : subject\r\n :X-Long; bh=x;\r\n b=y\r\nFrom: Jörg <j@x>\r\nSubject: ü\r\nX-Long: " +
		strings.Repeat("x ", 600) + "\r\n"
	body := "Content-Type: multipart/mixed; boundary=b\r\n" + dated + "\r\n--b\r\nContent-Type: text/plain; name=ü\r\n\r\n" + long + "\r\n--b--\r\n"
	got, m := fit(t, raw+"To: Jörg <j@x>\r\n"+body, eightBitHop)
	if got != raw+"To: =?utf-8?b?SsO2cmc=?= <j@x>\r\n"+body || !m.EightBit {
		t.Errorf("got %q", got)
	}
}

// A signed field in 8 bits is no reason to refuse a mail, whatever the next hop offers.
func TestSignedEightBitHeaderIsSent(t *testing.T) {
	raw := "DKIM-Signature: v=1; h=subject; b=x\r\nSubject: ü\r\n" + dated + "\r\nx\r\n"
	for _, hop := range []Hop{{}, {EightBit: true}, {EightBit: true, LongLines: true}} {
		if got, m := fit(t, raw, hop); got != raw || !m.EightBit {
			t.Errorf("%+v: got %q", hop, got)
		}
	}
}

// Long header lines are folded where that changes nothing.
func TestLongHeaderLines(t *testing.T) {
	to := strings.Repeat("Ada Lovelace <ada@example.org>, ", 65) + "bob@example.net"
	tight := strings.Repeat("ada@example.org,", 130) + "bob@example.net"
	word := strings.Repeat("x", 1200)
	for _, test := range []struct {
		name, value, want string
		fits              bool
	}{
		{"To", to, to, true},
		{"To", tight, strings.ReplaceAll(tight, ",", ", "), true},
		{"Cc", to + "\r\n\t" + to, to + " " + to, true},
		{"Subject", strings.Repeat("many words ", 200) + "end", strings.Repeat("many words ", 200) + "end", true},
		{"Subject", "a " + word + " b", "a " + word + " b", true},
		{"Subject", word, word, true},
		{"X-Token", word, word, false},
		{"X-Token", "a " + word, "a " + word, false},
		{"X-Words", strings.Repeat("a  b\t", 300) + "c", strings.Repeat("a  b\t", 300) + "c", true},
	} {
		raw := test.name + ": " + test.value + "\r\n" + dated + "\r\nx\r\n"
		got, _ := fit(t, raw, eightBitHop)
		if value := decodeWords(fieldValue([]byte(got), strings.ToLower(test.name))); strings.ReplaceAll(value, "\t", " ") != strings.ReplaceAll(test.want, "\t", " ") || longestLine(got) <= maxLine != test.fits {
			t.Errorf("%s: got %q", test.name, got)
		}
		if kept, _ := fit(t, raw, Hop{EightBit: true, LongLines: true}); kept != raw {
			t.Errorf("%s, to be kept: got %q", test.name, kept)
		}
	}
}
