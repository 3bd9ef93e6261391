package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dinkymail/internal/gate"
)

// How long a password that was right is known to be right without hashing it again, and how many of
// them.
const (
	rememberLogin  = 5 * time.Minute
	rememberLogins = 4096
)

// maxUserName is longer than any name worth having, in bytes.
const maxUserName = 256

// ErrLogin says that a name or its password is wrong.
var ErrLogin = errors.New("user name or password is wrong")

// logins checks who logs in.
type logins struct {
	*memory
	hashes map[string]hash
	decoys []hash // one per user, to take as long for names that nobody has

	mu     sync.Mutex // guards proven
	proven map[[sha256.Size]byte]time.Time
}

func newLogins(m *memory, users map[string]string) *logins {
	a := &logins{memory: m, hashes: make(map[string]hash, len(users)), proven: make(map[[sha256.Size]byte]time.Time)}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		if h, err := parseHash(users[name]); err == nil && name != "" && len(name) < maxUserName {
			a.hashes[name] = h
			a.decoys = append(a.decoys, h)
		}
	}
	return a
}

// Any reports whether somebody could log in at all.
func (a *logins) Any() bool { return len(a.hashes) > 0 }

// Login checks a name and a password that came from peer. The error is a *PausedError while peer or
// account must wait, ErrLogin when one of both is wrong, or ctx's. Whoever logs in may send as
// anybody.
func (a *logins) Login(ctx context.Context, peer netip.Addr, name, password string) (User, error) {
	if len(name) > maxUserName {
		name = name[:maxUserName] // nobody is called that; what is left must not fill memory and log
	}
	if err := a.login(ctx, peer, name, password); err != nil {
		return User{}, err
	}
	return Anybody(name), nil
}

func (a *logins) login(ctx context.Context, peer netip.Addr, name, password string) error {
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
		a.log.Warn("auth failed", "client", peer.String(), "user", name, "err", ErrLogin)
		return ErrLogin
	}
	a.welcome(t)
	a.remember(key)
	return nil
}

func (a *logins) try(peer netip.Addr, name string) try {
	t := try{login: login{name, gate.Client(peer)}}
	_, t.real = a.hashes[name]
	t.known = t.real && a.known.has(t.login, time.Now())
	return t
}

// welcome notes that somebody has logged in.
func (a *logins) welcome(t try) {
	a.penalties.succeeded(t)
	a.known.add(t.login, time.Now())
}

// enter waits for a place to hash a password, and returns how to leave it. However many strangers
// guess, whoever is known need not stand in their line.
func (a *logins) enter(ctx context.Context, t try) (leave func(), err error) {
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

// matches takes as long for a name that does not exist as for one that does: it then checks against
// somebody's hash, always the same one for the same name, and refuses.
func (a *logins) matches(name, password string) bool {
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

func (a *logins) fingerprint(name, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, a.secret)
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(name)))
	mac.Write(size[:])
	mac.Write([]byte(name))
	mac.Write([]byte(password))
	mac.Sum(sum[:0])
	return sum
}

func (a *logins) remembers(key [sha256.Size]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.proven[key]
	return ok && time.Now().Before(until)
}

func (a *logins) remember(key [sha256.Size]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.proven) >= rememberLogins {
		clear(a.proven)
	}
	a.proven[key] = time.Now().Add(rememberLogin)
}
