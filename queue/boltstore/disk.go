package boltstore

import (
	bolt "go.etcd.io/bbolt"

	"dinkymail/queue/journal"
)

// disk opens the store's own files and commits its transactions. The real one is osDisk.
type disk interface {
	journal.Disk
	commit(tx *bolt.Tx) error
}

type osDisk struct{ journal.OS }

func (osDisk) commit(tx *bolt.Tx) error { return tx.Commit() }
