package boltstore

import (
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
		flushed: make(chan struct{}), busy: make(map[queue.ID]chan struct{}),
	}
	s.index = index{s: s, path: s.indexPath()}
	s.files = files{s: s, open: make(map[uint32]*shared)}
	s.reserve = reserve{s: s}
	s.journal = journal{s: s, kick: make(chan struct{}, 1), lazy: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		zeros: make([]byte, min(zerosAhead, s.cfg.SegmentBytes))}
	s.forget()
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	if s.bare {
		signal(s.sparse)
	}
	s.serving.Store(true)
	go s.journal.run()
	s.running.Go(s.runIndex)
	s.running.Go(s.runCompact)
	return s, nil
}

// forget makes the store know nothing of what is in its directory.
func (s *Store) forget() {
	s.fresh, s.flush, s.flushing, s.indexed = make(map[queue.ID]*state), nil, snapshot{}, snapshot{}
	s.live, s.index.live = make(map[uint32]int64), make(map[uint32]int64)
	s.count, s.pos, s.notes, s.maxID, s.damaged = counters{}, position{}, nil, "", 0
	s.spoiled = make(map[queue.ID]bool)
	s.claims = claims{due: newTurns(0), leases: make(map[queue.ID]*lease)}
	s.oldest = oldest{fresh: schedule{at: make(map[packed]spot)}}
}

// open does everything but start goroutines.
func (s *Store) open() error {
	if err := s.makeDirs(); err != nil {
		return s.cannotWrite(err)
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	err := s.read()
	if errors.Is(err, ErrDamaged) && s.anew == nil {
		if err := s.setIndexAside(err); err != nil {
			return s.cannotWrite(err)
		}
		err = s.read()
	}
	if err != nil {
		return err
	}
	if err := s.reserve.make(); noSpace(err) {
		s.reserve.release()
	} else if err != nil {
		return s.cannotWrite(err)
	}
	if err := s.cfg.disk.syncDir(s.dir); err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// read reads the index and what the journal has beyond it. It returns ErrDamaged when the index is not what was written.
func (s *Store) read() error {
	if err := s.countDamaged(); err != nil {
		return err
	}
	if err := s.openIndex(); err != nil {
		return err
	}
	if err := s.replay(); err != nil {
		return err
	}
	if err := s.sweepLarge(); err != nil {
		return s.cannotWrite(err)
	}
	if err := s.madeAnew(); err != nil {
		return err
	}
	return s.carry()
}

// carry lets the journal carry all there is, where it does not yet: an earlier version kept no checkpoint, or something was missing.
func (s *Store) carry() error {
	if !s.bare {
		return nil
	}
	err := s.flushOnce()
	if err == nil {
		err = s.writeCheckpoint(false)
	}
	if err == nil || noSpace(err) || errors.Is(err, ErrDamaged) {
		return err
	}
	return s.cannotWrite(err)
}

// makeDirs makes the directories that are missing. Their names survive power loss before anything is written to them, also when a
// process before this one made them and was cut off.
func (s *Store) makeDirs() error {
	made, err := missingDirs(s.dir)
	if err != nil {
		return err
	}
	for _, d := range []string{"", "segments", "large", "damaged"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return err
		}
	}
	for _, d := range []string{"segments", "large", "damaged", ""} {
		if err := s.cfg.disk.syncDir(filepath.Join(s.dir, d)); err != nil {
			return err
		}
	}
	for _, d := range made {
		if err := s.cfg.disk.syncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// missingDirs are those of dir and the directories it is in that are not there, and dir itself in any case.
func missingDirs(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	missing := []string{dir}
	for d := filepath.Dir(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) || d == filepath.Dir(d) {
			return missing, nil
		}
		missing = append(missing, d)
	}
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

// openIndex opens the bbolt file and reads what must be known of it at all times.
func (s *Store) openIndex() error {
	if err := s.findCheckpoint(); err != nil {
		return s.cannotWrite(err)
	}
	if err := s.examine(); err != nil {
		return err
	}
	return s.useIndex()
}

// useIndex opens the bbolt file, making it if there is none. It returns ErrDamaged when it is not one of ours.
func (s *Store) useIndex() error {
	err := s.index.open()
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return s.inUse("")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), noSpace(err):
		return s.cannotWrite(err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := s.prepareIndex(); err != nil {
		return err
	}
	if err := s.index.view(s.load); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if s.partial {
		return s.loadCheckpoint()
	}
	return nil
}

// prepareIndex makes the buckets of a new index, or checks the schema of an old one.
func (s *Store) prepareIndex() error {
	var p progress
	known := false
	err := s.index.view(func(tx *bolt.Tx) error {
		if tx.Bucket(meta) == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return errors.New("a database of something else")
			}
			return nil
		}
		known = true
		var err error
		p, err = progressIn(tx)
		return err
	})
	switch {
	case known && p.Schema > schema:
		return s.newer(p.Schema)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case p.Partial:
		return fmt.Errorf("%w: making it anew was cut short", ErrDamaged)
	case !known:
		return s.createIndex()
	}
	s.salt, s.count, s.pos, s.notes = p.Salt, p.Count, position{seg: p.Seg, off: p.Off}, p.Notes
	return s.raise(p)
}

func (s *Store) newer(written int) error {
	return fmt.Errorf("the queue in %s was written by a newer dinkymail (schema %d, this one knows %d); run that version or a later one",
		s.dir, written, schema)
}

// raise notes the schema of this version before anything is written by it. An earlier version would drop what it does not know
// of a record, so it must not open the store from now on.
func (s *Store) raise(p progress) error {
	s.bare = s.bare || p.Schema < summed // that version kept no checkpoint
	if p.Schema == schema {
		return nil
	}
	p.Schema = schema
	err := s.index.update(func(tx *bolt.Tx) error {
		if err := errors.Join(makeBuckets(tx), takeNotes(tx, &p)); err != nil {
			return err
		}
		return putProgress(tx, p)
	})
	s.notes = p.Notes
	if errors.Is(err, ErrDamaged) {
		return err
	}
	if err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// takeNotes moves the notes of schema 2 to where they are now.
func takeNotes(tx *bolt.Tx, p *progress) error {
	b := tx.Bucket(notes)
	if b == nil {
		return nil
	}
	p.Notes = make(map[string]string)
	err := b.ForEach(func(k, v []byte) error {
		p.Notes[string(k)] = string(v)
		return nil
	})
	return errors.Join(err, tx.DeleteBucket(notes))
}

func makeBuckets(tx *bolt.Tx) error {
	for _, name := range slices.Concat(bucketOf[waiting:], orderOf[waiting:], [][]byte{segments, meta}) {
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
	if s.notes == nil {
		s.notes = make(map[string]string)
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
	err := errors.Join(s.lastFlush(), s.index.settle(), s.sumUp())
	s.journal.seal()
	s.journal.active = nil
	return errors.Join(err, s.abandon())
}

// lastFlush brings the index up to date. When that cannot be done nothing is lost: the next Open does it.
func (s *Store) lastFlush() error {
	for {
		s.mu.Lock()
		n := len(s.fresh) + len(s.flush)
		s.mu.Unlock()
		if n == 0 || s.Broken() != nil {
			return nil
		}
		if err := s.flushOnce(); err != nil {
			return fmt.Errorf("close the queue: %w", err)
		}
	}
}
