package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"dinkymail/queue"
)

// A segment begins with a head that names the store and the segment, and then holds records, each on a multiple of 8 bytes:
//
//	 0  magic
//	 4  kind, three zero bytes
//	 8  number of the segment
//	12  where in the segment the write began that this record was part of
//	16  length of the record's meta data
//	20  CRC-32C of the body
//	24  length of the body
//	32  salt of the store
//	40  ID of the message
//	60  CRC-32C of these 60 bytes and the meta data
//	64  meta data, then the body if the kind has it here, then zeros up to a multiple of 8
//
// The salt is random and never leaves the store: a mail whose text looks like a record is not mistaken for one.
const (
	segmentMagic = "dinkyseg"
	segmentHead  = 64
	recordMagic  = 0x01524d44 // "DMR", version 1
	recordHead   = 64
	alignment    = 8
	maxMeta      = 4 * queue.MaxRecord // what is written has at most a quarter, but for what an earlier version wrote
	window       = 1 << 20             // bytes read at a time
)

type kind uint8

const (
	kindPut    kind = 1 + iota // meta is the record, the body follows
	kindLarge                  // meta is the record, the body is in a file of its own
	kindSet                    // meta is the record; the body stays where it is, if the record still has one
	kindRemove                 // the message is gone
	kindMove                   // the body, from a segment that is mostly dead
	kindProbe                  // nothing: it was written to see whether that works
	kindNote                   // meta is a note
	kindRecord                 // of a checkpoint: meta is where the body is, and the record
	kindEnd                    // of a checkpoint: meta is how many records it has
)

func (k kind) inline() bool { return k == kindPut || k == kindMove }

// ofMessage reports whether a record of this kind has the ID of a message.
func (k kind) ofMessage() bool { return k <= kindMove || k == kindRecord }

// castagnoli is the CRC-32C that processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// entryHead is the fixed part of a record in a segment.
type entryHead struct {
	kind  kind
	batch uint32
	meta  int
	body  int64
	crc   uint32
	id    queue.ID
}

// size is what the record takes in the segment.
func (h entryHead) size() int64 {
	n := recordHead + int64(h.meta)
	if h.kind.inline() {
		n += h.body
	}
	return (n + alignment - 1) &^ (alignment - 1)
}

// appendRecord writes one record to b.
func appendRecord(b []byte, h entryHead, seg uint32, salt uint64, meta, body []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMagic)
	b = append(b, byte(h.kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, seg)
	b = binary.LittleEndian.AppendUint32(b, h.batch)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(meta)))
	b = binary.LittleEndian.AppendUint32(b, h.crc)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.body))
	b = binary.LittleEndian.AppendUint64(b, salt)
	var id [20]byte
	copy(id[:], h.id)
	b = append(b, id[:]...)
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, meta)
	b = binary.LittleEndian.AppendUint32(b, sum)
	b = append(b, meta...)
	if h.kind.inline() {
		b = append(b, body...)
	}
	for (len(b)-start)%alignment != 0 {
		b = append(b, 0)
	}
	return b
}

var (
	errNoRecord = errors.New("no record here")
	errBody     = errors.New("the body's checksum is wrong")
)

// reader reads the records of one segment, a window at a time.
type reader struct {
	f    file
	size int64
	seg  uint32
	salt uint64
	buf  []byte
	at   int64 // where buf begins
}

func newReader(f file, seg uint32, salt uint64) (*reader, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	return &reader{f: f, size: size, seg: seg, salt: salt}, nil
}

// bytes gives n bytes at off, valid until the next call, or io.ErrUnexpectedEOF behind the end.
func (r *reader) bytes(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off+n > r.size {
		return nil, io.ErrUnexpectedEOF
	}
	if off < r.at || off+n > r.at+int64(len(r.buf)) {
		want := min(max(n, window), r.size-off)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.at = r.buf[:want], off
		if _, err := r.f.ReadAt(r.buf, off); err != nil {
			r.buf = r.buf[:0]
			return nil, err
		}
	}
	return r.buf[off-r.at:][:n], nil
}

// head reads the record at off without its body. It gives errNoRecord where there is none, other errors from reading.
func (r *reader) head(off int64) (entryHead, []byte, error) {
	b, err := r.bytes(off, recordHead)
	if err != nil {
		return entryHead{}, nil, noRecord(err)
	}
	h := entryHead{kind: kind(b[4]), batch: binary.LittleEndian.Uint32(b[12:]), meta: int(binary.LittleEndian.Uint32(b[16:])),
		crc: binary.LittleEndian.Uint32(b[20:]), body: int64(binary.LittleEndian.Uint64(b[24:]))}
	if binary.LittleEndian.Uint32(b) != recordMagic || h.kind < kindPut || h.kind > kindEnd || h.meta > maxMeta+placed ||
		binary.LittleEndian.Uint32(b[8:]) != r.seg || binary.LittleEndian.Uint64(b[32:]) != r.salt || h.body < 0 {
		return entryHead{}, nil, errNoRecord
	}
	if h.kind.ofMessage() {
		h.id = queue.ID(b[40:56])
	}
	b, err = r.bytes(off, recordHead+int64(h.meta))
	if err != nil {
		return entryHead{}, nil, noRecord(err)
	}
	sum := crc32.Update(crc32.Checksum(b[:60], castagnoli), castagnoli, b[recordHead:])
	if sum != binary.LittleEndian.Uint32(b[60:]) || h.kind.ofMessage() && !h.id.Valid() {
		return entryHead{}, nil, errNoRecord
	}
	return h, b[recordHead:], nil
}

// check reads the body of the record at off, whose head is h: errBody when it is not what was written, or cut off.
func (r *reader) check(off int64, h entryHead) error {
	b, err := r.bytes(off+recordHead+int64(h.meta), h.body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errBody
	}
	if err != nil {
		return err
	}
	if crc32.Checksum(b, castagnoli) != h.crc {
		return errBody
	}
	return nil
}

// next finds the first place at or behind off where an undamaged record begins.
func (r *reader) next(off int64) (int64, bool, error) {
	for off = (off + alignment - 1) &^ (alignment - 1); off+recordHead <= r.size; off += alignment {
		b, err := r.bytes(off, 4)
		if err != nil {
			return 0, false, err
		}
		if binary.LittleEndian.Uint32(b) != recordMagic {
			continue
		}
		h, _, err := r.head(off)
		if err == nil && h.kind.inline() {
			err = r.check(off, h)
		}
		if err == nil {
			return off, true, nil
		}
		if err != errNoRecord && err != errBody {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// lastBatch is where the write began that the last of the records from off on was part of.
func (r *reader) lastBatch(off int64) (int64, error) {
	batch := int64(0)
	for more := true; more; {
		h, _, err := r.head(off)
		switch {
		case err == nil:
			batch = int64(h.batch)
			off += h.size()
		case err == errNoRecord:
			if off, more, err = r.next(off + alignment); err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
	return batch, nil
}

// empty reports whether there is nothing but zeros from off to the end.
func (r *reader) empty(off int64) (bool, error) {
	for off < r.size {
		n := min(window, r.size-off)
		b, err := r.bytes(off, n)
		if err != nil {
			return false, err
		}
		for _, c := range b {
			if c != 0 {
				return false, nil
			}
		}
		off += n
	}
	return true, nil
}

func noRecord(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errNoRecord
	}
	return err
}

func (s *Store) segmentPath(n uint32) string {
	return filepath.Join(s.dir, "segments", fmt.Sprintf("%08d.seg", n))
}

// createSegment makes the file of a new segment, whose name and head survive power loss before anything is written to it.
func (s *Store) createSegment(n uint32) (file, error) {
	f, err := s.cfg.disk.open(s.segmentPath(n), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(headOf(n, s.salt), 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.cfg.disk.syncDir(filepath.Join(s.dir, "segments"))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(s.segmentPath(n)))
	}
	return f, nil
}

func headOf(n uint32, salt uint64) []byte {
	b := append(make([]byte, 0, segmentHead), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, schema)
	b = binary.LittleEndian.AppendUint32(b, n)
	b = binary.LittleEndian.AppendUint64(b, salt)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:segmentHead]
}

// saltOf reads the salt and the schema from a segment's head, or where that is damaged the salt from its first record; false
// when neither can be read.
func saltOf(f file, n uint32) (salt uint64, written int, ok bool) {
	b := make([]byte, segmentHead+recordHead)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return 0, 0, false
	}
	if string(b[:8]) == segmentMagic && crc32.Checksum(b[:24], castagnoli) == binary.LittleEndian.Uint32(b[24:]) {
		return binary.LittleEndian.Uint64(b[16:]), int(binary.LittleEndian.Uint32(b[8:])), true
	}
	salt = binary.LittleEndian.Uint64(b[segmentHead+32:])
	r, err := newReader(f, n, salt)
	if err == nil {
		_, _, err = r.head(segmentHead)
	}
	return salt, 0, err == nil
}
