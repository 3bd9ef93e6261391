package message

import (
	"errors"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	ada = Mailbox{"Ada Lovelace", Address{"ada", "example.org"}}
	bob = Mailbox{"", Address{"bob", "example.net"}}
)

// lists are mailbox lists as people and programs write them.
var lists = []struct {
	in   string
	want []Mailbox
}{
	{"bob@example.net", []Mailbox{bob}},
	{" bob@example.net ,Ada Lovelace <ada@EXAMPLE.org>", []Mailbox{bob, ada}},
	{"bob@example.net, , ", []Mailbox{bob}},
	{`"Ada Lovelace" <ada@example.org>`, []Mailbox{ada}},
	{"ada@example.org (Ada Lovelace)", []Mailbox{ada}},
	{"=?utf-8?q?Ada?= =?iso-8859-1?Q?_Lovelace?= <ada@example.org>", []Mailbox{ada}},
	{"=?windows-1252?q?J=FCrgen_=80?= <j@d>", []Mailbox{{"Jürgen €", Address{"j", "d"}}}},
	{"Jürgen <jürgen@bücher.example>", []Mailbox{{"Jürgen", Address{"jürgen", "xn--bcher-kva.example"}}}},
	{"John Q. Public <j@d>", []Mailbox{{"John Q. Public", Address{"j", "d"}}}},
	{`"Last, First \"Nick\"" <j@d>`, []Mailbox{{`Last, First "Nick"`, Address{"j", "d"}}}},
	{"(who (nested)) bob (x) @ (y) example.net (z)", []Mailbox{{"z", bob.Address}}},
	{"Friends: bob@example.net, Ada Lovelace <ada@example.org>;, c@d", []Mailbox{bob, ada, {"", Address{"c", "d"}}}},
	{"undisclosed-recipients:;", nil},
	{`"a b"@d, "a@b"@d`, []Mailbox{{"", Address{"a b", "d"}}, {"", Address{"a@b", "d"}}}},
	{"a@[192.0.2.1], <b@[IPv6:::1]>", []Mailbox{{"", Address{"a", "[192.0.2.1]"}}, {"", Address{"b", "[IPv6:::1]"}}}},
	{"=?utf-8?q?x=0D=0ABcc:_eve=40example.com?= <a@d>", []Mailbox{{"x Bcc: eve@example.com", Address{"a", "d"}}}},
	{"Ada\r\n Lovelace <ada@example.org>", []Mailbox{ada}},
	{"ada@x <ada@x>", []Mailbox{{"ada@x", Address{"ada", "x"}}}},
	{"bob@example.net, ada@x [work] <ada@x>, c@d", []Mailbox{bob, {"ada@x [work]", Address{"ada", "x"}}, {"", Address{"c", "d"}}}},
	{"Team: ada@x <ada@x>, =?utf-8?q?J=C3=BC?=@x <j@x>;", []Mailbox{{"ada@x", Address{"ada", "x"}}, {"Jü@x", Address{"j", "x"}}}},
	{"Ada Lovelace < ada@example.org >", []Mailbox{ada}},
	{"Ada Lovelace <ada@example.org\r\n>\r\n", []Mailbox{ada}},
	{"\r\nbob@example.net,\r\nAda Lovelace <ada@example.org>\n", []Mailbox{bob, ada}},
	{"\ufeffAda Lovelace\u200b <\u00a0ada@example.org\u200b>\u202c,\u00a0bob@example.net\u00a0,\u200b", []Mailbox{ada, bob}},
	{"ilo.@docomo.ne.jp, <a..b@d_e.>", []Mailbox{{"", Address{"ilo.", "docomo.ne.jp"}}, {"", Address{"a..b", "d_e"}}}},
	{"Anne\u00a0Marie <a@d>", []Mailbox{{"Anne\u00a0Marie", Address{"a", "d"}}}},
}

// What is read of a list is written so that it is read as the same list, by us and by another
// parser.
func TestParseMailboxes(t *testing.T) {
	for _, test := range lists {
		got, err := ParseMailboxes(test.in)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: got %q, %v", test.in, got, err)
		}
		checkMailboxes(t, got)
	}
	for _, in := range []string{
		"", " ", ",", "ada", "Ada", "a@b c@d", "a@b; c@d", "<>", "Ada <>", "a@b..c", "Ada <a@b", "x: a@b", "a@b\r\nBcc: c@d", "a@b\nc", "Ada\r\nBcc: c@d <a@b>", "a@b,\r\nBcc: c@d",
		"<a@b\r\n c@d>", "a@b <c@d", "a@b <c@d> <e@f>", "a\u200bb@c", "a@b\x00",
		"Ada <a@127.0.0.1>", "=?utf-8?q?x=", "postmaster", "a@[a@b]", strings.Repeat("a@b,", 1<<17),
	} {
		got, err := ParseMailboxes(in)
		var refused *AddressError
		if !errors.As(err, &refused) {
			t.Errorf("%.50q: got %q, %v", in, got, err)
		}
	}
}

func checkMailboxes(t *testing.T, list []Mailbox) {
	t.Helper()
	if len(list) == 0 {
		return
	}
	field := string(appendField(nil, "To", mailboxWords(list)...))
	again, err := ParseMailboxes(strings.TrimSuffix(strings.TrimPrefix(field, "To:"), "\r\n"))
	if err != nil || !slices.Equal(again, list) {
		t.Fatalf("%q became %q, %v", list, again, err)
	}
	m, err := mail.ReadMessage(strings.NewReader(field + "\r\n"))
	if err != nil || len(m.Header) != 1 {
		t.Fatalf("%q: %v", field, err)
	}
	for _, m := range list {
		checkAddress(t, m.Address)
		if one, err := ParseMailbox(m.String()); err != nil || one != m || strings.ContainsFunc(m.String(), isControl) {
			t.Fatalf("%q became %q, %v", m, one, err)
		}
	}
}

// Of a list, the one that is wrong is named.
func TestMailboxErrorNamesTheCulprit(t *testing.T) {
	for in, want := range map[string]string{
		"a@b, Bob <x@y..z>, c@d": "Bob <x@y..z>", "a@b,bob": "bob", "a@b, bob , c@d": "bob", "g: a@b, x@-;, c@d": "x@-;", "a@b c@d, e@f": "a@b c@d",
	} {
		_, err := ParseMailboxes(in)
		var refused *AddressError
		if !errors.As(err, &refused) || refused.Input != want {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

// One is one.
func TestParseMailbox(t *testing.T) {
	if got, err := ParseMailbox("Ada Lovelace <ada@example.org>"); err != nil || got != ada {
		t.Errorf("got %v, %v", got, err)
	}
	for _, in := range []string{"", "a@b, c@d", "undisclosed-recipients:;"} {
		if got, err := ParseMailbox(in); err == nil {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

// Names survive whatever is in them, short of control characters, in lines that can be folded.
func TestMailboxNames(t *testing.T) {
	for _, name := range []string{
		"Ada", "Ada Lovelace", "Ada  Lovelace", "Ada, Countess", `"Ada"`, `a\b`, "Jürgen", "山田太郎", "=?utf-8?q?x?=", "x =?y", "a@b", "a <b@c>",
		strings.Repeat("long ", 60) + "x", strings.Repeat("x", 300), strings.Repeat("ü", 300), "(comment)", "a;b:c", "\u2028x", ".", "é\u0301", "\ufffd",
	} {
		m := Mailbox{name, Address{"a", "d"}}
		got, err := ParseMailbox(m.String())
		if want := clean(name); err != nil || got.Name != want {
			t.Errorf("%q: %q became %q, %v", name, m, got.Name, err)
		}
		for line := range strings.SplitSeq(string(appendField(nil, "To", m.words()...)), "\r\n") {
			if len(line) > foldAt {
				t.Errorf("%q: long line %q", name, line)
			}
		}
	}
}

// Hostile lists take no longer than their length allows.
func TestMailboxesAreReadInLinearTime(t *testing.T) {
	for _, unit := range []string{"(", "a ", "\"", "a@b,", "=?utf-8?q?a?= ", "x:", "<", "\\", "(a)", ",", ".", "a.", "=?(", "=?a?q?b?= (", "@", "a <a@b>,", "a:;", "\n", ",\n", "\u200b", "a@b [", "a@b\n,"} {
		start := time.Now()
		_, _ = ParseMailboxes(strings.Repeat(unit, maxMailboxes/len(unit)))
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%q repeated takes %v", unit, took)
		}
	}
}

func FuzzParseMailboxes(f *testing.F) {
	for _, test := range lists {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if list, err := ParseMailboxes(in); err == nil {
			checkMailboxes(t, list)
		}
	})
}
