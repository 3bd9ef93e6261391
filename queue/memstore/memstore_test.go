package memstore_test

import (
	"sync"
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/memstore"
	"dinkymail/queue/queuetest"
)

// It is a Store as any other, but for what a restart would show: a directory that is opened again
// is the same store, without claims.
func TestSuite(t *testing.T) {
	var mu sync.Mutex
	stores := map[string]*memstore.Store{}
	queuetest.Suite(t, func(_ *testing.T, dir string) (queue.Store, func()) {
		mu.Lock()
		defer mu.Unlock()
		if stores[dir] == nil {
			stores[dir] = memstore.New()
		}
		stores[dir].Reopen()
		s := stores[dir]
		return s, func() { _ = s.Close() }
	})
}
