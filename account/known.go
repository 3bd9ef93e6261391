package account

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"dinkymail/internal/disk"
)

// Bounds of what is remembered of logins that succeeded. A file of maxKnown addresses, with the
// longest names and every byte of them escaped, is smaller than 32 MiB.
const (
	maxKnownEach = 64                  // addresses of one account; the one unseen for longest makes room
	maxKnown     = 10_000              // addresses of all accounts together, in the same way
	knownFor     = 90 * 24 * time.Hour // since the last login from there
	knownNote    = 24 * time.Hour      // by which the time in the file may lag behind
)

// known remembers from which addresses each account has logged in. They are what only the owner of
// an account can add to, so no stranger's tries count against them. They outlive the program in a
// file, which is read at the first login.
type known struct {
	file string // empty: nothing outlives the Server
	log  *slog.Logger
	once sync.Once  // reads the file
	note sync.Mutex // held while the file is written

	mu  sync.Mutex // guards the fields below
	all map[login]time.Time
}

// login is an account and an address that it was used from.
type login struct {
	name   string
	client netip.Prefix
}

func newKnown(file string, log *slog.Logger) *known {
	return &known{file: file, log: log, all: make(map[login]time.Time)}
}

// has reports whether the account has logged in from there.
func (k *known) has(l login, now time.Time) bool {
	k.once.Do(func() { k.read(now) })
	k.mu.Lock()
	defer k.mu.Unlock()
	last, ok := k.all[l]
	return ok && now.Sub(last) < knownFor
}

// add notes a login. What cannot be written is remembered until the program ends.
func (k *known) add(l login, now time.Time) {
	if !l.client.IsValid() {
		return // nobody's address in particular
	}
	k.mu.Lock()
	last, ok := k.all[l]
	if ok && now.Sub(last) < knownNote {
		k.mu.Unlock()
		return
	}
	k.all[l] = now
	k.trim(l.name)
	k.mu.Unlock()
	if err := k.write(); err != nil {
		k.log.Warn("cannot remember from where accounts log in; a restart forgets it", "err", err)
	}
}

// trim makes room. The caller holds mu.
func (k *known) trim(name string) {
	for _, most := range []struct {
		n    int
		mine bool
	}{{maxKnownEach, true}, {maxKnown, false}} {
		n := 0
		var oldest login
		for l, at := range k.all {
			if most.mine && l.name != name {
				continue
			}
			if n++; n == 1 || at.Before(k.all[oldest]) {
				oldest = l
			}
		}
		if n > most.n {
			delete(k.all, oldest)
		}
	}
}

// read takes the file in. One that is damaged is as good as none: the next logins make it anew.
func (k *known) read(now time.Time) {
	byName := map[string]map[netip.Prefix]time.Time{}
	if err := disk.ReadState(k.file, &byName); err != nil {
		k.log.Warn("cannot read from where accounts have logged in; they are strangers until they do again", "file", k.file, "err", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, addresses := range byName {
		for client, at := range addresses {
			if now.Sub(at) < knownFor && len(k.all) < maxKnown {
				k.all[login{name, client}] = at
			}
		}
	}
}

// write replaces the file.
func (k *known) write() error {
	k.note.Lock()
	defer k.note.Unlock()
	byName := map[string]map[netip.Prefix]time.Time{}
	k.mu.Lock()
	for l, at := range k.all {
		if byName[l.name] == nil {
			byName[l.name] = map[netip.Prefix]time.Time{}
		}
		byName[l.name][l.client] = at.UTC().Truncate(time.Second)
	}
	k.mu.Unlock()
	return disk.WriteState(k.file, byName)
}
