//go:build interop

package interop

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator makes parts of messages. Every line it makes ends in CRLF, and there is no other CR or
// LF and no NUL: those are what a submission may not have.
type generator struct{ *rand.Rand }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// header makes the fields, unterminated. mark is one of them.
func (g *generator) header(mark string) []string {
	fields := []string{
		"From: " + pick(g, "ada@example.org", `"Lovelace, Ada" <ada@example.org>`, "=?utf-8?B?w4RkYQ==?= <ada@example.org>",
			"ada@example.org (Ada\r\n\t(Countess) Lovelace)", "Ada <ada@example.org>,\r\n Grace <grace@example.org>"),
		"To: " + pick(g, "bob@example.net", "undisclosed-recipients:;", "list: bob@example.net,\r\n\tcarol@example.net;"),
		"Subject: " + pick(g, "hello", "", "=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße, roh 😀", strings.Repeat("long ", 150),
			"folded\r\n in\r\n\t three", "trailing blanks   ", "\tbegins with a tab"),
		mark,
		"MIME-Version: 1.0",
	}
	optional := []string{
		"Date: Thu, 05 Nov 2026 10:00:00 +0100", "Message-ID: <" + fmt.Sprint(g.Uint64()) + "@example.org>",
		"Bcc: secret@example.net", "BCC:\r\n hidden@example.net,\r\n\tmore@example.net", "Return-Path: <old@example.org>",
		"X-No-Space:value", "X-Empty:", "x-LOWER-and-Upper: Value", "X-Long: " + strings.Repeat("x", 900),
		"X-Folded: a\r\n b\r\n  c\r\n\td", "References: <a@example.org>\r\n <b@example.org>", "X-Bytes: \x80\x81\xfe\xff",
		"Received: from old.example by older.example; Thu, 05 Nov 2026 09:00:00 +0100", "List-Unsubscribe: <mailto:x@example.org>",
		"DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc\r\n\t def=", "Content-Length: 5", "Resent-Bcc: who@example.net",
	}
	for _, f := range optional {
		if g.chance(35) && !strings.HasPrefix(f, "Resent-Bcc") {
			fields = append(fields, f)
		}
	}
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return fields
}

func (g *generator) lines(n int, line func() string) []byte {
	var b bytes.Buffer
	for range n {
		b.WriteString(line() + "\r\n")
	}
	return b.Bytes()
}

func (g *generator) word() string {
	return pick(g, "mail", "queue", "spool", "envelope", "hop", "From ", "bounce", "--", "=", "EOF", "QUIT", "250 ok", "DATA")
}

func (g *generator) sentence() string {
	words := make([]string, 1+g.IntN(12))
	for i := range words {
		words[i] = g.word()
	}
	return strings.Join(words, " ")
}

func (g *generator) text() []byte { return g.lines(1+g.IntN(60), g.sentence) }

// charset is text in a raw 8-bit charset, invalid as UTF-8 most of the time.
func (g *generator) charset() []byte {
	return g.lines(1+g.IntN(40), func() string {
		return pick(g, "Grüße – €", "\xfc\xdf\xe4 latin-1", "\xcf\xf0\xe8\xe2\xe5\xf2 windows-1251", "\xf0\xd2\xc9\xd7\xc5\xd4 koi8-r",
			"\x93\xfa\x96{\x8c\xea shift_jis", "\x1b$BF|K\\8l\x1b(B iso-2022-jp", "日本語 😀", "\xc4\xe3\xba\xc3 gb18030", g.bytes(1+g.IntN(200)))
	})
}

// bytes are any but CR, LF and NUL.
func (g *generator) bytes(n int) string {
	b := make([]byte, 0, n)
	for len(b) < n {
		if c := byte(g.IntN(256)); c != '\r' && c != '\n' && c != 0 {
			b = append(b, c)
		}
	}
	return string(b)
}

func (g *generator) quoted() []byte {
	return g.lines(1+g.IntN(40), func() string {
		return pick(g, "Gr=C3=BC=C3=9Fe=", "=2E", "=20", "a=3Db", "soft=", strings.Repeat("x", 75)+"=")
	})
}

func (g *generator) base64() []byte {
	text := base64.StdEncoding.EncodeToString([]byte(g.bytes(1 + g.IntN(5000))))
	var b bytes.Buffer
	for len(text) > 0 {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.Bytes()
}

// dots are lines that end of data and dot-stuffing could be mistaken about.
func (g *generator) dots() []byte {
	return g.lines(2+g.IntN(30), func() string { return pick(g, ".", "..", "...", ".a", "..b", ". ", "a.", "", ".QUIT", ". .") })
}

// longLines are as long as RFC 5321 allows and longer, as careless programs send them.
func (g *generator) longLines() []byte {
	return g.lines(1+g.IntN(5), func() string { return strings.Repeat("l", pick(g, 997, 998, 999, 2047, 2048, 2049, 5000, 70_000)) })
}

func (g *generator) blank() []byte {
	return g.lines(1+g.IntN(20), func() string { return pick(g, "", "", " ", "\t", "   ") })
}

func (g *generator) controls() []byte {
	return g.lines(1+g.IntN(20), func() string {
		return pick(g, "\x01\x02\x03", "form\x0cfeed", "bell\a\b", "\x7f", "esc\x1b[31m", "\x0b")
	})
}

func (g *generator) big() []byte {
	return bytes.Repeat(g.lines(1000, func() string { return g.bytes(200) }), 1+g.IntN(20))
}

// mailbox looks like a mailbox file: From lines and headers in the body.
func (g *generator) mailbox() []byte {
	return []byte("From ada@example.org Thu Nov  5 10:00:00 2026\r\n>From quoted\r\nBcc: not a header\r\nReceived: neither\r\n\r\n" +
		"Content-Type: text/plain\r\n\r\n.\r\n" + string(g.text()))
}

// multipart nests parts depth levels deep.
func (g *generator) multipart(depth int) []byte {
	if depth == 0 {
		return pick(g, g.text, g.charset, g.quoted, g.base64, g.dots)()
	}
	boundary := fmt.Sprintf("b%d.%d=_", depth, g.Uint32())
	var b bytes.Buffer
	b.WriteString("This is a preamble.\r\n")
	for range 1 + g.IntN(2) {
		b.WriteString("--" + boundary + "\r\n")
		if depth > 1 {
			fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=\"b%d\"\r\n", pick(g, "mixed", "related", "alternative"), depth-1)
		} else {
			b.WriteString(pick(g, "", "Content-Type: text/plain; charset=utf-8\r\n",
				"Content-Type: application/pdf;\r\n name*=utf-8''%C3%BC.pdf\r\nContent-Transfer-Encoding: base64\r\n"))
		}
		b.WriteString("\r\n")
		if depth > 4 {
			b.Write(g.multipart(depth - 1))
			break // deep ones stay narrow
		}
		b.Write(g.multipart(depth - 1))
	}
	b.WriteString("--" + boundary + "--\r\nThis is an epilogue.\r\n")
	return b.Bytes()
}
