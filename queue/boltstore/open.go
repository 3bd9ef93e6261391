package boltstore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"dinkymail/queue"
)

// Open opens the store in dir, making it if need be, and reads back what the journal has and the index has not. It returns
// ErrInUse when another process has it open. Its errors name the path and what to do.
func Open(dir string, cfg Config, log *slog.Logger) (*Store, error) {
	s := &Store{
		dir: dir, cfg: cfg.withDefaults(), log: log,
		quit: make(chan struct{}), dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1), sparse: make(chan struct{}, 1),
		flushed: make(chan struct{}), busy: make(map[queue.ID]chan struct{}), fresh: make(map[queue.ID]*state),
		live: make(map[uint32]int64), harm: make(map[queue.ID]bool),
	}
	s.index = index{s: s, path: s.indexPath(), live: make(map[uint32]int64)}
	s.files = files{s: s, open: make(map[uint32]*shared)}
	s.reserve = reserve{s: s}
	s.journal = journal{s: s, kick: make(chan struct{}, 1), lazy: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		zeros: make([]byte, zerosAhead)}
	s.claims = claims{due: newTurns(0), leases: make(map[queue.ID]*lease)}
	s.oldest.fresh.at = make(map[packed]spot)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	go s.journal.run()
	s.running.Go(s.runIndex)
	s.running.Go(s.runCompact)
	return s, nil
}

// open does everything but start goroutines.
func (s *Store) open() error {
	for _, d := range []string{"", "segments", "large", "damaged"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return s.cannotWrite(err)
		}
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	if err := s.openIndex(); err != nil {
		return err
	}
	if err := s.countDamaged(); err != nil {
		return err
	}
	if err := s.replay(); err != nil {
		return err
	}
	if err := s.sweepLarge(); err != nil {
		return s.cannotWrite(err)
	}
	s.forgetHarm()
	if err := s.reserve.make(); noSpace(err) {
		s.reserve.release()
	} else if err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

func (s *Store) cannotWrite(err error) error {
	switch {
	case noSpace(err):
		return fmt.Errorf("no space left for the queue in %s: %w; free space on this disk", s.dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("cannot write the queue in %s: %w; the kernel's log (dmesg) tells why, check that disk and mount it for writing again",
			s.dir, err)
	}
	return fmt.Errorf("cannot write the queue in %s: %w; set DATA_DIR to a directory that the user we run as (uid %d) may write",
		s.dir, err, os.Getuid())
}

// takeLock keeps a second process out.
func (s *Store) takeLock() error {
	path := filepath.Join(s.dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return s.cannotWrite(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(path) // only for the sentence
		return errors.Join(s.inUse(strings.TrimSpace(string(owner))), f.Close())
	}
	s.lock = f
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := f.Truncate(0); err != nil {
		return s.cannotWrite(err)
	}
	if _, err := f.WriteAt(pid, 0); err != nil && !noSpace(err) {
		return s.cannotWrite(err)
	}
	return nil
}

func (s *Store) inUse(pid string) error {
	if pid == "" {
		pid = "unknown"
	}
	return fmt.Errorf("%w: another dinkymail is using %s (pid %s); stop it, or set DATA_DIR to a directory of this one's own",
		ErrInUse, s.dir, pid)
}

func (s *Store) brokenIndex(err error) error {
	return fmt.Errorf("the index %s cannot be read: %w; move that file away and start again: it is made anew from %s "+
		"(mail delivered lately may then be delivered once more)", s.index.path, err, filepath.Join(s.dir, "segments"))
}

// openIndex opens the bbolt file and reads what must be known of it at all times.
func (s *Store) openIndex() error {
	err := s.index.open()
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return s.inUse("")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), noSpace(err):
		return s.cannotWrite(err)
	case err != nil:
		return s.brokenIndex(err)
	}
	if err := s.prepareIndex(); err != nil {
		return err
	}
	if err := s.index.view(s.load); err != nil {
		return s.brokenIndex(err)
	}
	return nil
}

// prepareIndex makes the buckets of a new index, or checks the schema of an old one.
func (s *Store) prepareIndex() error {
	var p progress
	known := false
	err := s.index.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(meta)
		if b == nil {
			return nil
		}
		known = true
		var err error
		p, err = progressIn(tx)
		return err
	})
	if err != nil {
		return s.brokenIndex(err)
	}
	if known && p.Schema > schema {
		return fmt.Errorf("the queue in %s was written by a newer dinkymail (schema %d, this one knows %d); "+
			"run that version or a later one", s.dir, p.Schema, schema)
	}
	if !known {
		if err := s.createIndex(); err != nil {
			return s.cannotWrite(err)
		}
		return nil
	}
	s.salt, s.count, s.pos = p.Salt, p.Count, position{seg: p.Seg, off: p.Off}
	if err := s.index.db.Update(makeBuckets); err != nil { // an earlier version made fewer
		return s.cannotWrite(err)
	}
	return s.raise(p)
}

// raise notes the schema of this version before anything is written by it. An earlier version would drop what it does not know
// of a record, so it must not open the store from now on.
func (s *Store) raise(p progress) error {
	if p.Schema == schema {
		return nil
	}
	p.Schema = schema
	err := s.index.db.Update(func(tx *bolt.Tx) error { return putProgress(tx, p) })
	if err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// createIndex begins an index where the first segment there is begins: with none, or where somebody moved a bad index away.
func (s *Store) createIndex() error {
	numbers, err := s.segmentNumbers()
	if err != nil {
		return err
	}
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	s.salt, s.pos = binary.LittleEndian.Uint64(b[:]), position{seg: 1, off: segmentHead}
	for _, n := range slices.Backward(numbers) {
		s.pos.seg = n
		err := s.files.use(n, func(f file) error {
			if salt, ok := saltOf(f); ok {
				s.salt = salt
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(numbers) > 0 {
		s.log.Warn("no index: it is made anew from the journal", "path", s.index.path, "n", len(numbers))
	}
	return s.index.db.Update(func(tx *bolt.Tx) error {
		if err := makeBuckets(tx); err != nil {
			return err
		}
		return putProgress(tx, progress{Schema: schema, Salt: s.salt, Seg: s.pos.seg, Off: s.pos.off})
	})
}

func makeBuckets(tx *bolt.Tx) error {
	for _, name := range slices.Concat(bucketOf[waiting:], orderOf[waiting:], [][]byte{segments, meta, notes}) {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// load reads the schedule and what is needed of each segment. It decodes no record.
func (s *Store) load(tx *bolt.Tx) error {
	due := &s.claims.due // lines know its rings by their address
	*due = newTurns(s.count.Waiting)
	due.clock = nanos(time.Now())
	c := tx.Bucket(orderOf[waiting]).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if key, id, ok := splitKey(k); ok {
			if key > due.clock && due.later.heap == nil { // the rest is later, too
				due.later.heap = make([]slot, 0, max(s.count.Waiting-len(due.at), 0)+64)
			}
			due.add(key, id, senderOf(v))
		}
	}
	err := tx.Bucket(segments).ForEach(func(k, v []byte) error {
		if len(k) == 4 && len(v) == 8 {
			s.live[binary.BigEndian.Uint32(k)] = int64(binary.BigEndian.Uint64(v))
			s.index.live[binary.BigEndian.Uint32(k)] = int64(binary.BigEndian.Uint64(v))
		}
		return nil
	})
	s.notes = make(map[string]string)
	err = errors.Join(err, tx.Bucket(notes).ForEach(func(k, v []byte) error {
		s.notes[string(k)] = string(v)
		return nil
	}))
	if s.count.Records == 0 {
		s.count.Records = recordBytes(tx)
	}
	newest := int64(0)
	for k := waiting; k <= removed; k++ {
		last, v := tx.Bucket(bucketOf[k]).Cursor().Last()
		if queue.ID(last) > s.maxID {
			s.maxID = queue.ID(last)
		}
		if p, _, err := parsePlace(k, v); err == nil {
			newest = max(newest, p.accepted)
		}
	}
	s.doubtClock(newest)
	return err
}

// recordBytes counts what the records of what waits take, for an index of a version that did not.
func recordBytes(tx *bolt.Tx) (n int64) {
	c := tx.Bucket(bucketOf[waiting]).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		n += max(int64(len(v)-placeSize), 0)
	}
	return n
}

// clockSlack is how far the clock may be behind the newest mail before somebody is told. Less is what setting a clock comes to.
const clockSlack = time.Minute

// doubtClock complains of a clock that has stepped back since mail was last accepted.
func (s *Store) doubtClock(newest int64) {
	if behind := time.Until(moment(newest)); newest != 0 && behind > clockSlack {
		s.log.Warn("the clock is behind the newest mail in the queue", "path", s.dir, "accepted", moment(newest), "behind", behind,
			"remedy", "if the time is wrong now, set the clock; if it was wrong then, mail deferred before waits until the time that "+
				"was set for it then, and everything else is delivered as usual")
	}
}

// abandon lets go of what a failed Open has taken.
func (s *Store) abandon() error {
	err := s.index.close()
	s.files.close()
	if s.journal.active != nil {
		err = errors.Join(err, s.journal.active.Close())
	}
	if s.lock != nil { // to close it alone would leave it locked for as long as a child that is just being started has it, too
		err = errors.Join(err, syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
	}
	return err
}

// Close writes what is under way, brings the index up to date and lets the directory go. Everything later gives
// queue.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.quit)
	s.journal.close()
	s.running.Wait()
	err := errors.Join(s.lastFlush(), s.index.settle())
	s.journal.seal()
	s.journal.active = nil
	return errors.Join(err, s.abandon())
}

// lastFlush brings the index up to date. When that cannot be done nothing is lost: the next Open does it.
func (s *Store) lastFlush() error {
	for {
		s.mu.Lock()
		n := len(s.fresh) + len(s.flush) + s.noted - s.saved
		s.mu.Unlock()
		if n == 0 || s.Broken() != nil {
			return nil
		}
		if err := s.flushOnce(); err != nil {
			return fmt.Errorf("close the queue: %w", err)
		}
	}
}
