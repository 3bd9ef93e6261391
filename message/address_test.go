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
	{strings.Repeat("x", 64) + "@d", strings.Repeat("x", 64), "d", strings.Repeat("x", 64) + "@d"},
}

// notAddresses are refused.
var notAddresses = []string{
	"", " ", "ada", "@", "ada@", "@example.org", "<ada@example.org>", "Ada <ada@example.org>", " ada@example.org", "ada@example.org ",
	"ada@example.org,bob@example.org", "a b@d", ".a@d", "a.@d", "a..b@d", "a@b@c", "a(c)@d", "a@d(c)", `"a@d`, `"a"`, `"a"b@d`, `""@d`, `"\`,
	"a@d\r\nRCPT TO:<eve@example.com>", "a\r\n@d", "\"a\r\nb\"@d", "\"a\x00\"@d", "\"a\\\x01\"@d", "a\x7f@d", "a\u0085b@d", "a\u2028b@d",
	"a\xff@d", "\"a\xff\"@d", "a@d\xff", "a@a..b", "a@.b", "a@b.", "a@-b", "a@b-.c", "a@b_c", "a@b c", "a@b>c", "a@xn--\u00fc.de", "a@xn--a.de",
	"a@xn--", "a@ü..de", "a@" + strings.Repeat("x", 64) + ".de", "a@" + strings.Repeat("x.", 127) + "xx", "a@" + strings.Repeat("ü", 600),
	strings.Repeat("x", 65) + "@d", strings.Repeat("ü", 33) + "@d", `"` + strings.Repeat(" ", 63) + `"@d`,
	strings.Repeat("x", 64) + "@" + strings.Repeat("x.", 95),
	strings.Repeat("x", 64) + "@" + strings.Repeat("x.", 95) + "x",
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
	for _, bad := range []string{"", "a..b", "a b", "a\nb", "a."} {
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
