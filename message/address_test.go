package message

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// addresses are what is accepted, how it is stored, and how it is written.
var addresses = []struct{ in, local, domain, out string }{
	{"ada@example.org", "ada", "example.org", "ada@example.org"},
	{"Ada.Lovelace+x=y@Example.ORG", "Ada.Lovelace+x=y", "example.org", "Ada.Lovelace+x=y@example.org"},
	{"!#$%&'*+-/=?^_`{|}~@a", "!#$%&'*+-/=?^_`{|}~", "a", "!#$%&'*+-/=?^_`{|}~@a"},
	{`"ada"@example.org`, "ada", "example.org", "ada@example.org"},
	{`"a b"@example.org`, "a b", "example.org", `"a b"@example.org`},
	{`"a@b\"\\\c"@example.org`, `a@b"\c`, "example.org", `"a@b\"\\c"@example.org`},
	{`"x> NOTIFY=NEVER"@d`, "x> NOTIFY=NEVER", "d", `"x> NOTIFY=NEVER"@d`},
	{`"a..b"@d`, "a..b", "d", `"a..b"@d`},
	{"ada@[192.0.2.1]", "ada", "[192.0.2.1]", "ada@[192.0.2.1]"},
	{"ada@[ipv6:2001:DB8:0::1]", "ada", "[IPv6:2001:db8::1]", "ada@[IPv6:2001:db8::1]"},
	{"jürgen@example.org", "jürgen", "example.org", "jürgen@example.org"},
	{"jürgen@Bücher.Example", "jürgen", "xn--bcher-kva.example", "jürgen@xn--bcher-kva.example"},
	{"ada@XN--bcher-KVA.example", "ada", "xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
	{"ada@例え。テスト", "ada", "xn--r8jz45g.xn--zckzah", "ada@xn--r8jz45g.xn--zckzah"},
	{"ada@straße.de", "ada", "xn--strae-oqa.de", "ada@xn--strae-oqa.de"},
	{"ada@r3---sn-x.example", "ada", "r3---sn-x.example", "ada@r3---sn-x.example"},
	{"postmaster", "postmaster", "", "postmaster"},
	{"PostMaster", "PostMaster", "", "PostMaster"},
	{"postmaster@localhost", "postmaster", "localhost", "postmaster@localhost"},
	{"ilo.@docomo.ne.jp", "ilo.", "docomo.ne.jp", `"ilo."@docomo.ne.jp`},
	{"foo..bar@d", "foo..bar", "d", `"foo..bar"@d`},
	{".a@d", ".a", "d", `".a"@d`},
	{"..@d", "..", "d", `".."@d`},
	{"jürgen.@d", "jürgen.", "d", `"jürgen."@d`},
	{`"ilo."@d`, "ilo.", "d", `"ilo."@d`},
	{strings.Repeat("x", 77) + "@d", strings.Repeat("x", 77), "d", strings.Repeat("x", 77) + "@d"},
	{strings.Repeat("x", 496) + "@d", strings.Repeat("x", 496), "d", strings.Repeat("x", 496) + "@d"},
	{strings.Repeat("ü", 126) + "@d", strings.Repeat("ü", 126), "d", strings.Repeat("ü", 126) + "@d"},
	{"a@b_c.example", "a", "b_c.example", "a@b_c.example"},
	{"a@_b", "a", "_b", "a@_b"},
	{"a@ü_.example", "a", "xn--_-dha.example", "a@xn--_-dha.example"},
	{"a@example.org.", "a", "example.org", "a@example.org"},
	{"a@bücher.example.", "a", "xn--bcher-kva.example", "a@xn--bcher-kva.example"},
	{" ada@example.org ", "ada", "example.org", "ada@example.org"},
	{"\r\n\tada@example.org\r\n", "ada", "example.org", "ada@example.org"},
	{"\ufeffada@example.org\u200b", "ada", "example.org", "ada@example.org"},
	{"\u00a0ada@example.org\u202c\u00ad\u2069", "ada", "example.org", "ada@example.org"},
	{"\u2066\"a b\"@example.org\u2069", "a b", "example.org", `"a b"@example.org`},
	{"نامه\u200cای@d", "نامه\u200cای", "d", "نامه\u200cای@d"},
}

// notAddresses are refused.
var notAddresses = []string{
	"", " ", "ada", "@", "ada@", "@example.org", "<ada@example.org>", "Ada <ada@example.org>",
	"ada@example.org,bob@example.org", "a b@d", "a@b@c", "a(c)@d", "a@d(c)", `"a@d`, `"a"`, `"a"b@d`, `""@d`, `"\`,
	"a@d\r\nRCPT TO:<eve@example.com>", "a\r\n@d", "\"a\r\nb\"@d", "\"a\x00\"@d", "\"a\\\x01\"@d", "a\x7f@d", "a\u0085b@d", "a\u2028b@d",
	"a\xff@d", "\"a\xff\"@d", "a@d\xff", "a@a..b", "a@.b", "a@b..", "a@.", "a@-b", "a@b-.c", "a@b c", "a@ü b", "a@ü!", "a@b>c", "a@xn--\u00fc.de", "a@xn--a.de",
	"a@xn--", "a@ü..de", "a@" + strings.Repeat("x", 64) + ".de", "a@" + strings.Repeat("x.", 127) + "xx", "a@" + strings.Repeat("ü", 600),
	strings.Repeat("x", 497) + "@d", strings.Repeat("ü", 127) + "@d", `"` + strings.Repeat(" ", 495) + `"@d`,
	"a\u200b@d", "a@\u00add", "a@d\u2060.org", "\"a\u00a0b\"@d", "a\tb@d", "\"a\tb\"@d", "\x00a@d", "a@d\x00", "a\u200c@d", "ü@d\u200de",
	"a@127.0.0.1", "a@[127.0.0.1", "a@[127.0.0]", "a@[]", "a@[IPv6:]", "a@[IPv6:1.2.3.4]", "a@[::1]", "a@[IPv6:fe80::1%eth0]", "a@[tag:x]",
	"@a,@b:c@d", "a@\u202eb.org", "a@d\u200b\u0000",
}

// An address that is accepted is written so that it is read as the same address again; everything else is refused with a reason.
func TestParseAddress(t *testing.T) {
	for _, test := range addresses {
		got, err := ParseAddress(test.in)
		if err != nil || got != (Address{test.local, test.domain}) || got.String() != test.out {
			t.Errorf("%q: got %#v = %q, %v", test.in, got, got, err)
		}
		checkAddress(t, got)
	}
	for _, in := range notAddresses {
		got, err := ParseAddress(in)
		var refused *AddressError
		if !errors.As(err, &refused) || refused.Input != in || !got.IsNull() {
			t.Errorf("%q: got %#v, %v", in, got, err)
		}
	}
}

// Who typed what cannot be seen is told what it is and where.
func TestInvisibleIsNamed(t *testing.T) {
	for in, want := range map[string]string{
		"ada\u200b@d":              "U+200B zero width space at position 4",
		" ada@ex\u00adample.org":   "U+00AD soft hyphen at position 7",
		"ada@d\r\nRCPT TO:<x@y>":   "U+000D carriage return at position 6",
		"a\u202eb@d":               "U+202E right-to-left override at position 2",
		"a\u2067@d":                "U+2067 right-to-left isolate at position 2",
		"jürgen\ufeff@d":           "U+FEFF zero width no-break space at position 7",
		"a\tb@d":                   "U+0009 tab at position 2",
		"a@d\u00a0e":               "U+00A0 no-break space at position 4",
		"a\U000e0041b@d":           "U+E0041 at position 2",
		"ada <a\u200bda@d>, b@c":   "U+200B zero width space at position 2",
		"x: b@c, a@\u200bexample;": "U+200B zero width space at position 3",
	} {
		_, err := ParseAddress(in)
		if strings.ContainsAny(in, ",") {
			_, err = ParseMailboxes(in)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", in, err)
		}
	}
}

func checkAddress(t *testing.T, a Address) {
	t.Helper()
	again, err := ParseAddress(a.String())
	if err != nil || again != a || again.String() != a.String() {
		t.Fatalf("%#v is written as %q and read as %#v, %v", a, a.String(), again, err)
	}
	checkWritten(t, a)
}

// checkWritten wants nothing in an address that could end it where it is written.
func checkWritten(t *testing.T, a Address) {
	t.Helper()
	s := a.String()
	if strings.ContainsFunc(s, isControl) {
		t.Fatalf("control characters in %q", s)
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && strings.IndexByte("<> ,;", c) >= 0:
			t.Fatalf("%q stands outside quotes in %q", c, s)
		}
	}
	if quoted || len(s) > 0 && !isASCII(s) && !a.NeedsUTF8() {
		t.Fatalf("%q", s)
	}
}

// An Address that somebody put together by hand does no harm either.
func TestAddressByHand(t *testing.T) {
	for _, a := range []Address{
		{"a\r\nb", "c\r\nd"}, {"", "d> x"}, {"a\xff\"\\", "ü"}, {"\x00", ""}, {"a b", "[x y]"}, {"<>", "<>"}, {"a", "b\xff"},
	} {
		checkWritten(t, a)
	}
	if s := (Address{}).String(); s != "" || !(Address{}).IsNull() {
		t.Errorf("the null path is %q", s)
	}
}

// Records keep addresses as text, the null path too; a recipient keeps what stands around its address.
func TestAddressAsText(t *testing.T) {
	type record struct {
		From Address
		To   []Recipient
	}
	want := record{To: []Recipient{{Address: Address{"a b", "d"}, Notify: NotifyDelay, Original: "rfc822;x@y"}, {Address: Address{"ü", "d"}}}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.From != want.From || len(got.To) != 2 || got.To[0] != want.To[0] || got.To[1] != want.To[1] {
		t.Errorf("%s became %+v", b, got)
	}
	for _, bad := range []string{`{"From":"x"}`, `{"To":[{"Address":"x"}]}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// Domains of settings pass the same checks.
func TestParseDomain(t *testing.T) {
	if d, err := ParseDomain("Bücher.example"); err != nil || d != "xn--bcher-kva.example" {
		t.Errorf("got %q, %v", d, err)
	}
	if d, err := ParseDomain("\ufeff my_relay.example. "); err != nil || d != "my_relay.example" {
		t.Errorf("got %q, %v", d, err)
	}
	for _, bad := range []string{"", "a..b", "a b", "a\nb", ".", "a\u200bb", "a\u00adb.org"} {
		if d, err := ParseDomain(bad); err == nil {
			t.Errorf("%q became %q", bad, d)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, test := range addresses {
		f.Add(test.in)
	}
	for _, in := range notAddresses {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err == nil {
			checkAddress(t, a)
		}
		local, domain, _ := strings.Cut(in, "@")
		checkWritten(t, Address{local, domain})
	})
}
