package account

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dinkymail/internal/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap is a bcrypt hash of "geheim" that costs no time.
const cheap = "$2a$04$a14eCzUcZiqEnipKVfH05uvUVYBX30K/aABwvsqGQx3Sq7TyveKK2"

// stranger tries an account from where it was never used.
func stranger(peer netip.Addr, name string) try {
	return try{login: login{name, gate.Client(peer)}, real: true}
}

// The pauses double up to their limit, and are forgotten after it.
func TestPausesGrowAndAreForgotten(t *testing.T) {
	p := newPenalties(3, time.Minute, 10*time.Minute)
	peer, now := netip.MustParseAddr("2001:db8::1"), time.Unix(1e9, 0)
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 10, 10} {
		p.failed(stranger(peer, "ada"), now)
		var got time.Duration
		if o := p.accounts["ada"]; now.Before(o.until) {
			got = o.until.Sub(now) / time.Minute
		}
		if got != want {
			t.Errorf("failure %d: pause of %d min, want %d", i+1, got, want)
		}
	}
	if p.check(stranger(netip.MustParseAddr("2001:db8::ffff"), "bob"), now) == nil {
		t.Error("another address of the same /64 is not paused")
	}
	if p.check(stranger(netip.MustParseAddr("2001:db8:1::1"), "bob"), now) != nil {
		t.Error("another network is paused")
	}
	later := now.Add(10*time.Minute + time.Second)
	p.failed(stranger(peer, "ada"), later)
	if err := p.check(stranger(peer, "ada"), later); err != nil {
		t.Errorf("one failure after a long time: %v", err)
	}
}

// However many names and addresses are tried, only so many are remembered.
func TestPenaltiesAreBounded(t *testing.T) {
	p := newPenalties(5, time.Minute, time.Hour)
	now := time.Unix(1e9, 0)
	for i := range 2*maxPenalties + 10 {
		one := stranger(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), fmt.Sprint(i))
		one.real = false
		p.failed(one, now)
	}
	if len(p.clients) > maxPenalties || len(p.nobodies) > maxPenalties {
		t.Errorf("%d clients and %d names, want at most %d", len(p.clients), len(p.nobodies), maxPenalties)
	}
}

// counting is a hash that knows how often, and how often at once, it was asked.
type counting struct {
	asked, now, most atomic.Int32
	wait             chan struct{}
}

func (c *counting) matches(password string) bool {
	c.asked.Add(1)
	n := c.now.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
		continue
	}
	if c.wait != nil {
		<-c.wait
	}
	c.now.Add(-1)
	return password == "geheim"
}

func counted() (*Accounts, *counting) {
	a := New(Config{}, slog.New(slog.DiscardHandler))
	c := &counting{}
	a.hashes = map[string]hash{"ada": c}
	a.decoys = []hash{c}
	return a, c
}

// A name that nobody has costs as much as one that somebody has, so that the time of the answer
// does not tell them apart.
func TestUnknownNamesCostTheSame(t *testing.T) {
	a, c := counted()
	peer := netip.MustParseAddr("127.0.0.1")
	if err := a.login(t.Context(), peer, "nobody", "geheim"); err != ErrLogin {
		t.Errorf("got %v, want %v", err, ErrLogin)
	}
	if got := c.asked.Load(); got != 1 {
		t.Errorf("%d hashes, want 1", got)
	}
}

// A right password is hashed once in five minutes, a wrong one each time.
func TestRightPasswordsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := counted()
		peer := netip.MustParseAddr("127.0.0.1")
		check := func(password string, want int32) {
			t.Helper()
			_ = a.login(t.Context(), peer, "ada", password)
			if got := c.asked.Load(); got != want {
				t.Errorf("%d hashes, want %d", got, want)
			}
		}
		check("geheim", 1)
		check("geheim", 1)
		check("falsch", 2)
		check("falsch", 3)
		check("geheim", 3)
		time.Sleep(rememberLogin + time.Second)
		check("geheim", 4)
		for i := range rememberLogins + 10 {
			a.remember(a.fingerprint("ada", fmt.Sprint(i)))
		}
		if len(a.proven) > rememberLogins {
			t.Errorf("%d logins remembered, want at most %d", len(a.proven), rememberLogins)
		}
	})
}

// Only so many passwords are hashed at once, and whoever waits gives up with its context.
func TestHashingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := counted()
		a.penalties.most = 100
		c.wait = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		for i := range 6 {
			go func() { results <- a.login(ctx, netip.MustParseAddr("127.0.0.1"), "ada", fmt.Sprint(i)) }()
		}
		synctest.Wait()
		if got := c.most.Load(); got != 2 {
			t.Errorf("%d hashes at once, want 2", got)
		}
		cancel()
		for range 4 {
			if err := <-results; err != context.Canceled {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		}
		close(c.wait)
		for range 2 {
			if err := <-results; err != ErrLogin {
				t.Errorf("got %v, want %v", err, ErrLogin)
			}
		}
	})
}

// A hash that cannot be read is an account that nobody can use, not one without a password.
func TestDamagedHashesNeverMatch(t *testing.T) {
	a := New(Config{Users: map[string]string{"ada": "", "bob": "geheim", "": cheap}},
		slog.New(slog.DiscardHandler))
	if a.Any() {
		t.Error("there are accounts")
	}
	for _, name := range []string{"ada", "bob", "", "eve"} {
		if a.login(t.Context(), netip.MustParseAddr("127.0.0.1"), name, "geheim") == nil {
			t.Errorf("%q is logged in", name)
		}
	}
}
