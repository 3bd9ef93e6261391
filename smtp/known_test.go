package smtp

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"dinkymail/account"
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
	users := account.Config{Users: map[string]string{"app": cheap, "bob": cheap}, Logins: filepath.Join(t.TempDir(), "logins.json")}
	start := func() *house {
		return open(t, Config{Trusted: nobody, Accounts: account.New(users, slog.New(slog.DiscardHandler))})
	}
	h := start()
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "235")
	for i := range 5 {
		tryLogin(t, h.addr, fmt.Sprintf("127.0.1.%d", i+1), "app", "falsch", "535 5.7.8")
	}
	tryLogin(t, h.addr, "127.0.1.9", "app", "geheim", "454 4.7.0 too many failed logins: this account")
	tryLogin(t, h.addr, "127.0.0.1", "app", "geheim", "235")
	tryLogin(t, h.addr, "127.0.1.9", "app", "geheim", "454") // the owner's login gave strangers no new tries
	tryLogin(t, h.addr, "127.0.1.9", "bob", "geheim", "235")

	again := start()
	for i := range 5 {
		tryLogin(t, again.addr, fmt.Sprintf("127.0.2.%d", i+1), "app", "falsch", "535 5.7.8")
	}
	tryLogin(t, again.addr, "127.0.0.1", "app", "geheim", "235")
	tryLogin(t, again.addr, "127.0.2.9", "app", "geheim", "454")
	if info, err := os.Stat(users.Logins); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

// Whoever shares an address with the owner cannot shut the account out by guessing at others; the
// owner's own wrong passwords pause the owner's address.
func TestOwnersAnswerForThemselves(t *testing.T) {
	h := open(t, Config{Trusted: nobody, Accounts: accounts(map[string]string{"app": cheap, "bob": cheap})})
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
