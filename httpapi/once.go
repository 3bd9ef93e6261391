package httpapi

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// A form that the same client sends again within sameWithin is one mail: people click twice. As
// many forms as maxRepeats are remembered.
const (
	sameWithin = 10 * time.Second
	maxRepeats = 10_000
)

// repeats remembers what became of the newest forms. The zero value is ready.
type repeats struct {
	mu    sync.Mutex // guards what follows
	seen  map[[sha256.Size]byte]*repeat
	order []*repeat // those that succeeded, the oldest first
}

// repeat is one form. What follows done is settled when it is closed.
type repeat struct {
	sum  [sha256.Size]byte
	done chan struct{}
	got  identity
	ok   bool
	at   time.Time // when it succeeded
}

// once does what send does, or waits for another that does the same and returns what that got.
// After a failure each tries for itself.
func (p *repeats) once(ctx context.Context, sum [sha256.Size]byte, send func() (identity, error)) (identity, error) {
	for {
		one, first := p.enter(sum)
		if first {
			return p.first(one, send)
		}
		select {
		case <-one.done:
		case <-ctx.Done():
			return identity{}, ctx.Err()
		}
		if one.ok {
			return one.got, nil
		}
	}
}

// enter finds the form with this sum, or makes it.
func (p *repeats) enter(sum [sha256.Size]byte) (one *repeat, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.order) > 0 && (len(p.order) > maxRepeats || time.Since(p.order[0].at) >= sameWithin) {
		p.forget(p.order[0])
		p.order[0] = nil
		p.order = p.order[1:]
	}
	if one, first = p.seen[sum], false; one == nil {
		if p.seen == nil {
			p.seen = make(map[[sha256.Size]byte]*repeat)
		}
		one, first = &repeat{sum: sum, done: make(chan struct{})}, true
		p.seen[sum] = one
	}
	return one, first
}

// first sends, and tells those who wait what came of it.
func (p *repeats) first(one *repeat, send func() (identity, error)) (got identity, err error) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if one.ok {
			one.at = time.Now()
			p.order = append(p.order, one)
		} else {
			p.forget(one)
		}
		close(one.done)
	}()
	got, err = send()
	one.got, one.ok = got, err == nil
	return got, err
}

func (p *repeats) forget(one *repeat) {
	if p.seen[one.sum] == one {
		delete(p.seen, one.sum)
	}
}
