package sendmail

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"strings"
	"testing"
	"testing/iotest"

	"dinkymail/cli/world"
	"dinkymail/message"
)

// Any text on standard input becomes a mail that may travel, and nothing of it is lost.
func TestLetters(t *testing.T) {
	const none = "\r\n"
	for _, c := range []struct{ name, in, want string }{
		{"a mail", "Subject: x\n\nHello\n", "Subject: x\r\n\r\nHello\r\n"},
		{"CRLF", "Subject: x\r\n\r\nHello\r\n", "Subject: x\r\n\r\nHello\r\n"},
		{"no end", "Subject: x\n\nHello", "Subject: x\r\n\r\nHello\r\n"},
		{"nothing", "", none},
		{"a line end", "\n", none},
		{"text alone", "Hello\nBob\n", none + "Hello\r\nBob\r\n"},
		{"indented text alone", "  Hello\n", none + "  Hello\r\n"},
		{"header alone", "Subject: x\n", "Subject: x\r\n\r\n"},
		{"header alone, no end", "Subject: x", "Subject: x\r\n\r\n"},
		{"no empty line", "Subject: x\nHello\n", "Subject: x\r\n\r\nHello\r\n"},
		{"folded", "Subject: x\n y\n\tz\n\nHello\n", "Subject: x\r\n y\r\n\tz\r\n\r\nHello\r\n"},
		{"a line of white space for the empty one", "Subject: x\n \n\t\nHello\n", "Subject: x\r\n\r\nHello\r\n"},
		{"white space within a field", "Subject: x\n \n y\n \n\n Hello\n", "Subject: x\r\n \r\n y\r\n\r\n Hello\r\n"},
		{"mbox", "From ada Sun Nov 22 00:00:00 2026\n>From bob\nSubject: x\n\nHello\n", "Subject: x\r\n\r\nHello\r\n"},
		{"text that looks like mbox", "From here on\nit is text\n", none + "From here on\r\nit is text\r\n"},
		{"text that looks like mbox alone", "From here", none + "From here\r\n"},
		{"NUL", "Subject: a\x00b\n\nc\x00d\n", "Subject: a b\r\nX-Dinkymail-Note: 2 NUL replaced by spaces\r\n\r\nc d\r\n"},
		{"progress", "Subject: x\n\n10%\r20%\r\n", "Subject: x\r\nX-Dinkymail-Note: 1 lone CR replaced by spaces\r\n\r\n10% 20%\r\n"},
		{"both", "\r\x00", "X-Dinkymail-Note: 1 NUL and 1 lone CR replaced by spaces\r\n\r\n  \r\n"},
		{"CR to break out of a field", "Subject: a\rBcc: eve@x\n\n", "Subject: a Bcc: eve@x\r\nX-Dinkymail-Note: 1 lone CR replaced by spaces\r\n\r\n"},
		{"dots", "Subject: x\n\n..\n.a\n. \n.\nmore\n", "Subject: x\r\n\r\n..\r\n.a\r\n. \r\n"},
		{"a dot, CRLF", "Subject: x\r\n\r\n.\r\nmore\r\n", "Subject: x\r\n\r\n"},
		{"a dot at the end", "x\n.", none + "x\r\n"},
		{"bytes", "\xff\xfe\n\x01", none + "\xff\xfe\r\n\x01\r\n"},
	} {
		if got := letterOf(t, strings.NewReader(c.in), true); got != c.want {
			t.Errorf("%s: got  %q\nwant %q", c.name, got, c.want)
		}
		if got := letterOf(t, iotest.OneByteReader(strings.NewReader(c.in)), true); got != c.want {
			t.Errorf("%s, byte by byte: got %q", c.name, got)
		}
	}
}

func letterOf(t testing.TB, in io.Reader, dot bool) string {
	t.Helper()
	l, err := read(in, dot, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	var last string
	for i := range 2 { // it can be read as often as need be
		text, err := io.ReadAll(l.reader())
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && string(text) != last {
			t.Error("read again it is another")
		}
		last = string(text)
	}
	return last
}

// A mail that is larger than the memory we give it comes out as it went in, and one beyond the
// limit is refused.
func TestLargeLetter(t *testing.T) {
	line := make([]byte, 75)
	var b bytes.Buffer
	b.WriteString("Subject: x\r\n\r\n")
	for r := rand.New(rand.NewSource(1)); b.Len() < 3<<20; {
		for i := range line {
			line[i] = byte('!' + r.Intn(90))
		}
		b.Write(line)
		b.WriteString("\r\n")
	}
	if got := letterOf(t, bytes.NewReader(b.Bytes()), false); got != b.String() {
		t.Error("it is another")
	}
	_, err := read(bytes.NewReader(b.Bytes()), false, 2<<20)
	if x := (*world.Exit)(nil); !errors.As(err, &x) || x.Code != world.ExitUnavailable || strings.Count(err.Error(), "larger") != 1 {
		t.Errorf("got %v", err)
	}
}

// What is wrong with a mail as a whole is said with the right status.
func TestBadLetters(t *testing.T) {
	for _, c := range []struct {
		in   io.Reader
		code int
	}{
		{strings.NewReader(strings.Repeat("Received: x\n", 51) + "\n"), world.ExitData},
		{strings.NewReader("Subject: " + strings.Repeat("x", 1<<20) + "\n\n"), world.ExitData},
		{strings.NewReader(strings.Repeat("X: y\n", 300_000)), world.ExitData},
		{iotest.ErrReader(errors.New("gone")), world.ExitInput},
	} {
		_, err := read(c.in, true, 0)
		if x := (*world.Exit)(nil); !errors.As(err, &x) || x.Code != c.code {
			t.Errorf("got %v, want status %d", err, c.code)
		}
	}
}

// The recipients of a header are found wherever a person would find them.
func TestRecipients(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"To: a@x.org\nCc: b@x.org\nBcc: c@x.org\n", "a@x.org b@x.org c@x.org"},
		{"To: a@x.org\nTo: b@x.org\n", "a@x.org b@x.org"},
		{"to:a@x.org\nBCC : b@x.org\n", "a@x.org b@x.org"},
		{"To: Ada <a@x.org>,\n \"B, C\" <b@x.org>,\n\troot\n", "a@x.org b@x.org root"},
		{"To: friends: a@x.org, B <b@x.org>;, c@x.org\n", "a@x.org b@x.org c@x.org"},
		{"To: undisclosed-recipients:;\nBcc: a@x.org\n", "a@x.org"},
		{"To: root (Cron, the Daemon (1))\n", "root"},
		{"To: =?utf-8?q?J=C3=BCrgen=2C?= <a@x.org>\n", "a@x.org"},
		{"To: =?utf-8?Q?Doe,_Jane;_(x): y?= <a@x.org>, =?iso-8859-1?q?M=FCller,?= =?utf-8?Q?Max,?=\n <b@x.org>\n", "a@x.org b@x.org"},
		{"To: =?utf-8?Q?half, c@x.org\n", "=?utf-8?Q?half c@x.org"},
		{"To: \"a b\"@x.org, <@h,@i:c@x.org>, <>\n", "\"a b\"@x.org c@x.org"},
		{"To: a@[IPv6:2001:db8::1], b @ x . org\n", "a@[IPv6:2001:db8::1] b@x.org"},
		{"To: a@x.org,,\n ,\n", "a@x.org"},
		{"To: ilo.@x.org, a..b@x_y.org., c..d\n", "\"ilo.\"@x.org \"a..b\"@x_y.org \"c..d\""},
		{"To: \ufeffa@x.org,\u00a0root\u200b, ada@x.org <\u202ab@x.org\u202c>\n", "a@x.org root b@x.org"},
		{"To: J\u00fcrgen <j\u00fcrgen@x.org>\n", "j\u00fcrgen@x.org"},
		{"To:\n", ""},
		{"Subject: To: a@x.org\n\nTo: b@x.org\n", ""},
		// Resent: the latest alone, which stands first.
		{"Resent-To: r@x.org\nTo: a@x.org\nCc: b@x.org\n", "r@x.org"},
		{"Resent-From: z@x.org\nResent-To: r@x.org\nResent-Bcc: s@x.org\nResent-From: y@x.org\nResent-To: old@x.org\nResent-Cc: o@x.org\nTo: a@x.org\n",
			"r@x.org s@x.org"},
		{"To: a@x.org\nResent-Date: Sun, 22 Nov 2026 00:00:00 +0000\nResent-Cc: r@x.org\n", "r@x.org"},
	} {
		l, err := read(strings.NewReader(c.header), false, 0)
		if err != nil {
			t.Fatal(err)
		}
		list, err := l.recipients()
		var all []string
		for _, a := range list {
			all = append(all, a.String())
		}
		if got := strings.Join(all, " "); err != nil || got != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.header, got, err, c.want)
		}
		l.close()
	}
	for _, list := range []string{"a b@x.org", "<a@x.org", "\"a@x.org", "(a@x.org", "a@", "@x.org", "a@x@y", "<a@x.org> <b@x.org>", "a@x..org",
		"a\x01@x.org", "a\u200bb@x.org", "a@x\u00a0y.org", "ro\u200bot"} {
		_, err := addresses(list)
		if x := (*world.Exit)(nil); !errors.As(err, &x) || x.Code != world.ExitNoUser {
			t.Errorf("%q: got %v", list, err)
		}
	}
}

// FuzzLetter: whatever comes in, what comes out is taken by message.Accept, and taken in again it
// is the same.
func FuzzLetter(f *testing.F) {
	for _, seed := range []string{"Subject: x\n\nHello\n", "From ada\nTo: a@b\n\x00\r", "a: b\n c\n.\n", "\r\n\r\r\n", ".\r", "From x\n\n"} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, dot bool) {
		l, err := read(bytes.NewReader(in), dot, 0)
		if err != nil {
			return
		}
		defer l.close()
		_, _ = l.recipients()
		first, err := io.ReadAll(l.reader())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(message.Accept(bytes.NewReader(first), message.Trace{ID: "x", Domain: "y"})); err != nil {
			t.Fatalf("%q became %q: %v", in, first, err)
		}
		if again := letterOf(t, bytes.NewReader(first), false); again != string(first) {
			t.Fatalf("%q became %q, and then %q", in, first, again)
		}
	})
}

// FuzzAddresses: a list is read to its end, and every address in it can be written.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{"a@b", "A <a@b>, c", "g: a@b, c@d;", "\"x\\\"y\"@z", "<@a:b@c>", "a(b(c)d)@e", "[", "(\\", "\"\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		all, err := addresses(list)
		if err != nil {
			return
		}
		for _, a := range all {
			if again, err := message.ParseLocalAddress(a.String()); err != nil || again != a {
				t.Fatalf("%q has %q, which is read as %q, %v", list, a, again, err)
			}
		}
	})
}
