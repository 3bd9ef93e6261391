package queue

import (
	"sync/atomic"
	"time"
)

// refill is how old a count of what waits may be.
const refill = int64(time.Second)

// filling knows how full the queue is without counting for every message: what the store said last,
// and all that was accepted since. So it is rather too high than too low, and close to the limits
// the store is asked every time.
type filling struct {
	messages atomic.Int64
	bytes    atomic.Int64 // of bodies and of records
	asked    atomic.Int64 // in nanoseconds since 1970
}

// admit reports whether there is room for another message.
func (f *filling) admit(s Store, c *Config) bool {
	now, asked := time.Now().UnixNano(), f.asked.Load()
	if now-asked > refill || now < asked || f.messages.Load() >= int64(c.MaxMessages) ||
		f.bytes.Load()+c.MaxMessageBytes >= c.MaxBytes {
		f.asked.Store(now)
		kept := s.Stats()
		f.messages.Store(int64(kept.Waiting))
		f.bytes.Store(kept.Bytes + kept.Records)
	}
	return f.messages.Load() < int64(c.MaxMessages) && f.bytes.Load() < c.MaxBytes
}

// add notes an accepted message.
func (f *filling) add(size int64) {
	f.messages.Add(1)
	f.bytes.Add(size)
}
