package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A segment begins with a head that names the journal and the segment, and then holds records, each
// on a multiple of 8 bytes:
//
//	 0  magic
//	 4  kind, three zero bytes
//	 8  number of the segment
//	12  where in the segment the write began that this record was part of
//	16  length of the record's meta data
//	20  CRC-32C of the body
//	24  length of the body
//	32  salt of the journal
//	40  ID
//	60  CRC-32C of these 60 bytes and the meta data
//	64  meta data, then the body if the kind has it here, then zeros up to a multiple of 8
//
// The salt is random and never leaves the journal: a body that looks like a record is not mistaken
// for one. A checkpoint is written the same way, with the number of the segment that it is for.
const (
	SegmentHead = 64 // bytes before the first record
	RecordHead  = 64 // bytes of a record before its meta data
	MaxID       = 20 // bytes of an ID at most

	segmentMagic = "dinkyseg"
	recordMagic  = 0x01524d44 // "DMR", version 1
	alignment    = 8
	window       = 1 << 20 // bytes read or written at a time
)

// Kind says what a record is. 0 is none.
type Kind uint8

// Traits says how the records of a kind are treated.
type Traits struct {
	Inline    bool // the body stands behind the meta data; else it is elsewhere, or there is none
	Named     bool // it has an ID that Format.ValidID takes
	Lazy      bool // it may wait for Config.Settle, to share a sync with others
	Essential bool // it is still written when the disk is full, from the reserve
}

// Format says what may stand in a journal. It is never changed.
type Format struct {
	Schema  int      // stands in the head of each file; see Segments.FindSalt
	Kinds   []Traits // by kind; a greater kind is no record
	MaxMeta int      // a record with more meta data is none
	ValidID func(id string) bool
}

// Position is a place in the journal.
type Position struct {
	Segment uint32
	Offset  int64
}

// Entry is a record on its way into the journal.
type Entry struct {
	Kind Kind
	Sum  uint32 // CRC-32C of the body
	ID   string
	Meta []byte
	Body []byte   // of an inline kind
	Size int64    // of the body, if that is elsewhere
	At   Position // where the body begins in the journal; Append fills it in
	done chan error
}

// Record is what an owner hands over: any pointer to a struct that embeds Entry.
type Record interface{ entry() *Entry }

func (e *Entry) entry() *Entry { return e }

func (e *Entry) bytes() int { return RecordHead + len(e.Meta) + len(e.Body) }

// Head is the fixed part of a record in a file.
type Head struct {
	Kind Kind
	ID   string
	Meta int
	Body int64
	Sum  uint32

	batch  uint32
	inline bool
}

// Size is what the record takes in the file.
func (h Head) Size() int64 {
	n := RecordHead + int64(h.Meta)
	if h.inline {
		n += h.Body
	}
	return (n + alignment - 1) &^ (alignment - 1)
}

// BodyAt is where the body begins of the record at off.
func (h Head) BodyAt(off int64) int64 { return off + RecordHead + int64(h.Meta) }

// castagnoli is the CRC-32C that processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendRecord writes a record to b, as part of a write that begins at batch.
func (f *Format) AppendRecord(b []byte, segment uint32, salt uint64, batch int64, e *Entry) []byte {
	start, size := len(b), e.Size
	inline := f.Kinds[e.Kind].Inline
	if inline {
		size = int64(len(e.Body))
	}
	b = binary.LittleEndian.AppendUint32(b, recordMagic)
	b = append(b, byte(e.Kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, segment)
	b = binary.LittleEndian.AppendUint32(b, uint32(batch))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Meta)))
	b = binary.LittleEndian.AppendUint32(b, e.Sum)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint64(b, salt)
	var id [MaxID]byte
	copy(id[:], e.ID)
	b = append(b, id[:]...)
	sum := crc32.Checksum(b[start:], castagnoli)
	b = append(b, 0, 0, 0, 0)
	b = append(b, e.Meta...) // so that summing it up does not put the entry on the heap
	binary.LittleEndian.PutUint32(b[start+60:], crc32.Update(sum, castagnoli, b[start+RecordHead:]))
	if inline {
		b = append(b, e.Body...)
	}
	for (len(b)-start)%alignment != 0 {
		b = append(b, 0)
	}
	return b
}

// SegmentHeadOf is what the file of a segment begins with.
func (f *Format) SegmentHeadOf(segment uint32, salt uint64) []byte {
	b := append(make([]byte, 0, SegmentHead), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Schema))
	b = binary.LittleEndian.AppendUint32(b, segment)
	b = binary.LittleEndian.AppendUint64(b, salt)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:SegmentHead]
}
