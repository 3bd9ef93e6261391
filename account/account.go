// Package account knows who may log in or call, and what is theirs: accounts with passwords, the
// keys of applications, and from which addresses each may send.
//
// # What it promises
//
// Passwords and keys are neither logged nor kept: memory holds nothing to guess against. A name
// that nobody has takes as long as one that somebody has. Whoever guesses has to wait, and can
// neither shut an owner out nor gain tries by the owner's logins. The zero Config has nobody.
//
// # Who runs where
//
// All methods may be called from any goroutine. Login blocks while as many passwords are hashed as
// may be.
package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"time"

	"dinkymail/message"
)

// Config says who there is.
type Config struct {
	// Users are the accounts that may log in: name to bcrypt or argon2id hash, see HashPassword.
	// Entries that CheckHash refuses never match.
	Users map[string]string
	// Keys let applications call.
	Keys []Key
	// Own is what programs on this machine may send as, in the form of Key.From.
	Own []string

	// Logins is the file that remembers from which addresses accounts have logged in; the pause of
	// an account is not for them. Empty: a restart forgets them.
	Logins string
}

// Key lets one application call.
type Key struct {
	Name   string // stands in the log and the Received field
	Secret string
	// From are the senders it may use: addresses, "@domain" or "*". Empty: none.
	From []string
}

// User is who may do something, under a name. The zero User may send as nobody.
type User struct {
	Name    string // empty: nobody in particular
	anybody bool
	senders Addresses
}

// Anybody is a User who may send as anybody.
func Anybody(name string) User { return User{Name: name, anybody: true} }

// MaySendAs reports whether the user may send from an address.
func (u User) MaySendAs(from message.Address) bool { return u.anybody || u.senders.Has(from) }

// Accounts knows who there is. Make it with New.
type Accounts struct {
	*logins
	keys     []key
	programs User
}

// key is a Key ready to be compared.
type key struct {
	sum  [sha256.Size]byte
	user User
}

// New makes Accounts. It opens and starts nothing. Entries of From and Own that ParseAddresses
// refuses match nothing.
func New(cfg Config, log *slog.Logger) *Accounts { return with(newMemory(cfg, log), cfg) }

// With are other accounts that share with a what is known of logins, but for which passwords were
// right. The file of Logins stays.
func (a *Accounts) With(cfg Config) *Accounts { return with(a.memory, cfg) }

func with(m *memory, cfg Config) *Accounts {
	fresh := &Accounts{logins: newLogins(m, cfg.Users)}
	fresh.programs.senders, _ = ParseAddresses(cfg.Own)
	for _, k := range cfg.Keys {
		if k.Secret == "" {
			continue // an unset variable must not become a key that anybody can show
		}
		user := User{Name: k.Name}
		user.senders, _ = ParseAddresses(k.From)
		fresh.keys = append(fresh.keys, key{sha256.Sum256([]byte(k.Secret)), user})
	}
	return fresh
}

// Programs are the programs on this machine, which need no login.
func (a *Accounts) Programs() User { return a.programs }

// Key finds whose key this is. It takes the same time whichever it is.
func (a *Accounts) Key(secret string) (User, bool) {
	sum := sha256.Sum256([]byte(secret))
	found, user := false, User{}
	for i := range a.keys {
		if subtle.ConstantTimeCompare(sum[:], a.keys[i].sum[:]) == 1 {
			found, user = true, a.keys[i].user
		}
	}
	return user, found
}

// memory is what outlives a change of settings.
type memory struct {
	log       *slog.Logger
	hashing   chan struct{} // a place for each password that is hashed at the same time
	own       chan struct{} // one more, for those who have logged in from where they are
	secret    []byte        // keys what is remembered, so that memory holds nothing to guess against
	penalties *penalties
	known     *known
}

// What logging in may cost.
const (
	hashedAtOnce = 2 // passwords, 19 MiB each, and one of known addresses
	failuresFree = 5 // of a client, and of an account; then it pauses
	firstPause   = time.Minute
	longestPause = time.Hour // to which the pause doubles; failures are forgotten after that without a new one
)

func newMemory(cfg Config, log *slog.Logger) *memory {
	m := &memory{
		log:       log,
		hashing:   make(chan struct{}, hashedAtOnce),
		own:       make(chan struct{}, 1),
		secret:    make([]byte, sha256.Size),
		penalties: newPenalties(failuresFree, firstPause, longestPause),
		known:     newKnown(cfg.Logins, log),
	}
	rand.Read(m.secret) // never fails: crypto/rand ends the program instead
	return m
}
