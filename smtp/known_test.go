package smtp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/internal/gate"
)

// tryLogin tries a name and a password from an address, in a connection of its own.
func tryLogin(t *testing.T, addr, from, name, password, want string) {
	t.Helper()
	p := dialFrom(t, addr, from)
	p.say("EHLO client", "250")
	p.say(plain(name, password), want)
	p.conn.Close()
}

// Strangers who guess at an account pause it for each other, and never for an address that its
// owner has logged in from; not after a restart either.
func TestOwnersAreNotShutOut(t *testing.T) {
	cfg := Config{Trusted: nobody, Users: map[string]string{"app": cheap, "bob": cheap},
		Logins: filepath.Join(t.TempDir(), "logins.json")}
	h := open(t, cfg)
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "235")
	for i := range 5 {
		tryLogin(t, h.addr, fmt.Sprintf("127.0.1.%d", i+1), "app", "falsch", "535 5.7.8")
	}
	tryLogin(t, h.addr, "127.0.1.9", "app", "geheim", "454 4.7.0 too many failed logins: this account")
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "235")
	tryLogin(t, h.addr, "127.0.1.9", "app", "geheim", "454") // the owner's login gave strangers no new tries
	tryLogin(t, h.addr, "127.0.1.9", "bob", "geheim", "235")

	again := open(t, cfg)
	for i := range 5 {
		tryLogin(t, again.addr, fmt.Sprintf("127.0.2.%d", i+1), "app", "falsch", "535 5.7.8")
	}
	tryLogin(t, again.addr, "127.0.0.1", "app", "geheim", "235")
	tryLogin(t, again.addr, "127.0.2.9", "app", "geheim", "454")
	if info, err := os.Stat(cfg.Logins); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

// Whoever shares an address with the owner cannot shut the account out by guessing at others; the
// owner's own wrong passwords pause the owner's address.
func TestOwnersAnswerForThemselves(t *testing.T) {
	h := open(t, Config{Trusted: nobody, Users: map[string]string{"app": cheap, "bob": cheap}})
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "235")
	for i := range 5 {
		tryLogin(t, h.addr, "127.0.0.1", fmt.Sprint("nobody", i), "falsch", "535")
	}
	tryLogin(t, h.addr, "127.0.0.1", "bob", "geheim", "421 4.7.0 too many failed logins: your address")
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "235")
	for range 5 {
		tryLogin(t, h.addr, "127.0.0.1", "app", "falsch", "535")
	}
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "421 4.7.0 too many failed logins: your address")
	tryLogin(t, h.addr, "127.0.0.2", "app", "geheim", "235") // others pay nothing for that
}

// While strangers keep all places for hashing busy, one is left for those who are known.
func TestKnownAddressesHashAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := counted(Config{MaxHashing: 1})
		owner, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::1")
		a.known.add(login{"ada", gate.Client(owner)}, time.Now())
		c.wait = make(chan struct{})
		results := make(chan error)
		go func() { results <- a.login(t.Context(), other, "ada", "falsch") }()
		synctest.Wait()
		go func() { results <- a.login(t.Context(), netip.MustParseAddr("2001:db8::2"), "ada", "geheim") }()
		synctest.Wait()
		if got := c.now.Load(); got != 2 {
			t.Errorf("%d passwords are hashed, want the stranger's and the owner's", got)
		}
		close(c.wait)
		<-results
		<-results
	})
}

// However many addresses an account is used from, only so many are remembered, the newest, and for
// so long.
func TestKnownAddressesAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logins.json")
	log := slog.New(slog.DiscardHandler)
	k := newKnown("", log)
	start := time.Unix(1e9, 0)
	at := func(i int) login {
		return login{"ada", gate.Client(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))}
	}
	for i := range maxKnownEach + 10 {
		k.add(at(i), start.Add(time.Duration(i)*time.Second))
	}
	k.file = file
	k.add(login{"bob", at(1).client}, start.Add(time.Hour))
	k = newKnown(file, log)
	if k.has(at(9), start) || !k.has(at(10), start) || !k.has(at(maxKnownEach+9), start) || !k.has(login{"bob", at(1).client}, start) {
		t.Error("not the newest are remembered")
	}
	if later := start.Add(knownFor + time.Hour); k.has(at(10), later) {
		t.Error("an address is known for ever")
	}
	if err := os.WriteFile(file, []byte(`{"ada":{"10.0.0.1/32":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if k = newKnown(file, log); k.has(at(1), start) {
		t.Error("half a file is believed")
	}
}
