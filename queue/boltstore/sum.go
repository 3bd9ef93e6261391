package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// A clean Close leaves the checksum of the whole index in the file sum, with the transaction that
// the index ended with. It is quicker to read all of the index and compare than to walk through it,
// and says as much: bbolt has no checksums.

// sumChunk is how much is summed up at a time, by as many at once as there are processors.
const sumChunk = 1 << 20

// castagnoli is the CRC-32C that processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func (d *directory) sumPath() string { return d.path("sum") }

// sumUp leaves the checksum of the index as it is now. The index is closed afterwards without
// another write.
func (s *Store) sumUp() error {
	if s.Broken() != nil || s.index.condemned.Load() {
		return nil
	}
	f, err := os.Open(s.index.path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, ok := readMeta(f)
	if !ok {
		return nil
	}
	sum, err := sumOf(f, m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.sumPath(), sumLine(m, sum), 0o600); err != nil {
		// Without it the index is walked through at the next Open, which takes a little longer.
		s.log.Debug("checksum of the index not written", "path", s.sumPath(), "err", err)
		_ = os.Remove(s.sumPath())
	}
	return nil
}

// sumLine is what stands in the file: the transaction and the sum, in eight digits.
func sumLine(m boltMeta, sum uint32) []byte { return fmt.Appendf(nil, "%d %08x\n", m.tx, sum) }

// sumOf is the CRC-32C of the CRC-32C of each sumChunk bytes, up to where the file is used.
func sumOf(f *os.File, m boltMeta) (uint32, error) {
	size := int64(m.pages) * m.pageSize
	sums := make([]byte, 4*((size+sumChunk-1)/sumChunk))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			buf := make([]byte, sumChunk)
			for {
				i := next.Add(1) - 1
				if 4*i >= int64(len(sums)) {
					return
				}
				n, err := f.ReadAt(buf[:min(sumChunk, size-i*sumChunk)], i*sumChunk)
				if err != nil && err != io.EOF {
					failed.Store(&err)
					return
				}
				binary.BigEndian.PutUint32(sums[4*i:], checksum(buf[:n]))
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return checksum(sums), nil
}

// examine reads the whole index before bbolt does, and returns ErrDamaged when it is not what was
// written.
func (s *Store) examine() error {
	f, err := os.Open(s.index.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.cannotWrite(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() == 0 {
		return nil // bbolt makes a new one of it
	}
	m, ok := readMeta(f)
	if !ok {
		return fmt.Errorf("%w: it is no database, or neither of its first pages is whole", ErrDamaged)
	}
	if p, _ := parseProgress(stateOf(f, m)); p.Schema > schema {
		return s.newer(p.Schema)
	}
	numbers, err := s.journal.Numbers()
	if err != nil {
		return s.cannotWrite(err)
	}
	// What an earlier version kept and the journal does not have is worth more than that all of it
	// agrees.
	s.index.carried = gaps(numbers, max(s.held.Number, 1)) == 0
	if s.index.carried {
		was, _ := os.ReadFile(s.sumPath()) // none after a crash
		if is := sumLine(m, 0); len(was) == len(is) && bytes.HasSuffix(was, is[len(is)-1:]) && bytes.HasPrefix(was, is[:len(is)-9]) {
			sum, err := sumOf(f, m)
			if err == nil && bytes.Equal(was, sumLine(m, sum)) {
				return nil
			}
			return fmt.Errorf("%w: it is not what was written: %w", ErrDamaged, errors.Join(errPage, err))
		}
	}
	s.bare = s.bare || !s.index.carried
	return soundIndex(f, m, s.index.carried)
}
