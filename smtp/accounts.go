package smtp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sort"
	"sync"
	"time"

	"dinkymail/internal/gate"
)

// How long a password that was right is known to be right without hashing it again, and how many of them.
const (
	rememberLogin  = 5 * time.Minute
	rememberLogins = 4096
)

// maxUserName is longer than any name worth having, in bytes.
const maxUserName = 256

// accounts checks who logs in.
type accounts struct {
	log       *slog.Logger
	hashes    map[string]hash
	decoys    []hash        // one per user, to take as long for names that nobody has
	hashing   chan struct{} // a place for each password that is hashed at the same time
	own       chan struct{} // one more, for those who have logged in from where they are
	secret    []byte        // keys what is remembered, so that memory holds nothing to guess against
	penalties *penalties
	known     *known

	mu     sync.Mutex // guards proven
	proven map[[sha256.Size]byte]time.Time
}

func newAccounts(cfg Config, log *slog.Logger) *accounts {
	a := &accounts{
		log:       log,
		hashing:   make(chan struct{}, cfg.MaxHashing),
		own:       make(chan struct{}, 1),
		secret:    make([]byte, sha256.Size),
		penalties: newPenalties(cfg.MaxLoginFailures, cfg.LoginPause, cfg.LoginPauseMax),
		known:     newKnown(cfg.Logins, log),
	}
	rand.Read(a.secret) // never fails: crypto/rand ends the program instead
	return a.with(cfg.Users)
}

// with has other users, and shares with a what is known of logins but for which passwords were right.
func (a *accounts) with(users map[string]string) *accounts {
	a = &accounts{log: a.log, hashing: a.hashing, own: a.own, secret: a.secret, penalties: a.penalties, known: a.known,
		hashes: make(map[string]hash, len(users)), proven: make(map[[sha256.Size]byte]time.Time)}
	names := make([]string, 0, len(users))
	for name, text := range users {
		if h, err := parseHash(text); err == nil && name != "" && len(name) < maxUserName {
			a.hashes[name] = h
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		a.decoys = append(a.decoys, a.hashes[name])
	}
	return a
}

// any reports whether somebody could log in at all.
func (a *accounts) any() bool { return len(a.hashes) > 0 }

// login checks a name and a password that came from peer. The error is a *pausedError while peer or account must wait,
// errLogin when one of both is wrong, or ctx's.
func (a *accounts) login(ctx context.Context, peer netip.Addr, name, password string) error {
	if len(name) > maxUserName {
		name = name[:maxUserName] // nobody is called that; what is left must not fill memory and log
	}
	t := a.try(peer, name)
	if err := a.penalties.check(t, time.Now()); err != nil {
		a.log.Warn("auth failed", "client", peer.String(), "user", name, "err", err)
		return err
	}
	key := a.fingerprint(name, password)
	if a.remembers(key) {
		a.welcome(t)
		return nil
	}
	leave, err := a.enter(ctx, t)
	if err != nil {
		return err
	}
	// Asked again: others may have failed while this one waited for its place.
	err = a.penalties.check(t, time.Now())
	right := err == nil && a.matches(name, password)
	if err == nil && !right {
		a.penalties.failed(t, time.Now())
	}
	leave()
	switch {
	case err != nil:
		return err
	case !right:
		a.log.Warn("auth failed", "client", peer.String(), "user", name, "err", errLogin)
		return errLogin
	}
	a.welcome(t)
	a.remember(key)
	return nil
}

func (a *accounts) try(peer netip.Addr, name string) try {
	t := try{login: login{name, gate.Client(peer)}}
	_, t.real = a.hashes[name]
	t.known = t.real && a.known.has(t.login, time.Now())
	return t
}

// welcome notes that somebody has logged in.
func (a *accounts) welcome(t try) {
	a.penalties.succeeded(t)
	a.known.add(t.login, time.Now())
}

// enter waits for a place to hash a password, and returns how to leave it. However many strangers
// guess, whoever is known need not stand in their line.
func (a *accounts) enter(ctx context.Context, t try) (leave func(), err error) {
	own := a.own
	if !t.known {
		own = nil
	}
	select {
	case a.hashing <- struct{}{}:
		return func() { <-a.hashing }, nil
	case own <- struct{}{}:
		return func() { <-own }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// matches takes as long for a name that does not exist as for one that does: it then checks against somebody's hash, always
// the same one for the same name, and refuses.
func (a *accounts) matches(name, password string) bool {
	h, known := a.hashes[name]
	if !known {
		if len(a.decoys) == 0 {
			return false
		}
		sum := a.fingerprint(name, "")
		h = a.decoys[binary.BigEndian.Uint64(sum[:])%uint64(len(a.decoys))]
	}
	return h.matches(password) && known
}

func (a *accounts) fingerprint(name, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, a.secret)
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(name)))
	mac.Write(size[:])
	mac.Write([]byte(name))
	mac.Write([]byte(password))
	mac.Sum(sum[:0])
	return sum
}

func (a *accounts) remembers(key [sha256.Size]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.proven[key]
	return ok && time.Now().Before(until)
}

func (a *accounts) remember(key [sha256.Size]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.proven) >= rememberLogins {
		clear(a.proven)
	}
	a.proven[key] = time.Now().Add(rememberLogin)
}
