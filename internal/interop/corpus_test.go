//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"dinkymail/internal/rig"
)

// corpusSize is how many different messages are compared byte for byte.
const corpusSize = 1000

// A thousand messages of every shape that RFC 5322 and habit allow go in over SMTP, through the
// appliance, over TLS and a login to a Postfix, and come out as they went in: byte for byte, but
// for what the two hops add and for Bcc, which is taken out.
func TestCorpus(t *testing.T) {
	sink := farEnd(t)
	up := newProvider(t, sink, "PLAIN LOGIN")
	settings := up.settings(up.starttls)
	settings["LONG_LINES"] = "keep" // encoding them is another test's
	a := appliance(t, settings)
	letters := make([]letter, corpusSize)
	for i := range letters {
		letters[i] = newLetter(i)
	}
	c, err := rig.Dial(a.Submission, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, l := range letters {
		if _, err := c.Send("ada@example.org", []string{"bob@example.net"}, l.raw, l.transfer(i)); err != nil {
			t.Fatalf("message %d (%s): %v", i, l.kind, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := sink.WaitDistinct(ctx, corpusSize); err != nil {
		t.Fatal(err)
	}
	if n := sink.Total(); n != corpusSize {
		t.Errorf("%d messages arrived, want %d", n, corpusSize)
	}
	arrived := map[string][]rig.Received{}
	for _, r := range sink.Kept() {
		head, _, _ := bytes.Cut(r.Data, []byte("\r\n\r\n"))
		_, mark, _ := strings.Cut(string(head)+"\r\n", rig.IDField)
		mark, _, _ = strings.Cut(mark, "\r\n")
		arrived[rig.IDField+mark] = append(arrived[rig.IDField+mark], r)
	}
	failures := 0
	for i, l := range letters {
		got := arrived[l.mark()]
		if len(got) != 1 {
			t.Fatalf("message %d (%s) is there %d times", i, l.kind, len(got))
		}
		if why := l.differs(got[0].Data); why != "" {
			if failures++; failures <= 10 {
				t.Errorf("message %d (%s): %s", i, l.kind, why)
			}
		}
	}
	t.Logf("%d messages, %d bytes, %d not as they were sent", corpusSize, total(letters), failures)
}

func total(letters []letter) (n int) {
	for _, l := range letters {
		n += len(l.raw)
	}
	return n
}

// letter is one message of the corpus.
type letter struct {
	number int
	kind   string
	raw    []byte
	fields [][]byte // of the header, folded lines and CRLF included
	body   []byte   // behind the empty line; nil: there is no empty line either
}

func (l *letter) mark() string { return rig.IDField + ": corpus-" + strconv.Itoa(l.number) }

// transfer varies how it is handed over: with DATA, or with BDAT in chunks of odd sizes.
func (l *letter) transfer(i int) rig.Transfer {
	how := rig.Transfer{Params: " BODY=8BITMIME SIZE=" + strconv.Itoa(len(l.raw))}
	if bytes.ContainsFunc(bytes.Join(l.fields, nil), func(r rune) bool { return r > 127 }) {
		how.Params += " SMTPUTF8"
	}
	if i%3 == 2 {
		how.Chunk = []int{1 << 30, 4096, 37}[i/3%3]
		if how.Chunk == 37 && len(l.raw) > 20_000 {
			how.Chunk = 9973
		}
	}
	return how
}

// differs says how got is not this letter, "" if it is. Got has the provider's and our fields in
// front, may have Date and Message-ID where the letter has none, and has neither Bcc nor
// Return-Path.
func (l *letter) differs(got []byte) string {
	fields, body := splitMail(got)
	var want [][]byte
	has := map[string]bool{}
	for _, f := range l.fields {
		for _, name := range []string{"Date", "Message-ID"} {
			has[name] = has[name] || named(f, name)
		}
		if !named(f, "Bcc") && !named(f, "Return-Path") {
			want = append(want, f)
		}
	}
	for len(fields) > 0 && named(fields[0], "Received") && !(len(want) > 0 && bytes.Equal(fields[0], want[0])) {
		fields = fields[1:]
	}
	var kept [][]byte
	for _, f := range fields {
		if named(f, "Date") && !has["Date"] || named(f, "Message-ID") && !has["Message-ID"] {
			continue
		}
		kept = append(kept, f)
	}
	if a, b := bytes.Join(kept, nil), bytes.Join(want, nil); !bytes.Equal(a, b) {
		return "header " + firstDifference(a, b)
	}
	wanted := l.body
	if len(wanted) > 0 && !bytes.HasSuffix(wanted, []byte("\r\n")) {
		wanted = append(bytes.Clone(wanted), "\r\n"...)
	}
	if !bytes.Equal(body, wanted) {
		return "body " + firstDifference(body, wanted)
	}
	return ""
}

func firstDifference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	show := func(b []byte) []byte { return b[max(0, min(i-20, len(b))):min(i+40, len(b))] }
	return fmt.Sprintf("differs at byte %d of %d (%d wanted): got %q, want %q", i, len(got), len(want), show(got), show(want))
}

// splitMail takes raw mail apart into fields, each with its folded lines, and the body.
func splitMail(raw []byte) (fields [][]byte, body []byte) {
	for len(raw) > 0 {
		if bytes.HasPrefix(raw, []byte("\r\n")) {
			return fields, raw[2:]
		}
		end := 0
		for {
			n := bytes.Index(raw[end:], []byte("\r\n"))
			if n < 0 {
				end = len(raw)
				break
			}
			end += n + 2
			if end >= len(raw) || raw[end] != ' ' && raw[end] != '\t' {
				break
			}
		}
		fields, raw = append(fields, raw[:end]), raw[end:]
	}
	return fields, nil
}

func named(field []byte, name string) bool {
	before, _, found := strings.Cut(string(field), ":")
	return found && strings.EqualFold(strings.TrimRight(before, " \t"), name)
}

// newLetter makes message number i, the same at every run.
func newLetter(i int) letter {
	g := &generator{rand.New(rand.NewPCG(20261105, uint64(i)))}
	kinds := []struct {
		name string
		body func() []byte
	}{
		{"ascii", g.text}, {"8bit", g.charset}, {"quoted-printable", g.quoted}, {"base64", g.base64}, {"dots", g.dots},
		{"long lines", g.longLines}, {"empty", func() []byte { return []byte{} }}, {"no body", func() []byte { return nil }},
		{"no final newline", func() []byte { return bytes.TrimRight(g.text(), "\r\n") }}, {"blank lines", g.blank},
		{"multipart", func() []byte { return g.multipart(1 + g.IntN(4)) }}, {"deep multipart", func() []byte { return g.multipart(20) }},
		{"controls", g.controls}, {"big", g.big}, {"mailbox", g.mailbox},
	}
	kind := kinds[i%len(kinds)]
	if kind.name == "big" && i%7 != 0 {
		kind = kinds[0]
	}
	l := letter{number: i, kind: kind.name}
	for _, f := range g.header(l.mark()) {
		l.fields = append(l.fields, []byte(f+"\r\n"))
	}
	l.body = kind.body()
	l.raw = bytes.Join(l.fields, nil)
	if l.body != nil {
		l.raw = append(append(l.raw, '\r', '\n'), l.body...)
	}
	return l
}
