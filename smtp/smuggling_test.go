package smtp

import (
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"dinkymail/message"
)

// smuggled are what some server somewhere takes for the end of a body, and what becomes of it in
// the mail of a trusted peer; empty: that mail is refused.
var smuggled = map[string]string{
	"\n.\n": "\r\n.\r\n", "\n.\r\n": "\r\n.\r\n", "\r\n.\n": "\r\n.\r\n", "\r\n.\r": "", "\r.\r": "", "\r.\r\n": "", "\r.\n": "", "\n.\r": "",
	"\r\r\n.\r\n": "\r\n", "\r\n.\r\r\n": "\r\n.\r\n", "\r\n\x00.\r\n": "", "\r\n.\x00\r\n": "", "\r\n\r.\r\n": "",
	"\r\n.\n\r\n": "\r\n.\r\n\r\n", "\n\n.\n\n": "\r\n\r\n.\r\n\r\n", "\r\n.\r\x00\n": "",
}

const injected = "MAIL FROM:<eve@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: eve\r\n\r\neve\r\n"

func inWords(end string) string {
	return strings.NewReplacer("\r", "CR", "\n", "LF", "\x00", "NUL").Replace(end)
}

// strict is a Config that trusts nobody: who logs in must write as the standard says.
func strict() Config {
	return Config{Trusted: nobody, Accounts: accounts(map[string]string{"ada": cheap})}
}

func (p *peer) login() {
	p.t.Helper()
	p.say("EHLO client", "250")
	p.say(plain("ada", "geheim"), "235")
}

// A trusted peer's odd line ends are mended, and end no mail: one mail arrives, with the injected
// commands as text, or with none where CR CR LF stands before the end that all see. A CR alone and
// NUL are refused as ever.
func TestNothingIsSmuggledInByTrustedPeers(t *testing.T) {
	for end, became := range smuggled {
		t.Run(inWords(end), func(t *testing.T) {
			h := open(t, Config{})
			p := dial(t, h.addr)
			p.mail()
			p.say("DATA", "354")
			for _, part := range cuts("Subject: hello\r\n\r\nhello" + end + injected + "\r\n.\r\nNOOP\r\n") {
				p.send(part)
			}
			want := "Subject: hello\r\n\r\nhello" + became
			if end == "\r\r\n.\r\n" {
				p.expect("250 2.0.0 queued as")
				p.gone()
			} else {
				code := "250 2.0.0 queued as"
				if want += injected + "\r\n"; became == "" {
					code = "554 5.6.0 line "
				}
				p.expect(code)
				if rest := readAll(p.finish()); became != "" && rest != "250 2.0.0 I have successfully done nothing\r\n" || strings.Contains(rest, "354") {
					t.Errorf("the text behind the end was answered %q", rest)
				}
			}
			if all := h.all(); became == "" && len(all) != 0 || became != "" && (len(all) != 1 || essence(all[0].raw) != want) {
				t.Errorf("%d mails accepted: %+v, want %q", len(all), all, want)
			}
		})
	}
}

// cuts is a text in pieces, each of which is sent by itself.
func cuts(text string) []string {
	at := strings.IndexByte(text, 'o') + 1
	all := []string{text[:at]}
	for ; at < len(text) && at < 60; at++ {
		all = append(all, text[at:at+1])
	}
	return append(all, text[at:])
}

// essence is a mail without the fields that we add.
func essence(raw string) string {
	header, body, _ := strings.Cut(raw, "\r\n\r\n")
	return header[strings.Index(header, "Subject:"):strings.Index(header, "\r\nDate:")] + "\r\n\r\n" + body
}

// Every text over a small alphabet has CR LF for its line ends afterwards and nothing else changed,
// however it is cut.
func TestLooseLineEnds(t *testing.T) {
	crs, end := regexp.MustCompile("\r+"), regexp.MustCompile("\r?\n")
	var try func(text string, left int)
	try = func(text string, left int) {
		want := end.ReplaceAllString(crs.ReplaceAllString(text, "\r"), "\r\n")
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			got, err := io.ReadAll(iotest.OneByteReader(&loose{r: r}))
			if err != nil || string(got) != want {
				t.Fatalf("%q became %q, %v, want %q", text, got, err, want)
			}
		}
		if left > 0 {
			for _, c := range "\r\nx" {
				try(text+string(c), left-1)
			}
		}
	}
	try("", 6)
}

// Only CR LF "." CR LF ends a body. Whatever else some server somewhere takes for an end splits
// nothing: the text behind it stays part of a body that is refused, no second mail appears, and the
// conversation goes on in step. Where CR CR LF makes it doubtful whether that was the end, the
// connection is closed instead.
func TestNothingIsSmuggledIn(t *testing.T) {
	for end := range smuggled {
		t.Run(inWords(end), func(t *testing.T) {
			h := open(t, strict())
			p := dial(t, h.addr)
			p.login()
			p.mail()
			p.say("DATA", "354")
			p.send("Subject: hello\r\n\r\nhello" + end + injected + "\r\n.\r\nNOOP\r\n")
			if got := p.expect("554 5.6.0"); !strings.Contains(got, "line 3") && !strings.Contains(got, "line 4") {
				t.Errorf("%q does not name the line", got)
			}
			if rest := readAll(p.finish()); rest != "" && rest != "250 2.0.0 I have successfully done nothing\r\n" {
				t.Errorf("the text behind the end was answered %q", rest)
			}
			if n := len(h.all()); n != 0 {
				t.Errorf("%d mails accepted, want none", n)
			}
		})
	}
}

// The same bytes are refused when they come in a chunk, where nothing marks the end at all.
func TestNothingIsSmuggledInByChunks(t *testing.T) {
	const chunk = "BDAT 33 LAST\r\nSubject: x\r\n\r\nhello\n.\nQUIT\r\nxyz\r\nNOOP\r\n"
	h := open(t, strict())
	p := dial(t, h.addr)
	p.login()
	p.mail()
	p.send(chunk)
	p.expect("554 5.6.0")
	p.expect("250 2.0.0")
	if n := len(h.all()); n != 0 {
		t.Errorf("%d mails accepted, want none", n)
	}
	trusted := open(t, Config{})
	p = dial(t, trusted.addr)
	p.mail()
	p.send(chunk)
	p.expect("250 2.0.0 queued as")
	p.expect("250 2.0.0")
	if all := trusted.all(); len(all) != 1 || essence(all[0].raw) != "Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\nxyz\r\n" {
		t.Errorf("accepted: %+v", all)
	}
}

// A dot alone, doubled by the client, is part of the body; the end may be cut anywhere into
// packets.
func TestBodyEnds(t *testing.T) {
	h := open(t, Config{})
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	for _, part := range []string{"Subject: x\r\n\r\na\r", "\n.", ".\r", "\n", "...b\r\n", ".", "\r", "\nNO"} {
		p.send(part)
	}
	p.expect("250 2.0.0 queued as")
	p.say("OP", "250 2.0.0")
	if raw := h.all()[0].raw; !strings.HasSuffix(raw, "\r\n\r\na\r\n.\r\n..b\r\n") {
		t.Errorf("body came out as %q", raw)
	}
}

// Every body over a small alphabet ends at its first CR LF "." CR LF and nowhere else, however it
// is cut into packets.
func TestEndOfDataIsTheOneAndOnly(t *testing.T) {
	const more = "y\r\n.\r\nNOOP\r\n"
	var try func(prefix string, left int)
	try = func(prefix string, left int) {
		sent := prefix + more
		want := sent[strings.Index("\r\n"+sent, "\r\n.\r\n")+3:]
		for split := 0; split <= len(prefix); split++ {
			d := dotted(prefix[:split], prefix[split:]+more)
			if _, err := io.Copy(io.Discard, d); err != nil {
				t.Fatal(err)
			}
			if got := string(d.conn.in) + strings.Join(d.conn.Conn.(*packets).left, ""); got != want {
				t.Fatalf("%q split at %d: %q is left, want %q", prefix, split, got, want)
			}
		}
		if left > 0 {
			for _, c := range "\r\n.x" {
				try(prefix+string(c), left-1)
			}
		}
	}
	try("", 7)
}

// Every body over a small alphabet is read without the first dot of each line and without its end,
// however it is cut into packets.
func TestDotsAreTakenOut(t *testing.T) {
	bodies := []string{""}
	for from := 0; len(bodies[from]) < 6; from++ {
		for _, part := range []string{"\r\n", ".", "x"} {
			bodies = append(bodies, bodies[from]+part)
		}
	}
	for _, body := range bodies {
		wire := body + "\r\n.\r\n"
		wire = wire[:strings.Index("\r\n"+wire, "\r\n.\r\n")+3]
		want := strings.ReplaceAll("\r\n"+wire[:len(wire)-3], "\r\n.", "\r\n")[2:]
		for split := range wire {
			for _, read := range []func(io.Reader) io.Reader{iotest.OneByteReader, func(r io.Reader) io.Reader { return r }} {
				got, err := io.ReadAll(read(dotted(wire[:split], wire[split:])))
				if err != nil || string(got) != want {
					t.Fatalf("%q split at %d is read as %q, %v, want %q", wire, split, got, err, want)
				}
			}
		}
	}
}

// packets is a connection on which a text comes in pieces.
type packets struct {
	net.Conn
	left []string
}

func (p *packets) Read(b []byte) (n int, err error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n = copy(b, p.left[0])
	if p.left[0] = p.left[0][n:]; p.left[0] == "" {
		p.left = p.left[1:]
	}
	return n, nil
}

// dotted reads a body that comes in these pieces.
func dotted(parts ...string) *dotReader {
	s := &Server{}
	c := &connection{Conn: &packets{left: slices.DeleteFunc(parts, func(p string) bool { return p == "" })}, room: make([]byte, 16)}
	c.transport, c.session = &transport{server: s, limit: &s.cfg}, &session{conn: c, server: s}
	return newDotReader(c)
}

// Malformed mail is refused with the reason and the connection goes on; what is refused is logged
// once.
func TestMalformedIsRefused(t *testing.T) {
	h := open(t, Config{})
	p := dial(t, h.addr)
	p.mail()
	p.say("DATA", "354")
	p.send("Subject: x\r\n\r\na\rb\r\n.\r\n")
	p.expect("554 5.6.0")
	p.mail()
	if got := h.log.String(); strings.Count(got, "msg=refused") != 1 {
		t.Errorf("log: %s", got)
	}
	if !errors.Is(&message.MalformedError{}, message.ErrMalformed) {
		t.Error("a MalformedError is no ErrMalformed")
	}
}

// go-smtp, which gets an empty body for each that is read here, stays in step: were it not so, the
// connection would be closed.
func TestTheLibraryStaysInStep(t *testing.T) {
	h := open(t, Config{MaxConnectionsPerClient: 5000, MaxConnections: 5000}) // one a body, and places are given back a little later
	bodies := []string{""}
	for from := 0; len(bodies[from]) < 5; from++ {
		for _, c := range "\r\n.x" {
			bodies = append(bodies, bodies[from]+string(c))
		}
	}
	for _, body := range bodies {
		p := dial(t, h.addr)
		p.send("HELO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n" + body + "\r\n.\r\n")
		answers := readAll(p.finish())
		p.conn.Close()
		if !strings.Contains(answers, "354") || strings.Contains(answers, "\n421 ") {
			t.Fatalf("%q is answered %q", body, answers)
		}
	}
}
