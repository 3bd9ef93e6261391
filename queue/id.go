package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"sync"
	"time"
)

// ID names an accepted message, in every log line, reply and page. It is 16 characters of 0-9 and
// a-v and begins with the time, so that the order of IDs is the order of acceptance.
type ID string

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

var lastID struct {
	sync.Mutex
	ms  uint64
	seq uint32
}

// NewID makes an ID greater than every one this process made before, also when the clock steps
// back.
func NewID() ID {
	lastID.Lock()
	defer lastID.Unlock()
	ms := uint64(time.Now().UnixMilli())
	if ms > lastID.ms {
		var r [4]byte
		rand.Read(r[:]) // never fails: crypto/rand ends the program instead
		lastID.ms, lastID.seq = ms, binary.BigEndian.Uint32(r[:])>>1
	} else {
		lastID.seq++
		if lastID.seq == 0 {
			lastID.ms++
		}
	}
	var b [10]byte
	binary.BigEndian.PutUint64(b[:8], lastID.ms<<16)
	binary.BigEndian.PutUint32(b[6:], lastID.seq)
	return ID(idEncoding.EncodeToString(b[:]))
}

// Valid reports whether id has the form NewID gives.
func (id ID) Valid() bool {
	if len(id) != 16 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'v') {
			return false
		}
	}
	return true
}

// Time is when an ID was made; the zero time for what is none.
func (id ID) Time() time.Time {
	if !id.Valid() {
		return time.Time{}
	}
	b, err := idEncoding.DecodeString(string(id))
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) >> 16))
}
