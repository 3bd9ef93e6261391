package aliases

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/message"
)

// write makes a file in a directory of its own and returns its name.
func write(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func address(t testing.TB, s string) message.Address {
	t.Helper()
	a, err := message.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func to(t testing.TB, list string) (all []message.Recipient) {
	t.Helper()
	for s := range strings.FieldsSeq(list) {
		all = append(all, message.Recipient{Address: address(t, s)})
	}
	return all
}

func names(all []message.Recipient) string {
	var s []string
	for _, r := range all {
		s = append(s, r.Address.String())
	}
	return strings.Join(s, " ")
}

const someAliases = `# who reads what
root: Ada@Example.NET, ops
postmaster:	root
ops: bob@example.net,
   carol@example.net
"two words": dave@example.net
self: self, eve@example.net
escaped: \escaped, frank@example.net
ring: rong
rong: ring
outer: ring, gina@example.net
www-data: root
`

const someVirtual = `info@shop.example   bob@example.net, carol@example.net
@old.example        @new.example
@catch.example      ada@example.net
sales               bob@example.net
`

func book(t testing.TB, cfg Config) (*Book, error) {
	t.Helper()
	cfg.Domain = "example.com"
	cfg.Hosts = []string{"box", "box.example.com"}
	return Load(cfg)
}

// Recipients with an alias become all whom it stands for, each once; the others stay.
func TestRecipientsAreExpanded(t *testing.T) {
	b, err := book(t, Config{Aliases: []string{write(t, someAliases)}, Virtual: []string{write(t, someVirtual)},
		Catch: address(t, "owner@example.com")})
	if err == nil || !strings.Contains(err.Error(), "ring → rong → ring") {
		t.Errorf("the ring is not told: %v", err)
	}
	for from, want := range map[string]string{
		"ada@elsewhere.net":                      "ada@elsewhere.net",
		"root@example.com":                       "Ada@example.net bob@example.net carol@example.net",
		"ROOT@localhost":                         "Ada@example.net bob@example.net carol@example.net",
		"postmaster@box":                         "Ada@example.net bob@example.net carol@example.net",
		"root@example.com ops@example.com":       "Ada@example.net bob@example.net carol@example.net",
		"x@y.net root@localhost bob@example.net": "x@y.net Ada@example.net bob@example.net carol@example.net",
		"self@example.com":                       "self@example.com eve@example.net",
		"escaped@example.com":                    "escaped@example.com frank@example.net",
		"outer@example.com":                      "gina@example.net",
		"ring@example.com":                       "ring@example.com",
		"nobody@localhost":                       "owner@example.com",
		"nobody@box.example.com":                 "owner@example.com",
		"nobody@example.com":                     "nobody@example.com",
		"root@elsewhere.net":                     "root@elsewhere.net",
		"info@shop.example":                      "bob@example.net carol@example.net",
		"info@SHOP.example bob@example.net":      "bob@example.net carol@example.net",
		"x@old.example":                          "x@new.example",
		"any@catch.example":                      "ada@example.net",
		"sales@example.com":                      "bob@example.net",
	} {
		if got := names(b.Recipients(to(t, from))); got != want {
			t.Errorf("%s: got %s, want %s", from, got, want)
		}
	}
	if got := names(b.Recipients([]message.Recipient{{Address: address(t, `"two words"@localhost`)}})); got != "dave@example.net" {
		t.Errorf("two words: got %s", got)
	}
}

// An alias that names itself, bare, at our domain or elsewhere, means the mailbox of that name;
// only names that lead back to each other are a circle, and it is told with its line.
func TestAnAliasOfItsOwnNameIsNoCircle(t *testing.T) {
	for text, want := range map[string]string{
		"root: root@example.com":                           "root@example.com",
		"root: Root@EXAMPLE.com":                           "Root@example.com",
		"root: root":                                       "root@example.com",
		"root: \\root":                                     "root@example.com",
		"root: root@elsewhere.net":                         "root@elsewhere.net",
		"root: root@example.com, ada@x.net":                "root@example.com ada@x.net",
		"postmaster: root\nroot: root@example.com":         "root@example.com",
		"root: ops\nops: root@elsewhere.net":               "root@elsewhere.net",
		"root: postmaster@elsewhere.net\npostmaster: root": "postmaster@elsewhere.net",
	} {
		b, err := book(t, Config{Aliases: []string{write(t, text+"\n")}})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for _, domain := range []string{"", "localhost", "example.com"} {
			if got := names(b.Recipients([]message.Recipient{{Address: message.Address{Local: "root", Domain: domain}}})); got != want {
				t.Errorf("%q, root at %q: got %s, want %s", text, domain, got, want)
			}
		}
	}
	file := write(t, "x: y@x.net\nouter: ring\nring: rong@example.com\nrong: ring\n")
	if _, err := book(t, Config{Aliases: []string{file}}); err == nil || err.Error() != file+`:3: alias "ring" goes in circles: `+
		"ring → rong → ring; mail to it is sent to the others it names, or as it is" {
		t.Errorf("got %v", err)
	}
}

// A name without a domain has its alias, else whoever catches such mail, else nobody; postmaster is
// somebody at our domain.
func TestBareNames(t *testing.T) {
	file := write(t, "root: ada@example.net\nring: rong\nrong: ring\n")
	for _, c := range []struct {
		name, catch, want string
		knows             bool
	}{
		{"root", "", "ada@example.net", true},
		{"ROOT", "owner@example.org", "ada@example.net", true},
		{"www-data", "", "www-data", false},
		{"www-data", "owner@example.org", "owner@example.org", true},
		{"Postmaster", "", "Postmaster@example.com", true},
		{"postmaster", "owner@example.org", "owner@example.org", true},
		{"ring", "", "ring", false},
		{"ring", "owner@example.org", "owner@example.org", true},
	} {
		cfg := Config{Aliases: []string{file}}
		if c.catch != "" {
			cfg.Catch = address(t, c.catch)
		}
		b, _ := book(t, cfg)
		a := message.Address{Local: c.name}
		if got := names(b.Recipients([]message.Recipient{{Address: a}})); got != c.want || b.Knows(a) != c.knows {
			t.Errorf("%s, caught by %q: got %s, known: %t", c.name, c.catch, got, b.Knows(a))
		}
	}
}

// A list that is no plain file of its own is refused at once, and what stands in it is quoted
// nowhere. The file of aliases itself may be a link, and is a plain file too.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"secret": "top secret:words\n", "aliases": "staff: :include:" + in("list") + ", boss@example.net\n", "loud": "bob: top secret words\n",
		"endless": "staff: :include:/dev/zero\n", "pipe list": "staff: :include:" + in("fifo") + "\n",
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(in("secret"), in("list")), os.Symlink(in("aliases"), in("linked")), syscall.Mkfifo(in("fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"linked": "it is a link", "loud": "is no address", "fifo": "no plain file", "pipe list": "no plain file", "endless": "no plain file", ".": "no plain file",
	} {
		b, err := book(t, Config{Aliases: []string{in(name)}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "words") {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		if got := names(b.Recipients(to(t, "staff@localhost"))); name == "linked" && got != "boss@example.net" {
			t.Errorf("%s: the rest of the entry: got %s", name, got)
		}
	}
	if err := errors.Join(os.Remove(in("list")), os.Link(in("secret"), in("list"))); err != nil {
		t.Fatal(err)
	}
	if _, err := book(t, Config{Aliases: []string{in("aliases")}}); err == nil || strings.Contains(err.Error(), "words") {
		t.Errorf("a list that is none: got %v", err)
	}
	shadow := write(t, "root:$6$secretwords:19000:0:::\nada:$6$secretwords:1\n")
	if _, err := book(t, Config{Aliases: []string{shadow}, Virtual: []string{shadow}, Senders: shadow}); err == nil || strings.Contains(err.Error(), "words") {
		t.Errorf("another file than was meant: got %v", err)
	}
	if _, err := readFile(in("loud"), 5, false); err == nil || !strings.Contains(err.Error(), "larger than 5 bytes") {
		t.Errorf("a large file: got %v", err)
	}
}

// Names that stand for names that stand for names, each twice, are followed once each.
func TestDiamondsEnd(t *testing.T) {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "a%d: a%d, b%d\nb%d: a%d, b%d\n", i, i+1, i+1, i, i+1, i+1)
	}
	book, err := book(t, Config{Aliases: []string{write(t, b.String())}})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(book.Recipients(to(t, "a0@localhost"))); got != "a40@example.com b40@example.com" {
		t.Errorf("got %s", got)
	}
}

// What the sender asked to be told stays with whom the mail goes to, under the name it was sent to
// (RFC 3461).
func TestExpansionKeepsNotify(t *testing.T) {
	b, _ := book(t, Config{Aliases: []string{write(t, "ops: bob@example.net")}})
	got := b.Recipients([]message.Recipient{{Address: address(t, "ops@example.com"), Notify: message.NotifySuccess}})
	want := message.Recipient{Address: address(t, "bob@example.net"), Notify: message.NotifySuccess, Original: "rfc822;ops@example.com"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Without files nothing changes, and nothing is allocated for it.
func TestNoFilesNoChange(t *testing.T) {
	b, err := book(t, Config{})
	if err != nil {
		t.Fatal(err)
	}
	list := to(t, "a@example.com b@example.net root@localhost")
	if got := b.Recipients(list); names(got) != names(list) {
		t.Errorf("got %s", names(got))
	}
}

// Every mistake is told with file and line, and costs its own entry alone.
func TestMistakesAreNamed(t *testing.T) {
	file := write(t, `good: ada@example.net
no colon here
prog: "|/usr/bin/procmail"
file: /var/mail/x, bob@example.net
bad: a b@
good: twice@example.net
list: :include:/nonexistent/list
word: :fail: no
`)
	b, err := book(t, Config{Aliases: []string{file}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{":2: there is no colon", ":3: prog: \"|/usr/bin/procmail\": mail is not given to programs",
		":3: prog stands for nobody", ":4: file: /var/mail/x: mail is not written to files", ":5: bad: ", ":6: \"good\" stands there a second time",
		":7: list: ", "no such file", ":8: word: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if got := names(b.Recipients(to(t, "good@localhost file@localhost"))); got != "ada@example.net bob@example.net" {
		t.Errorf("got %s", got)
	}
}

// What cannot be seen does no harm at the ends of names and addresses, and is named inside; an
// address is found however it is written.
func TestInvisibleCharactersInMaps(t *testing.T) {
	names8 := write(t, "\ufeffroot: ada@example.net\u200b,\u00a0bob@example.net\nops\u00a0: \u202aroot\u202c,\n\u00a0 carol@example.net\n"+
		"po\u00adst: ada@example.net\nbad: a\u200bda@example.net\nplain: ilo.@docomo.ne.jp\n"+
		"named: ada@x <ada@example.net>, \"B, C\" < bob@example.net. >\nlost: Ada <ada>\n")
	virtual := write(t, "ilo.@docomo.ne.jp\tada@example.net\n@b\u00fccher.example @my_shop.example\n"+
		"info@shop.example\u00a0bob@example.net\nx@shop.example @sh\u200bop.example\n")
	b, err := book(t, Config{Aliases: []string{names8}, Virtual: []string{virtual}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{":4: the name of an alias has an invisible character in it: U+00AD soft hyphen at position 3",
		":5: bad: what stands there is no address and no local name: ", "U+200B zero width space at position 2",
		":8: lost: what stands there is no address: ", ":3: a key has ", "U+00A0 no-break space at position 18", ":4: x@shop.example: what stands there is no domain: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	for from, want := range map[string]string{
		"root@localhost":          "ada@example.net bob@example.net",
		"ops@localhost":           "ada@example.net bob@example.net carol@example.net",
		"ilo.@docomo.ne.jp":       "ada@example.net",
		"named@localhost":         "ada@example.net bob@example.net",
		"plain@localhost":         "ada@example.net",
		"x@xn--bcher-kva.example": "x@my_shop.example",
	} {
		if got := names(b.Recipients(to(t, from))); got != want {
			t.Errorf("%s: got %s, want %s", from, got, want)
		}
	}
}

// An included list is read beside the file that names it.
func TestInclude(t *testing.T) {
	file := write(t, "staff: :include:staff.list, boss@example.net\n")
	list := filepath.Join(filepath.Dir(file), "staff.list")
	if err := os.WriteFile(list, []byte("# staff\nada@example.net, bob@example.net\ncarol@example.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := book(t, Config{Aliases: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	want := "ada@example.net bob@example.net carol@example.net boss@example.net"
	if got := names(b.Recipients(to(t, "staff@localhost"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Senders of this machine become an address that can be answered; the display name stays.
func TestSenders(t *testing.T) {
	b, err := book(t, Config{Senders: write(t, "www-data@box web@example.com\nbackup backup@example.net\n@lan.example noreply@example.com\n"),
		From: address(t, "noreply@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[message.Address]string{
		{}:                                       "",
		{Local: "root"}:                          "noreply@example.com",
		{Local: "root", Domain: "localhost"}:     "noreply@example.com",
		{Local: "root", Domain: "box"}:           "noreply@example.com",
		{Local: "root", Domain: "example.com"}:   "root@example.com",
		{Local: "www-data", Domain: "box"}:       "web@example.com",
		{Local: "backup", Domain: "example.com"}: "backup@example.net",
		{Local: "x", Domain: "lan.example"}:      "noreply@example.com",
		{Local: "ada", Domain: "example.net"}:    "ada@example.net",
	} {
		if got := b.Sender(from).String(); got != want {
			t.Errorf("%v: got %s, want %s", from, got, want)
		}
	}
	for from, want := range map[string]string{
		" root (Cron Daemon)":         `Cron Daemon <noreply@example.com>`,
		" root":                       `noreply@example.com`,
		" Cron <root>":                `Cron <noreply@example.com>`,
		" Ada <root@localhost>":       `Ada <noreply@example.com>`,
		" root@box (Cron @ box)":      `"Cron @ box" <noreply@example.com>`,
		" www-data@box":               `web@example.com`,
		" Ada <ada@example.net>":      "",
		" ada@example.net, b@x.net":   "",
		" not an address at all @@ <": "",
	} {
		if got, _ := b.From(from); got != want {
			t.Errorf("%s: got %s, want %s", from, got, want)
		}
	}
}

// A changed file is seen within a second, and so is a changed list in it.
func TestLiveFollowsItsFiles(t *testing.T) {
	file := write(t, "staff: :include:list\n")
	list := filepath.Join(filepath.Dir(file), "list")
	put := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ada@example.net\n")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		live := NewLive(Config{Aliases: []string{file}, Domain: "example.com"}, slog.New(slog.NewTextHandler(&log, nil)))
		staff := to(t, "staff@localhost")
		if got := names(live.Recipients(staff)); got != "ada@example.net" {
			t.Errorf("got %s", got)
		}
		put("ada@example.net\nbob@example.net\n")
		<-time.After(1100 * time.Millisecond)
		if got := names(live.Recipients(staff)); got != "ada@example.net bob@example.net" {
			t.Errorf("after the change: got %s", got)
		}
		put("a b c\n")
		<-time.After(1100 * time.Millisecond)
		live.Recipients(staff)
		if !strings.Contains(log.String(), "aliases have mistakes") {
			t.Errorf("the mistake is not logged:\n%s", log.String())
		}
		if err := errors.Join(os.Remove(list), syscall.Mkfifo(list, 0o600)); err != nil {
			t.Fatal(err)
		}
		<-time.After(1100 * time.Millisecond)
		live.Recipients(staff) // and does not wait for somebody to write
		if strings.Contains(log.String(), "a b c") || !strings.Contains(log.String(), "it is no plain file") {
			t.Errorf("the log says:\n%s", log.String())
		}
	})
}

// One key of one file, in either form, as postmap -q asks.
func TestTable(t *testing.T) {
	for text, want := range map[string]string{
		"root: ada@example.net, bob@example.net\n": "ada@example.net bob@example.net",
		"root ada@example.net\n":                   "ada@example.net",
		"other: x\n":                               "",
	} {
		got, _, err := Table(write(t, text), "Root")
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if _, _, err := Table("/nonexistent/x", "root"); err == nil {
		t.Error("a missing file is no error")
	}
}

// Whatever stands in a file, reading and expanding end, and nothing comes out that is no address.
func FuzzBook(f *testing.F) {
	f.Add(someAliases, someVirtual, "root@example.com")
	f.Add("a: b\nb: a\n", "@x @y\n@y @x\n", "q@x")
	f.Add("a: \"b,c\", \\d\n", "a\tb\n c\n", "a@localhost")
	f.Fuzz(func(t *testing.T, aliases, virtual, rcpt string) {
		a, err := message.ParseAddress(rcpt)
		if err != nil || strings.Contains(aliases, ":include:") {
			return
		}
		b, _ := book(t, Config{Aliases: []string{write(t, aliases)}, Virtual: []string{write(t, virtual)}, Senders: write(t, virtual),
			From: message.Address{Local: "noreply", Domain: "example.com"}})
		for _, r := range b.Recipients([]message.Recipient{{Address: a}}) {
			if _, err := message.ParseAddress(r.Address.String()); err != nil {
				t.Errorf("%s became %q: %v", rcpt, r.Address, err)
			}
		}
		b.Sender(a)
		if got, ok := b.From(rcpt); ok && strings.ContainsAny(got, "\r\n") {
			t.Errorf("From %q became %q", rcpt, got)
		}
	})
}
