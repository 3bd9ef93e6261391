package smtp

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// plain is AUTH PLAIN with its response.
func plain(name, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00"+password))
}

// Five failed logins pause the client, for longer with each further failure; the pause ends by
// itself.
func TestFailedLoginsPauseTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, stop := piped(t, Config{Accounts: accounts(map[string]string{"ada": cheap, "bob": cheap})}, &recorder{})
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

// Five failed logins of one account pause it wherever they came from; a right password is not even
// looked at meanwhile. A login that succeeds clears the account.
func TestFailedLoginsPauseTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, stop := piped(t, Config{Accounts: accounts(map[string]string{"ada": cheap, "bob": cheap})}, &recorder{})
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

// Passwords are not taken in the clear from another machine, not even offered there, and not from
// anybody when there are no accounts.
func TestPasswordsNeedTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, stop := piped(t, Config{Accounts: accounts(map[string]string{"ada": cheap})}, &recorder{})
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
