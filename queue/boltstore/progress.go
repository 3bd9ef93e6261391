package boltstore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"
)

// progress is the value that says what the index has.
type progress struct {
	Schema int      `cbor:"1,keyasint"`
	Salt   uint64   `cbor:"2,keyasint"`
	Seg    uint32   `cbor:"3,keyasint"`
	Off    int64    `cbor:"4,keyasint"`
	Count  counters `cbor:"5,keyasint"`

	Notes   []note `cbor:"6,keyasint,omitempty"`
	Partial bool   `cbor:"7,keyasint,omitempty"` // it is being made anew, and of no use before that is done
	Sum     uint32 `cbor:"8,keyasint,omitempty"` // CRC-32C of all bytes before; the last four are it
}

func putProgress(tx *bolt.Tx, to progress) error {
	to.Sum = math.MaxUint32 // takes four bytes
	v, err := cbor.Marshal(to)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(v[len(v)-4:], checksum(v[:len(v)-4]))
	return tx.Bucket(meta).Put(stateKey, v)
}

func progressIn(tx *bolt.Tx) (progress, error) { return parseProgress(tx.Bucket(meta).Get(stateKey)) }

// parseProgress reads the state. One that a newer version wrote is read as far as it is understood.
func parseProgress(v []byte) (p progress, err error) {
	if err := reading.Unmarshal(v, &p); err != nil {
		return p, fmt.Errorf("%w: state of the index: %w", ErrDamaged, err)
	}
	if p.Schema >= summed && p.Schema <= schema && checksum(v[:len(v)-4]) != binary.BigEndian.Uint32(v[len(v)-4:]) {
		return p, fmt.Errorf("%w: the state of the index is not what was written", ErrDamaged)
	}
	return p, nil
}

// summed is the first schema with checksums in the index.
const summed = 3
