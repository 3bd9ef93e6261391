package memstore_test

import (
	"testing"

	"dinkymail/queue"
	"dinkymail/queue/memstore"
	"dinkymail/queue/queuetest"
)

// It is a Store as any other, but for what a restart would show: a directory that is opened again is the same store, without claims.
func TestSuite(t *testing.T) {
	stores := map[string]*memstore.Store{}
	queuetest.Suite(t, func(_ *testing.T, dir string) (queue.Store, func()) {
		if stores[dir] == nil {
			stores[dir] = memstore.New()
		}
		stores[dir].Reopen()
		return stores[dir], func() { _ = stores[dir].Close() }
	})
}
