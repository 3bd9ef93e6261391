package boltstore

import (
	"sync"

	"dinkymail/queue"
)

// locks lets changes of one message happen one after the other.
type locks struct {
	mu   sync.Mutex
	busy map[queue.ID]chan struct{} // messages that are being changed; the channel is nil while nobody waits for the end
}

// lockID waits until nobody else changes the message, and keeps others from it until unlockID.
func (l *locks) lockID(id queue.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		wait, taken := l.busy[id]
		if !taken {
			l.busy[id] = nil
			return
		}
		if wait == nil {
			wait = make(chan struct{})
			l.busy[id] = wait
		}
		l.mu.Unlock()
		<-wait
		l.mu.Lock()
	}
}

// tryLockID is lockID where nobody else changes the message; false where somebody does.
func (l *locks) tryLockID(id queue.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.busy[id]; taken {
		return false
	}
	l.busy[id] = nil
	return true
}

func (l *locks) unlockID(id queue.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.busy[id]; wait != nil {
		close(wait)
	}
	delete(l.busy, id)
}
