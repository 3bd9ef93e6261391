package smtp

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dinkymail/internal/gate"
)

// plain is AUTH PLAIN with its response.
func plain(name, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+password))
}

// Five failed logins pause the client, for longer with each further failure; the pause ends by itself.
func TestFailedLoginsPauseTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, stop := piped(t, Config{Users: map[string]string{"ada": cheap, "bob": cheap}}, &recorder{})
		try := func(from, name, password, want string) {
			t.Helper()
			p := newPeer(t, connect(from))
			p.expect("220")
			p.say("EHLO client", "250")
			p.say(plain(name, password), want)
			p.conn.Close()
		}
		for i := range 5 {
			try("127.0.0.1:1", fmt.Sprint("nobody", i), "falsch", "535 5.7.8")
		}
		try("127.0.0.1:2", "ada", "geheim", "421 4.7.0 too many failed logins: your address may try again in 1m0s")
		try("127.0.0.2:1", "ada", "geheim", "235")
		pass(time.Minute)
		try("127.0.0.1:3", "nobody", "falsch", "535")
		try("127.0.0.1:4", "ada", "geheim", "421 4.7.0 too many failed logins: your address may try again in 2m0s")
		pass(2 * time.Minute)
		try("127.0.0.1:5", "ada", "geheim", "235")
		stop()
	})
}

// Five failed logins of one account pause it wherever they came from; a right password is not even looked at meanwhile. A login
// that succeeds clears the account.
func TestFailedLoginsPauseTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, stop := piped(t, Config{Users: map[string]string{"ada": cheap, "bob": cheap}}, &recorder{})
		n := 0
		try := func(name, password, want string) {
			t.Helper()
			n++
			p := newPeer(t, connect(fmt.Sprintf("127.0.0.%d:1", n)))
			p.expect("220")
			p.say("EHLO client", "250")
			p.say(plain(name, password), want)
			p.conn.Close()
		}
		for range 2 {
			for range 4 {
				try("ada", "falsch", "535 5.7.8")
			}
			try("ada", "geheim", "235")
		}
		for range 5 {
			try("ada", "falsch", "535 5.7.8")
		}
		try("ada", "geheim", "454 4.7.0 too many failed logins: this account may try again in 1m0s")
		try("bob", "geheim", "235")
		pass(time.Minute)
		try("ada", "geheim", "235")
		stop()
	})
}

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

func counted(cfg Config) (*accounts, *counting) {
	a := newAccounts(cfg.withDefaults(), slog.New(slog.DiscardHandler))
	c := &counting{}
	a.hashes = map[string]hash{"ada": c}
	a.decoys = []hash{c}
	return a, c
}

// A name that nobody has costs as much as one that somebody has, so that the time of the answer does not tell them apart.
func TestUnknownNamesCostTheSame(t *testing.T) {
	a, c := counted(Config{})
	peer := netip.MustParseAddr("127.0.0.1")
	if err := a.login(t.Context(), peer, "nobody", "geheim"); err != errLogin {
		t.Errorf("got %v, want %v", err, errLogin)
	}
	if got := c.asked.Load(); got != 1 {
		t.Errorf("%d hashes, want 1", got)
	}
}

// A right password is hashed once in five minutes, a wrong one each time.
func TestRightPasswordsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := counted(Config{})
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
		pass(rememberLogin + time.Second)
		check("geheim", 4)
		for i := range rememberLogins + 10 {
			a.remember(a.fingerprint("ada", fmt.Sprint(i)))
		}
		if len(a.proven) > rememberLogins {
			t.Errorf("%d logins remembered, want at most %d", len(a.proven), rememberLogins)
		}
	})
}

// Only MaxHashing passwords are hashed at once, and whoever waits gives up with its context.
func TestHashingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, c := counted(Config{MaxHashing: 2, MaxLoginFailures: 100})
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
			if err := <-results; err != errLogin {
				t.Errorf("got %v, want %v", err, errLogin)
			}
		}
	})
}

// Passwords are not taken in the clear from another machine, not even offered there, and not from anybody when there are no
// accounts.
func TestPasswordsNeedTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, stop := piped(t, Config{Users: map[string]string{"ada": cheap}}, &recorder{})
		p := newPeer(t, connect("192.0.2.1:1"))
		p.expect("220")
		if got := p.say("EHLO client", "250"); strings.Contains(got, "AUTH") {
			t.Errorf("AUTH is offered: %q", got)
		}
		p.say(plain("ada", "geheim"), "538 5.7.11")
		p.say("MAIL FROM:<ada@example.org>", "530 5.7.0")
		p.conn.Close()
		stop()
	})
}

// A hash that cannot be read is an account that nobody can use, not one without a password.
func TestDamagedHashesNeverMatch(t *testing.T) {
	a := newAccounts(Config{Users: map[string]string{"ada": "", "bob": "geheim", "": cheap}}.withDefaults(),
		slog.New(slog.DiscardHandler))
	if a.any() {
		t.Error("there are accounts")
	}
	for _, name := range []string{"ada", "bob", "", "eve"} {
		if a.login(t.Context(), netip.MustParseAddr("127.0.0.1"), name, "geheim") == nil {
			t.Errorf("%q is logged in", name)
		}
	}
}
