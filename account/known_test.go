package account

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/internal/gate"
)

// While strangers keep all places for hashing busy, one is left for those who are known.
func TestKnownAddressesHashAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := counted()
		a.hashing = make(chan struct{}, 1)
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
